"""Open every page of the built site in headless Chromium and report what is wrong.

    python scripts/site_check.py _build/html

Looked for, on a desktop and at the width of a phone: errors in the console; requests to other
hosts; links, anchors and pictures that lead nowhere; pages over 3 MB; interactive figures whose
picture does not change, by key or by pointer; pages that scroll sideways; a playground that does
not learn what is drawn in it, or not from a file; and what axe-core calls a serious or critical
fault of accessibility, in light and in dark mode. Nothing is fetched: links to other sites are only
read. Exit status 1 if anything was found. Where there is no Chromium it says
so and checks the links only, which is a failure too with ``--require-browser`` or in CI.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import shutil
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import chain
from pathlib import Path
from urllib.parse import unquote, urlsplit

MOST_BYTES = 3_000_000
WIDTHS = {"desktop": (1280, 900), "phone": (390, 844)}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
NOT_FOR_READERS = ("_static", "_sources", "_modules", "genindex", "py-modindex", "search.html")
OWN = "http://the-book.invalid/"  # answered from the folder; no such host exists
WEB_ADDRESS = re.compile(r"https?://[\w-]+(\.[\w-]+)+(:\d+)?([/?#][^\s<>\"]*)?")

LOADED = """document.readyState === 'complete'
    && (!window.MathJax || !!(MathJax.startup && MathJax.startup.document))"""
PICTURES = r"""() => [...document.images].filter(
    i => i.complete && i.naturalWidth === 0 || !i.alt.trim() || /\.(png|svg|jpe?g)$/.test(i.alt))
    .map(i => (i.naturalWidth ? 'no alt text: ' : 'broken picture: ') + i.src.slice(0, 90))"""
SET_MODE = "mode => Object.assign(document.documentElement.dataset, {theme: mode, mode: mode})"


class Page(HTMLParser):
    """The anchors and references of one page."""

    def __init__(self, text: str):
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element is called, links to and loads."""
        found = {key: value for key, value in attrs if value}
        self.anchors |= {found[key] for key in ("id", "name") if key in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag in ("script", "img", "iframe") and "src" in found:
            self.loaded.append(found["src"])
        if tag == "link" and "stylesheet" in found.get("rel", "") and "href" in found:
            self.loaded.append(found["href"])


def check_links(site: Path) -> Iterator[str]:
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
        for url in {*page.links, *page.loaded}:
            parts = urlsplit(url)
            if parts.scheme or parts.netloc:
                if parts.scheme in ("", "http", "https") and not WEB_ADDRESS.fullmatch(url):
                    yield f"{here}: {url} is no web address"
                continue
            goal = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            goal = goal / "index.html" if goal.is_dir() else goal
            anchor = unquote(parts.fragment)
            if not goal.is_file():
                yield f"{here}: {url} leads nowhere"
            elif anchor and goal in pages and anchor not in pages[goal].anchors:
                yield f"{here}: {url} has no such anchor"


class Visit:
    """One page opened at one width: what it asked for, and what it complained of."""

    def __init__(self, browser, site: Path, size: tuple[int, int]):
        width, height = size
        context = browser.new_context(
            viewport={"width": width, "height": height}, is_mobile=width < 500, color_scheme="light"
        )
        context.route("**/*", self._answer)
        self.site, self.bytes, self.foreign, self.errors = site, 0, [], []
        self.page = context.new_page()
        self.page.set_default_timeout(30_000)
        self.page.on("pageerror", lambda error: self.errors.append(f"console: {error}"))
        self.page.on(
            "console",
            lambda said: said.type == "error" and self.errors.append(f"console: {said.text}"),
        )

    def _answer(self, route) -> None:
        """Answer a request from the folder; note and refuse one to another host."""
        url = route.request.url
        path = self.site / unquote(urlsplit(url).path).lstrip("/")
        if not url.startswith(OWN):
            self.foreign.append(f"requests {url}")
            route.abort()
        elif path.is_file():
            self.bytes += path.stat().st_size
            route.fulfill(path=path)
        else:
            route.fulfill(status=404)

    def open(self, name: str) -> Iterator[str]:
        """Open a page, wait until what it loads is there, and yield what went wrong."""
        self.page.goto(OWN + name, wait_until="networkidle")
        self.page.wait_for_function(LOADED)
        yield from (*self.foreign, *self.errors)
        if self.bytes > MOST_BYTES:
            yield f"weighs {self.bytes / 1e6:.1f} MB (at most {MOST_BYTES / 1e6:.0f})"
        if self.page.evaluate("document.documentElement.scrollWidth > window.innerWidth + 1"):
            yield "scrolls sideways"


def check_figures(page) -> Iterator[str]:
    """Move every control of every interactive figure; yield those that change nothing."""
    for number, figure in enumerate(page.locator("figure.explore").all(), start=1):
        picture, controls = figure.locator("img").first, figure.locator("input, select").all()
        if not controls:
            yield f"interactive figure {number} has no control"
        for place, control in enumerate(controls, start=1):
            is_menu = control.evaluate("control => control.tagName") == "SELECT"
            before = picture.get_attribute("src")
            control.press("ArrowDown" if is_menu else "ArrowRight")
            if picture.get_attribute("src") == before:
                yield f"the keyboard does not move control {place} of interactive figure {number}"
            control.press("ArrowUp" if is_menu else "ArrowLeft")
            if is_menu:
                control.select_option(index=control.locator("option").count() - 1)
            else:
                box = control.bounding_box()
                control.click(position={"x": box["width"] - 2, "y": box["height"] / 2})
            if picture.get_attribute("src") == before:
                yield f"control {place} of interactive figure {number} changes nothing"


def draw(page, pad: str, lines: list[list[tuple[float, float]]]) -> None:
    """Draw lines on a pad with the pointer; points are in parts of its side."""
    page.locator(pad).scroll_into_view_if_needed()
    box = page.locator(pad).bounding_box()
    for line in lines:
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in line]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place)
        page.mouse.up()


def ring(x: float, y: float, radius: float) -> list[list[tuple[float, float]]]:
    """Return a drawing of a ring."""
    turns = [2 * math.pi * step / 24 for step in range(25)]
    return [[(x + radius * math.cos(turn), y + radius * math.sin(turn)) for turn in turns]]


def cross(x: float, y: float, reach: float) -> list[list[tuple[float, float]]]:
    """Return a drawing of a cross."""
    falling = [(x - reach, y - reach), (x, y), (x + reach, y + reach)]
    return [falling, [(a, 2 * y - b) for a, b in falling]]


def check_playground(page) -> Iterator[str]:
    """Load handwriting and stop; then draw two classes, let three nets learn them, and ask."""
    page.set_default_timeout(300_000)
    status = page.locator("#pg-status")
    page.click("#pg-digits")
    if page.locator(".pg-pictures button").count() < 100:
        yield "the playground loads no handwriting"
    page.click("#pg-learn")
    page.wait_for_function("document.querySelector('.pg-score').textContent.includes(' of ')")
    page.click("#pg-stop")
    if "Stopped" not in status.text_content() or not page.is_disabled("#pg-stop"):
        yield "the playground does not stop"
    page.click("#pg-empty")
    for place, sign in enumerate((ring, cross)):
        page.locator(".pg-class input[type=radio]").nth(place).check()
        for shift in (-0.1, -0.05, 0.05, 0.1):
            draw(page, "#pg-pad", sign(0.5 + shift, 0.5 - shift / 2, 0.25 + shift))
            page.click("#pg-add")
    page.click("#pg-learn")
    page.wait_for_function(
        "document.querySelector('#pg-status').textContent.startsWith('All three')"
    )
    for sign, name in ((ring, "A"), (cross, "B")):
        page.click("#pg-wipe")
        before = page.locator("#pg-said").text_content()
        draw(page, "#pg-question", sign(0.45, 0.5, 0.3))
        page.wait_for_function(
            "before => document.querySelector('#pg-said').textContent !== before", arg=before
        )
        answers = page.locator("#pg-answers .pg-score").all_text_contents()
        # from scratch, two examples a class may be too few
        if not all(answer.startswith(f"{name},") for answer in answers[1:]):
            yield f"the playground takes a drawing of class {name} for {answers}"
    for button, file in (("net", "tuned.safetensors"), ("drawings", "drawings.zip")):
        with page.expect_download() as saved:
            page.click(f"#pg-save-{button}")
        if saved.value.suggested_filename != file or not saved.value.path().stat().st_size:
            yield f"the playground does not save {file}"


def check_playground_from_a_file(browser, path: Path) -> Iterator[str]:
    """Open the playground without any server, and let it learn."""
    page = browser.new_page()
    page.goto(path.as_uri())
    page.click("#pg-digits")
    page.click("#pg-learn")
    try:
        page.wait_for_function(
            "[...document.querySelectorAll('#pg-nets .pg-score')]"
            ".every(score => score.textContent.includes(' of '))",
            timeout=300_000,
        )
    except Exception as error:  # playwright's own, which is imported later
        yield f"from a file: the playground does not learn: {str(error).splitlines()[0]}"
    page.close()


def check_accessibility(page, axe) -> Iterator[str]:
    """Yield axe-core's serious faults, in light and in dark mode."""
    # or colours would be measured on the way from one mode to the other
    page.add_style_tag(content="* {transition: none !important}")
    for mode in ("light", "dark"):
        page.evaluate(SET_MODE, mode)
        for fault in axe.run(page).response["violations"]:
            if fault["impact"] in ("serious", "critical"):
                at = " ".join(map(str, fault["nodes"][0]["target"]))
                yield f"{mode} mode: {fault['id']}: {fault['help']} at {at} ({len(fault['nodes'])})"


def check_in_browser(site: Path) -> Iterator[str]:
    """Yield all that is wrong with the pages in a browser."""
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    axe = Axe()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_browser(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        for name in pages_for_readers(site):
            for width, size in WIDTHS.items():
                visit = Visit(browser, site, size)
                yield from (f"{name}: {width}: {fault}" for fault in visit.open(name))
                if width == "desktop":
                    more = [*visit.page.evaluate(PICTURES), *check_figures(visit.page)]
                    if visit.page.locator("#playground").count():
                        more += check_playground(visit.page)
                        more += check_playground_from_a_file(browser, site / name)
                        more += visit.foreign + visit.errors
                else:
                    more = [*check_accessibility(visit.page, axe)]
                yield from (f"{name}: {fault}" for fault in more)
                visit.page.context.close()
        browser.close()


def find_browser() -> str | None:
    """Return the path of this machine's Chromium or Chrome, or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def pages_for_readers(site: Path) -> list[str]:
    """List the pages of a site, without what Sphinx adds."""
    paths = (path.relative_to(site).as_posix() for path in sorted(site.rglob("*.html")))
    return [path for path in paths if not path.startswith(NOT_FOR_READERS)]


def main(arguments: list[str] | None = None) -> int:
    """Check a built site, print what was found, and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("site", type=Path, help="the folder with the built pages")
    parser.add_argument(
        "--require-browser",
        action="store_true",
        default=os.environ.get("CI", "").lower() in ("true", "1"),
        help="fail where there is no Chromium (the default where the variable CI is true)",
    )
    given = parser.parse_args(arguments)
    site = given.site.resolve()
    pages = pages_for_readers(site)
    if not pages:
        print(f"{site} holds no page; build the book first: make book")
        return 1
    found = check_links(site)
    how = f"opened in Chromium at {' and '.join(str(w) for w, _ in WIDTHS.values())} pixels"
    if find_browser():
        found = chain(found, check_in_browser(site))
    else:
        how = "links checked; NOT opened, as there is no Chromium on this machine"
        if given.require_browser:
            found = chain(found, ["A browser is required here; install Chromium or Chrome."])
    faults = set()
    for fault in found:
        if fault not in faults:
            faults.add(fault)
            print(fault, flush=True)
    print(f"{len(pages)} pages {how}: {len(faults)} fault(s)")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
