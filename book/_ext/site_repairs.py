"""What the theme and its companions put into the pages and the site should not have.

Design choices
--------------
- Pages are mended after they are written, so nothing depends on the theme's templates. Each mend
  has a reason that the site check would report otherwise.
"""

import re
from pathlib import Path

MENDS = {
    # Icons come from the style sheet already; the same in JavaScript weighs 1.5 MB.
    re.compile(r"\s*<script[^>]*fontawesome[^>]*></script>"): "",
    re.compile(r'\s*<link rel="preload"[^>]*as="script"[^>]*fontawesome[^>]*>'): "",
    # Thebe is not used; its settings are declared twice, an error in every console.
    re.compile(r"\s*<script>const THEBE_JS_URL.*?</script>"): "",
    re.compile(r"\s*<script[^>]*sphinx-thebe\.js[^>]*></script>"): "",
    # A long signature is a list of definitions without terms.
    re.compile(r"<dl>\s*<dd>.*?</dl>", re.DOTALL): lambda found: (
        (found[0].replace("<dl>", '<div class="sig-lines">').replace("<dd>", "<div>"))
        .replace("</dl>", "</div>")
        .replace("</dd>", "</div>")
    ),
    # Entries of the bibliography are no list items.
    re.compile(r'<div role="list" class="citation-list">'): '<div class="citation-list">',
}


def mend(page):
    """Return a page's HTML without what should not be in it."""
    for pattern, replacement in MENDS.items():
        page = pattern.sub(replacement, page)
    return page


def mend_site(app, exception):
    """Mend every page after the build."""
    if exception is None and app.builder.format == "html":
        for path in Path(app.outdir).rglob("*.html"):
            before = path.read_text(encoding="utf-8")
            after = mend(before)
            if after != before:
                path.write_text(after, encoding="utf-8")


def use_small_mathjax(app, config):
    """Load only the parts of MathJax that _config.yml names, half of the whole in size."""
    config.mathjax_path = "mathjax/startup.js"


def setup(app):
    """Register the mending."""
    app.connect("config-inited", use_small_mathjax)
    app.connect("build-finished", mend_site)
    return {"version": "1", "parallel_read_safe": True}
