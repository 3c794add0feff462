"""The ``claim`` role: a sentence that an executed cell holds up, with its evidence behind a mark.

``{claim}`the probe leads by {lead:.2f} <probe-leads>``` becomes the sentence, with the numbers
that ``tlcourse.claims.claim("probe-leads", ...)`` has shown in the same page, and a button that
opens the condition and these numbers.

Design choices
--------------
- A role without an executed claim, a claim without a role, and a name that stands twice are
  warnings, and the book is built with warnings as errors.
- The evidence is an HTML popover: it opens and closes by pointer, keyboard and screen reader
  without a script of ours.
"""

import html
from contextlib import suppress
from pathlib import Path

import nbformat
from docutils import nodes
from jupyter_cache import get_cache
from sphinx.util import logging
from sphinx.util.docutils import ReferenceRole

MIME_TYPE = "application/vnd.tlcourse.claim+json"
logger = logging.getLogger(__name__)


class Claim(nodes.Inline, nodes.TextElement):
    """A sentence that waits for its executed claim."""


class ClaimRole(ReferenceRole):
    """``{claim}`sentence <name>```."""

    def run(self):
        """Return the sentence; its evidence is known only when the whole page is read."""
        if not self.has_explicit_title:
            message = f"claim {self.target!r} has no name; write {{claim}}`sentence <name>`"
            error = self.inliner.reporter.error(message, line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, error)], [error]
        node = Claim(self.rawtext, sentence=self.title, name=self.target)
        self.set_source_info(node)
        return [node], []


def executed_claims(config, page):
    """Return the claims that a page's executed notebook has published, in order."""
    path = Path(config.output_folder) / f"{page}.ipynb"
    if not path.is_file():
        return []
    notebook = nbformat.read(path, as_version=4)
    if config.execution_mode == "cache":
        # MyST-NB writes a notebook that it takes from the cache without its outputs
        with suppress(KeyError):
            cache = get_cache(config.execution_cache_path)
            _, notebook = cache.merge_match_into_notebook(notebook)
    return [
        output["data"][MIME_TYPE]
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if MIME_TYPE in output.get("data", {})
    ]


def resolve(app, doctree):
    """Give each sentence of a page its numbers and its evidence, and warn of what does not fit."""
    page = app.env.docname
    executed = executed_claims(app.env.mystnb_config, page)
    claims, used = {}, set()
    for claim in executed:
        if claim["name"] in claims:
            warn(f"claim {claim['name']!r} is made twice", page)
        claims[claim["name"]] = claim
    for node in list(doctree.findall(Claim)):
        name = node["name"]
        if name in used:
            warn(f"two sentences have the claim {name!r}", node)
        used.add(name)
        if name in claims:
            node.replace_self(marked(node, claims[name]))
        else:
            warn(f"the sentence of claim {name!r} has no executed claim behind it", node)
            node.replace_self(nodes.Text(node["sentence"]))
    for name in claims.keys() - used:
        warn(f"claim {name!r} has no sentence; add the role or drop the claim", page)


def marked(node, claim):
    """Return the sentence with its numbers, its mark, and the evidence that the mark opens."""
    try:
        sentence = node["sentence"].format(**claim["shown"])
    except (KeyError, ValueError, TypeError, IndexError) as error:
        warn(f"the sentence of claim {claim['name']!r} cannot take its numbers: {error}", node)
        sentence = node["sentence"]
    key = nodes.make_id(f"claim-{claim['name']}")
    condition, given = (html.escape(claim[part]) for part in ("condition", "given"))
    mark = (
        f'<button type="button" class="claim-mark" popovertarget="{key}" '
        'aria-label="Evidence for this sentence">✓</button>'
        f'<span popover id="{key}" class="claim-evidence"><span>Checked when this page was '
        f"built:</span> <code>{condition}</code> <span>with {given}</span></span>"
    )
    inline = nodes.inline("", "", classes=["claim"])
    inline += [nodes.Text(sentence), nodes.raw("", mark, format="html")]
    return inline


def warn(message, location):
    """Warn; the build counts it as an error."""
    logger.warning(message, location=location, type="claim")


def setup(app):
    """Register the role."""
    app.add_node(Claim)
    app.add_role("claim", ClaimRole())
    app.connect("doctree-read", resolve)
    return {"version": "1", "parallel_read_safe": True}
