"""The book's own Sphinx extensions: diagrams drawn at build, and pages mended after it."""

import sys
from pathlib import Path

import pytest
from sphinx.testing.util import SphinxTestApp

BOOK = Path(__file__).parent.parent / "book"
sys.path.insert(0, str(BOOK / "_ext"))

import site_repairs  # noqa: E402 - the folder has to be found first


def build(folder, text):
    """Build one page with both extensions; return its HTML and the warnings."""
    source = folder / "source"
    source.mkdir()
    (source / "conf.py").write_text(
        "extensions = ['myst_parser', 'mermaid_svg', 'site_repairs']\n", encoding="utf-8"
    )
    (source / "index.md").write_text(text, encoding="utf-8")
    app = SphinxTestApp("html", srcdir=source)
    app.build()
    return (app.outdir / "index.html").read_text(encoding="utf-8"), app.warning.getvalue()


def test_a_diagram_becomes_svg_with_its_text_and_alt(tmp_path):
    page, warnings = build(
        tmp_path, "# T\n\n```{mermaid}\n:alt: a & b\nflowchart LR\n  one --> two\n```\n"
    )
    assert warnings == ""
    assert 'role="img" aria-label="a &amp; b"' in page and "<svg" in page and "two" in page
    assert "<script" not in page[page.index("<svg") : page.index("</svg>")]


@pytest.mark.parametrize(
    ("directive", "warning"),
    [
        ("```{mermaid}\nflowchart LR\n  one --> two\n```", "needs an :alt: text"),
        ("```{mermaid}\n:alt: x\nflowchart LR\n  one --> [[[\n```", "cannot draw this diagram"),
    ],
)
def test_a_diagram_without_alt_or_with_a_mistake_is_a_warning(tmp_path, directive, warning):
    assert warning in build(tmp_path, f"# T\n\n{directive}\n")[1]


def test_pages_lose_what_they_should_not_have_and_nothing_else():
    kept = (
        '<script src="a.js"></script><script>let x = 1;</script>'
        '<link href="vendor/fontawesome/css/all.min.css" rel="stylesheet" />'
    )
    page = kept + (
        '<script src="../_static/vendor/fontawesome/6/js/all.min.js?digest=1"></script>'
        '<script>const THEBE_JS_URL = "x"; const y = 1</script>'
        '<script async="async" src="../_static/sphinx-thebe.js?v=1"></script>'
    )
    assert site_repairs.mend(page) == kept
    assert site_repairs.mend(kept) == kept
