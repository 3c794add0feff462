"""The site check finds each kind of fault on a small site, and nothing on a good one."""

import http.server
import importlib.util
import shutil
import threading
from pathlib import Path

import pytest

FILE = Path(__file__).parent.parent / "scripts" / "site_check.py"
SPEC = importlib.util.spec_from_file_location("site_check", FILE)
site_check = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(site_check)

HAS_CHROMIUM = any(map(shutil.which, site_check.BROWSERS))
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
OTHER_PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
FIGURE = """<figure class="explore"><img alt="a line" src="{pixel}">
<label>step <input type="range" min="0" max="2" value="0" oninput="{action}"></label></figure>"""


def write(folder, body, name="index.html", head=""):
    (folder / name).write_text(
        f'<!doctype html><html lang="en"><head><title>t</title>{head}'
        f'<link rel="icon" href="data:,"></head><body><main><h1 id="top">T</h1>{body}</main>'
        "</body></html>",
        encoding="utf-8",
    )
    return folder


@pytest.fixture
def elsewhere():
    """Serve a script from another host than the site's."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/javascript")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_address[1]}/x.js"
        server.shutdown()


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<a href="gone.html">x</a>', "gone.html leads nowhere"),
        ('<a href="#gone">x</a>', "#gone has no such anchor"),
        ('<a href="other.html#gone">x</a>', "other.html#gone has no such anchor"),
        ('<img alt="x" src="gone.png">', "gone.png leads nowhere"),
        ('<script src="https://example.org/x.js"></script>', "loads https://example.org/x.js"),
    ],
)
def test_dead_links_and_foreign_files_are_found_without_a_browser(tmp_path, body, fault):
    write(tmp_path, "", "other.html")
    assert any(fault in found for found in site_check.check_links(write(tmp_path, body)))


def test_good_links_are_let_pass(tmp_path):
    write(tmp_path, "", "other page.html")
    body = (
        '<a href="other%20page.html#top">x</a><a href="https://example.org">x</a>'
        '<a href="#top">x</a><a href="mailto:a@b.c">x</a>'
    )
    assert list(site_check.check_links(write(tmp_path, body))) == []


@pytest.mark.skipif(not HAS_CHROMIUM, reason="there is no Chromium on this machine")
def test_a_browser_finds_nothing_on_a_good_page(tmp_path):
    action = f"this.closest('figure').querySelector('img').src = '{OTHER_PIXEL}#' + this.value"
    moving = FIGURE.format(pixel=PIXEL, action=action)
    write(tmp_path, f'<p>Good.</p>{moving}<img alt="a dot" src="{PIXEL}">')
    assert list(site_check.check_in_browser(tmp_path)) == []


@pytest.mark.skipif(not HAS_CHROMIUM, reason="there is no Chromium on this machine")
def test_a_browser_finds_what_only_a_browser_sees(tmp_path, elsewhere):
    write(
        tmp_path,
        FIGURE.format(pixel=PIXEL, action="")
        + f"""
        <img src="{PIXEL}"><img src="{PIXEL}" alt="../_images/1.png">
        <div style="width: 2000px">wide</div>
        <p style="color: #eee; background: #fff">pale</p>
        <script>setTimeout(() => import("{elsewhere}"), 0); undefined_name();</script>""",
    )
    (tmp_path / "big.js").write_text("//" + "x" * 3_100_000, encoding="utf-8")
    write(tmp_path, "<p>Heavy.</p>", "heavy.html", head='<script src="big.js"></script>')
    found = "\n".join(site_check.check_in_browser(tmp_path))
    assert found.count("no alt text") == 2
    for fault in (
        "changes nothing",
        "keyboard does not move",
        "phone: scrolls sideways",
        "color-contrast",
        "undefined_name",
        f"requests {elsewhere}",
        "heavy.html: weighs 3.1 MB",
    ):
        assert fault in found, fault


def test_an_empty_folder_is_no_success(tmp_path, capsys):
    assert site_check.main(tmp_path) == 1
    assert "make book" in capsys.readouterr().out
