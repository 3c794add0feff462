"""The ``mermaid`` directive: a diagram drawn when the book is built, as SVG in the page.

Design choices
--------------
- Mermaid's own script weighs 3.5 MB and draws only where JavaScript runs. Drawn beforehand, a
  diagram is some kilobytes and always shows.
- It is one colour scheme on a light card, so that it is readable in dark mode too.
"""

import html
import re

import mermaidx
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

_NO_ROLES = re.compile(r' (?:role|aria-roledescription)="[^"]*"')  # the figure has them


class Mermaid(SphinxDirective):
    """``{mermaid}``: the content is the diagram, the option ``alt`` says what it shows."""

    has_content = True
    option_spec = {"alt": directives.unchanged_required}  # noqa: RUF012 - docutils' protocol

    def run(self):
        """Return the figure."""
        if "alt" not in self.options:
            raise self.error("a mermaid diagram needs an :alt: text for those who cannot see it")
        try:
            svg = str(mermaidx.render("\n".join(self.content)).svg())
        except Exception as error:
            raise self.error(f"Mermaid cannot draw this diagram: {error}") from error
        svg = _NO_ROLES.sub("", svg)
        alt = html.escape(self.options["alt"], quote=True)
        figure = f'<figure class="mermaid-svg" role="img" aria-label="{alt}">{svg}</figure>'
        return [nodes.raw("", figure, format="html")]


def setup(app):
    """Register the directive."""
    app.add_directive("mermaid", Mermaid)
    return {"version": "1", "parallel_read_safe": True}
