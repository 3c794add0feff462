"""The ``playground`` directive: a page that trains, from the modules in ``_static/playground``.

Design choices
--------------
- Browsers load no modules, no workers and no data from a page that is a file. So the modules are
  joined into one classic script, whose worker starts from its own text, and the letters net and
  some digits become a second script. Both are written when the site is built, from the modules,
  the package's weights and scikit-learn, and stand nowhere else.
- Each module keeps a scope of its own: it becomes a function that returns what it exports.
- The weights are embedded in half precision, which changes a logit by less than 0.02 and halves
  their size.
"""

import base64
import json
import re
from pathlib import Path

import numpy as np
from docutils import nodes
from safetensors.numpy import save
from sklearn.datasets import load_digits
from sphinx.util.docutils import SphinxDirective

from tlcourse import weights

SOURCES = Path(__file__).parent.parent / "_static" / "playground"
EACH = 14  # handwritten pictures of each digit
FILES = ("playground-data.js", "playground.js", "playground.css")

_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./(\w+)\.mjs";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?(?:function\*?|class|const) (\w+))", re.MULTILINE)


class Playground(SphinxDirective):
    """``{playground}``: the page's controls; its scripts are loaded on this page only."""

    def run(self):
        """Return the controls."""
        self.env.metadata[self.env.docname]["playground"] = "yes"
        self.env.note_dependency(str(SOURCES / "playground.html"))
        text = (SOURCES / "playground.html").read_text(encoding="utf-8")
        return [nodes.raw("", text, format="html")]


def bundle(*entries):
    """Join modules and all that they import into the text of one classic script."""
    done = []

    def visit(name):
        if name in done:
            return ""
        text = (SOURCES / f"{name}.mjs").read_text(encoding="utf-8")
        before = "".join(visit(imported) for _, imported in _IMPORT.findall(text))
        done.append(name)
        text = _IMPORT.sub(r"const {\1} = \2Module;\n", text)
        exported = [own for _, own in _EXPORT.findall(text)]
        text = _EXPORT.sub(r"\1", text)
        if re.search(r"^(import|export)\b", text, re.MULTILINE):
            raise ValueError(f"{name}.mjs imports or exports in a way that cannot be joined.")
        given = f"return {{ {', '.join(exported)} }};"
        return f"{before}const {name}Module = (() => {{\n{text}{given}\n}})();\n"

    return "".join(map(visit, entries))


def script():
    """Return the page's script, with the worker's in it as a function."""
    strict = '"use strict";\n'
    worker = f"{strict}{bundle('worker')}workerModule.serve(self);\n"
    page = f"{strict}{bundle('page')}pageModule.start(playgroundWork, playgroundFiles);\n"
    return f"function playgroundWork() {{\n{worker}}}\n(() => {{\n{page}}})();\n"


def embedded_data():
    """Return the script that holds the letters net and real handwriting, as base64."""
    state = {
        name: array.astype(np.float16).view(np.uint16)
        for name, array in weights.load_arrays("letters").items()
        if name.startswith("backbone") and array.ndim
    }
    digits = load_digits()
    first = [np.flatnonzero(digits.target == digit)[:EACH] for digit in range(10)]
    pixels = digits.images[np.concatenate(first)].astype(np.uint8)
    files = {
        "letters": base64.b64encode(save(state)).decode(),
        "digits": {"pixels": base64.b64encode(pixels.tobytes()).decode(), "each": EACH},
    }
    return f"const playgroundFiles = {json.dumps(files)};\n"


def load_scripts(app, page, template, context, doctree):
    """Have the page with the playground load its files; others do not."""
    if app.env.metadata.get(page, {}).get("playground"):
        app.add_css_file(FILES[2])
        for name in FILES[:2]:
            app.add_js_file(name, loading_method="defer")


def write_files(app, exception):
    """Write the scripts and the style sheet beside the site's other ones."""
    if exception is None and app.builder.format == "html":
        folder = Path(app.outdir) / "_static"
        style = (SOURCES / "playground.css").read_text(encoding="utf-8")
        for name, text in zip(FILES, (embedded_data(), script(), style), strict=True):
            (folder / name).write_text(text, encoding="utf-8")


def setup(app):
    """Register the directive and the files."""
    app.add_directive("playground", Playground)
    app.connect("html-page-context", load_scripts)
    app.connect("build-finished", write_files)
    return {"version": "1", "parallel_read_safe": True}
