"""The site check finds each kind of fault on a small site, and nothing on a good one."""

import importlib.util
import re
from pathlib import Path

import pytest

FILE = Path(__file__).parent.parent / "scripts" / "site_check.py"
SPEC = importlib.util.spec_from_file_location("site_check", FILE)
site_check = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(site_check)

needs_chromium = pytest.mark.skipif(
    site_check.find_browser() is None, reason="there is no Chromium on this machine"
)
ELSEWHERE = "http://elsewhere.invalid/x.js"
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


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<a href="gone.html">x</a>', "gone.html leads nowhere"),
        ('<a href="#gone">x</a>', "#gone has no such anchor"),
        ('<a href="other.html#gone">x</a>', "other.html#gone has no such anchor"),
        ('<img alt="x" src="gone.png">', "gone.png leads nowhere"),
        ('<script src="https://example.org/x.js"></script>', "loads https://example.org/x.js"),
        ('<a href="https://exa mple.org">x</a>', "https://exa mple.org is no web address"),
        ('<a href="https:example.org">x</a>', "https:example.org is no web address"),
        ('<a href="http://localhost">x</a>', "http://localhost is no web address"),
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


@needs_chromium
def test_a_browser_finds_nothing_on_a_good_page(tmp_path):
    action = f"this.closest('figure').querySelector('img').src = '{OTHER_PIXEL}#' + this.value"
    moving = FIGURE.format(pixel=PIXEL, action=action)
    write(tmp_path, f'<p>Good.</p>{moving}<img alt="a dot" src="{PIXEL}">')
    assert list(site_check.check_in_browser(tmp_path)) == []


@needs_chromium
def test_a_browser_finds_what_only_a_browser_sees(tmp_path):
    write(
        tmp_path,
        FIGURE.format(pixel=PIXEL, action="")
        + f"""
        <img src="{PIXEL}"><img src="{PIXEL}" alt="../_images/1.png">
        <div style="width: 2000px">wide</div>
        <p style="color: #eee; background: #fff">pale</p>
        <script>setTimeout(() => import("{ELSEWHERE}"), 0); undefined_name();</script>""",
    )
    (tmp_path / "big.js").write_text("//" + "x" * 3_100_000, encoding="utf-8")
    write(tmp_path, "<p>Heavy.</p>", "heavy.html", head='<script src="big.js"></script>')
    found = "\n".join(site_check.check_in_browser(tmp_path))
    assert found.count("no alt text") == 2
    for fault in (
        "changes nothing",
        "keyboard does not move",
        "phone: scrolls sideways",
        "light mode: color-contrast",
        "undefined_name",
        f"requests {ELSEWHERE}",
        "heavy.html: phone: weighs 3.1 MB",
    ):
        assert fault in found, fault


def test_an_empty_folder_is_no_success(tmp_path, capsys):
    assert site_check.main([str(tmp_path)]) == 1
    assert "make book" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("ci", "options", "status"),
    [("", [], 0), ("false", [], 0), ("true", [], 1), ("", ["--require-browser"], 1)],
)
def test_a_missing_browser_is_said_and_fails_where_one_is_required(
    tmp_path, monkeypatch, capsys, ci, options, status
):
    monkeypatch.setattr(site_check, "find_browser", lambda: None)
    monkeypatch.setenv("CI", ci)
    assert site_check.main([str(write(tmp_path, "")), *options]) == status
    printed = capsys.readouterr().out
    assert "1 pages links checked; NOT opened, as there is no Chromium" in printed
    assert ("install Chromium" in printed) == (status == 1)


def test_the_accessibility_rules_are_this_year_s():
    from axe_playwright_python.sync_playwright import Axe

    version = re.search(r"axe v(\d+)\.(\d+)", Axe().axe_script)
    assert (int(version[1]), int(version[2])) >= (4, 12)
