"""Open every page of the built site in headless Chromium and report what is wrong.

    python scripts/site_check.py _build/html

Looked for, on a desktop and at the width of a phone: errors in the console; requests to other
hosts; links, anchors and pictures that lead nowhere; pages over 3 MB; interactive figures whose
picture does not change; pages that scroll sideways; and what axe-core calls a serious or critical
fault of accessibility, in light and in dark mode. Exit status 1 if anything was found. Where there
is no Chromium it says so, checks the links only, and exits 0 if they are right.
"""

import functools
import http.server
import json
import shutil
import sys
import threading
import time
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

MOST_BYTES = 3_000_000
WIDTHS = {"desktop": (1280, 900), "phone": (390, 844)}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
NOT_FOR_READERS = ("_static", "_sources", "genindex.html", "search.html")

MOVE = """
const figure = document.querySelectorAll('figure.explore')[arguments[0]];
const control = figure.querySelectorAll('input, select')[arguments[1]];
const before = figure.querySelector('img').src;
const last = control.tagName === 'SELECT' ? control.length - 1 : Number(control.max);
if (control.tagName === 'SELECT') control.selectedIndex = last; else control.value = last;
control.dispatchEvent(new Event('input'));
return figure.querySelector('img').src !== before;
"""
PICTURES = r"""
return [...document.images].filter(
    i => i.complete && i.naturalWidth === 0 || !i.alt.trim() || /\.(png|svg|jpe?g)$/.test(i.alt))
    .map(i => (i.naturalWidth ? 'no alt text: ' : 'broken picture: ') + i.src.slice(0, 90));
"""
AXE = """
const done = arguments[arguments.length - 1];
axe.run({resultTypes: ['violations']}).then(r => done(r.violations.filter(
    v => ['serious', 'critical'].includes(v.impact)).map(
    v => v.id + ': ' + v.help + ' at ' + v.nodes[0].target.join(' ')
         + ' (' + v.nodes.length + ')')));
"""


class Page(HTMLParser):
    """The anchors and references of one page."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.loaded = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        """Note what an element is called, links to and loads."""
        found = dict(attributes)
        self.anchors |= {found[key] for key in ("id", "name") if found.get(key)}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        for key in ("src", "href"):
            is_loaded = tag in ("script", "img", "iframe") or (
                tag == "link" and "stylesheet" in (found.get("rel") or "")
            )
            if found.get(key) and is_loaded:
                self.loaded.append(found[key])


def check_links(site):
    """Yield every link and file that leads nowhere, and everything loaded from elsewhere."""
    pages = {
        path: Page(path.read_text(encoding="utf-8"))
        for path in site.rglob("*.html")
        if "_static" not in path.relative_to(site).parts
    }
    for path, page in pages.items():
        here = path.relative_to(site).as_posix()
        for url in page.loaded:
            if urlsplit(url).netloc:
                yield f"{here}: loads {url} from another host"
        for url in {*page.links, *(u for u in page.loaded if not urlsplit(u).netloc)}:
            parts = urlsplit(url)
            if parts.scheme or parts.netloc:
                continue
            goal = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if goal.is_dir():
                goal /= "index.html"
            if not goal.is_file():
                yield f"{here}: {url} leads nowhere"
            elif (
                parts.fragment
                and goal in pages
                and (unquote(parts.fragment) not in pages[goal].anchors)
            ):
                yield f"{here}: {url} has no such anchor"


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files without a line for each."""

    def log_message(self, *_):
        """Say nothing."""


@contextmanager
def serve(site):
    """Serve a folder on a free port of this machine; yield its address."""
    handler = functools.partial(QuietHandler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()


@contextmanager
def browser():
    """Start headless Chromium, with logs of console and network."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = next(filter(None, map(shutil.which, BROWSERS)))
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    found = shutil.which("chromedriver")
    driver = webdriver.Chrome(options=options, service=Service(found) if found else None)
    driver.set_page_load_timeout(60)
    try:
        yield driver
    finally:
        driver.quit()


def open_page(driver, address, width, height):
    """Open a page at a size and wait until what it loads is there; return its network log."""
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    driver.get_log("performance")
    driver.get(address)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and driver.execute_script(
        "return document.readyState !== 'complete' || "
        "(window.MathJax && !(MathJax.startup && MathJax.startup.document))"
    ):
        time.sleep(0.1)
    return [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]


def check_network(log, own):
    """Yield requests to other hosts, and a page that is too heavy."""
    size = 0
    for message in log:
        if message["method"] == "Network.requestWillBeSent":
            url = message["params"]["request"]["url"]
            if not url.startswith((own, "data:", "blob:")):
                yield f"requests {url}"
        if message["method"] == "Network.loadingFinished":
            size += message["params"]["encodedDataLength"]
    if size > MOST_BYTES:
        yield f"weighs {size / 1e6:.1f} MB (at most {MOST_BYTES / 1e6:.0f})"


def moved_by_key(figure, control):
    """Press an arrow key on a control; say whether the picture changed."""
    from selenium.webdriver.common.keys import Keys

    picture = figure.find_element("css selector", "img")
    before = picture.get_attribute("src")
    is_menu = control.tag_name == "select"
    control.send_keys(Keys.ARROW_DOWN if is_menu else Keys.ARROW_RIGHT)
    after = picture.get_attribute("src")
    control.send_keys(Keys.ARROW_UP if is_menu else Keys.ARROW_LEFT)
    return after != before


def check_figures(driver):
    """Move every control of every interactive figure; yield those that change nothing."""
    figures = driver.find_elements("css selector", "figure.explore")
    for number, figure in enumerate(figures):
        controls = figure.find_elements("css selector", "input, select")
        if not controls:
            yield f"interactive figure {number + 1} has no control"
        elif not moved_by_key(figure, controls[0]):
            yield f"the keyboard does not move interactive figure {number + 1}"
        for place in range(len(controls)):
            if not driver.execute_script(MOVE, number, place):
                yield f"control {place + 1} of interactive figure {number + 1} changes nothing"


def check_accessibility(driver, axe):
    """Yield axe-core's serious faults, in light and in dark mode."""
    driver.execute_script(axe)
    driver.execute_script(  # or colours would be measured on the way from one mode to the other
        "document.head.insertAdjacentHTML('beforeend', '<style>* {transition: none !important}');"
    )
    for mode in ("light", "dark"):
        driver.execute_script(
            "document.documentElement.dataset.theme = arguments[0];"
            "document.documentElement.dataset.mode = arguments[0];",
            mode,
        )
        for fault in driver.execute_async_script(AXE):
            yield f"{mode} mode: {fault}"


def check_page(driver, own, page, axe):
    """Yield all that is wrong with one page."""
    for name, (width, height) in WIDTHS.items():
        yield from check_network(open_page(driver, urljoin(own, page), width, height), own)
        for entry in driver.get_log("browser"):
            if entry["level"] in ("SEVERE", "ERROR"):
                yield f"{name}: console: {entry['message']}"
        if driver.execute_script(
            "return document.documentElement.scrollWidth > window.innerWidth + 1"
        ):
            yield f"{name}: scrolls sideways"
        if name == "desktop":
            yield from driver.execute_script(PICTURES)
            yield from check_figures(driver)
    yield from check_accessibility(driver, axe)


def pages_for_readers(site):
    """List the pages of a site, without what Sphinx adds."""
    paths = (path.relative_to(site).as_posix() for path in sorted(site.rglob("*.html")))
    return [path for path in paths if not path.startswith(NOT_FOR_READERS)]


def check_in_browser(site):
    """Yield all that is wrong with the pages in a browser."""
    import axe_core_python

    axe = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    with serve(site) as own, browser() as driver:
        for page in pages_for_readers(site):
            yield from (f"{page}: {fault}" for fault in check_page(driver, own, page, axe))


def main(folder):
    """Check a built site, print what was found, and return the exit status."""
    site = Path(folder).resolve()
    pages = pages_for_readers(site)
    if not pages:
        print(f"{site} holds no page; build the book first: make book")
        return 1
    faults = list(dict.fromkeys(check_links(site)))
    if any(map(shutil.which, BROWSERS)):
        faults += dict.fromkeys(check_in_browser(site))
        how = f"opened in Chromium at {' and '.join(str(w) for w, _ in WIDTHS.values())} pixels"
    else:
        how = "links checked; NOT opened, as there is no Chromium on this machine"
    print("\n".join(faults))
    print(f"{len(pages)} pages {how}: {len(faults)} fault(s)")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
