"""The book's own Sphinx extensions: diagrams, mended pages, and the API reference's links."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import yaml
from sphinx.testing.util import SphinxTestApp

import tlcourse

BOOK = Path(__file__).parent.parent / "book"
sys.path.insert(0, str(BOOK / "_ext"))

import api_pages  # noqa: E402 - the folder has to be found first
import site_repairs  # noqa: E402


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
    app.cleanup()  # or the next one warns of its nodes
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


def test_a_long_signature_is_no_list_of_definitions_and_a_list_stays_one():
    definitions = "<dl>\n<dt>a</dt><dd>b</dd>\n</dl>"
    lines = "<dl>\n<dd><em>x</em>,</dd>\n<dd>y,</dd>\n</dl>"
    assert site_repairs.mend(lines + definitions) == (
        '<div class="sig-lines">\n<div><em>x</em>,</div>\n<div>y,</div>\n</div>' + definitions
    )


def write_notebook(path, *cells):
    path.parent.mkdir(parents=True, exist_ok=True)
    make = {"code": nbformat.v4.new_code_cell, "text": nbformat.v4.new_markdown_cell}
    notebook = nbformat.v4.new_notebook(
        cells=[make[kind](text) for kind, text in cells],
        metadata={"language_info": {"name": "python", "pygments_lexer": "ipython3"}},
    )
    nbformat.write(notebook, path)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """Build a reference of two doors to one package, with three chapters; return its pages."""
    folder = tmp_path_factory.mktemp("reference")
    for name, text in {
        "toolbox/__init__.py": "",
        "toolbox/shared.py": '''
from numpy.typing import ArrayLike

def average(x: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Average.

    Returns
    -------
    float, shape (n_, 1)
    """
''',
        "toolbox/one/__init__.py": '''
from toolbox.one.part.layers import Net, merge
from toolbox.shared import average
__all__ = ["Net", "average", "fit", "merge"]

def fit(net: Net) -> Net:
    """Fit `Net`; see `merge`."""
''',
        "toolbox/one/part/__init__.py": "",
        "toolbox/one/part/layers.py": '''
class Net(dict):
    """A net."""

    def run(self):
        """Run."""

def merge():
    """Merge."""
''',
        "toolbox/two.py": '''
from toolbox.shared import average
__all__ = ["average", "fit"]

def fit():
    """Fit otherwise."""
''',
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    source = folder / "source"
    write_notebook(
        source / "book/1-first.ipynb",
        ("text", "# First\n\n`t.fit`, `fit`, `average`, `merge` and `t.gone`"),
        ("code", "import toolbox.one as t\nt.fit(t.Net())"),
    )
    write_notebook(
        source / "book/2-second.ipynb",
        ("text", "# Second\n\n`t.fit(net, ...)` and `merge()`"),
        ("code", "import toolbox.two as t\nfrom toolbox.one import merge\nt.fit()\nmerge()"),
    )
    write_notebook(
        source / "book/exercises/1-first.ipynb",
        ("text", "# Exercises"),
        ("code", "import toolbox.one as t\nt.fit()\nt.average([1])"),
    )
    pages = {
        "core": "Core\n====\n\nAn introduction.\n\n.. api:: toolbox.one\n   :but: part\n",
        "part": "Part\n====\n\n.. api:: toolbox.one\n   :part: part\n",
        "two": "Two\n===\n\n.. api:: toolbox.two\n",
        "index": "I\n=\n\n.. toctree::\n   :glob:\n\n   *\n   book/**\n",
    }
    for name, text in pages.items():
        (source / f"{name}.rst").write_text(text, encoding="utf-8")
    (source / "conf.py").write_text(
        "extensions = ['sphinx.ext.autodoc', 'sphinx.ext.autosummary', 'numpydoc', 'myst_nb',"
        " 'api_pages']\n"
        "api_modules = ['toolbox.one', 'toolbox.two']\n"
        "nb_execution_mode = 'off'\nnitpicky = True\ndefault_role = 'py:obj'\n"
        "nitpick_ignore_regex = [('py:class', '.*')]\nautosummary_generate = False\n"
        "autodoc_default_options = {'members': True, 'inherited-members': True}\n"
        "numpydoc_show_class_members = False\n",
        encoding="utf-8",
    )
    sys.path.insert(0, str(folder))
    try:
        app = SphinxTestApp("html", srcdir=source)
        app.build()
        app.cleanup()
    finally:
        sys.path.remove(str(folder))
    assert app.warning.getvalue() == ""
    return {
        path.relative_to(app.outdir).with_suffix("").as_posix(): path.read_text(encoding="utf-8")
        for path in app.outdir.rglob("*.html")
    }


def links(page):
    """Return the names in a page's text and code that lead to the reference, and where to."""
    text = re.sub(r"</?span[^>]*>", "", page)
    found = re.findall(r'<a class="[^"]*" href="([^"#]*#toolbox[^"]+)"[^>]*>(.*?)</a>', text)
    return [(re.sub("<[^>]*>", "", name), goal) for goal, name in found]


def test_inline_code_leads_to_the_door_that_the_page_imports(reference):
    assert ("t.fit", "../core.html#toolbox.one.fit") in links(reference["book/1-first"])
    assert ("t.fit(net, ...)", "../two.html#toolbox.two.fit") in links(reference["book/2-second"])


def test_a_bare_name_is_a_link_only_where_the_page_calls_it(reference):
    found = dict(links(reference["book/1-first"]))
    assert found["fit"] == "../core.html#toolbox.one.fit"
    assert not {"average", "merge", "t.gone"} & set(found)


def test_names_in_code_cells_lead_to_their_entries(reference):
    first, second = (links(reference[f"book/{name}"]) for name in ("1-first", "2-second"))
    assert ("t.Net", "../part.html#toolbox.one.Net") in first
    assert first.count(("t.fit", "../core.html#toolbox.one.fit")) == 2  # in the text, in the code
    assert ("t.fit", "../two.html#toolbox.two.fit") in second
    assert ("merge", "../part.html#toolbox.one.merge") in second


def test_entries_stand_in_their_part_once_and_with_what_is_the_package_s_own(reference):
    assert 'id="toolbox.one.merge"' in reference["part"]
    assert 'id="toolbox.one.merge"' not in reference["core"]
    assert 'id="toolbox.one.Net.run"' in reference["part"]
    assert "Net.popitem" not in reference["part"]
    assert 'id="toolbox.two.average"' not in reference["two"]
    assert 'href="core.html#toolbox.one.average"' in reference["two"]
    assert 'id="module-toolbox.one"' in reference["core"]


def test_an_entry_names_the_chapter_that_teaches_it_and_the_others(reference):
    text = re.sub(r"<[^>]*>", "", reference["core"])
    assert "Taught in chapter 1." in text  # fit
    assert "Taught in the exercises of chapter 1." in text  # average
    assert 'href="book/1-first.html"' in reference["core"]
    assert "Taught in chapter 2." in re.sub(r"<[^>]*>", "", reference["part"])  # merge


@pytest.mark.parametrize(
    ("entry", "note"),
    [
        ("tlcourse.torch.lora", "Taught in chapter :doc:`4 </book/04-p>`; also used in :doc:`13"),
        ("tlcourse.torch.adapt", "Taught in chapter :doc:`6 </book/06-d>`; also used in :doc:`5 "),
        ("tlcourse.torch.fit", "Taught in chapter :doc:`4 </book/04-p>`; also used in :doc:`2 "),
        ("tlcourse.keras.fit", "See `tlcourse.torch.fit`."),
        ("tlcourse.keras.lora", "See `tlcourse.torch.lora`."),
        ("tlcourse.study.fit", None),
    ],
)
def test_the_chapter_about_the_subject_teaches_or_else_the_first_that_dwells_on_it(entry, note):
    index = SimpleNamespace(
        chapters={"parameter": "book/04-p", "feature": "book/05-f", "gap": "book/06-d"},
        homes={
            "tlcourse.torch.lora": ["tlcourse", "torch", "parameter", "lora"],
            "tlcourse.torch.adapt": ["tlcourse", "torch", "feature", "gap"],
            "tlcourse.torch.fit": ["tlcourse", "torch", "training"],
        },
        uses={
            "tlcourse.torch.lora": {"book/04-p": 1, "book/13-h": 5},
            "tlcourse.torch.adapt": {"book/05-f": 5, "book/06-d": 1},
            "tlcourse.torch.fit": {"book/02-c": 2, "book/04-p": 3, "book/13-h": 4},
        },
    )
    lines = api_pages.where_taught(index, entry)
    assert lines[3].startswith(note) if note else lines == []


def test_array_like_is_called_by_its_name(reference):
    text = re.sub(r"<[^>]*>", "", reference["core"])
    assert "average(x: ArrayLike, weights: ArrayLike | None = None)" in text


def test_a_fitted_name_s_underscore_is_no_markup(reference):
    assert "float, shape (n_, 1)" in re.sub(r"<[^>]*>", "", reference["core"])


def test_every_public_name_of_the_package_stands_in_the_reference():
    root = BOOK.parent
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    modules = config["sphinx"]["config"]["api_modules"]
    inner = set(tlcourse.__all__)
    assert {module.removeprefix("tlcourse.") for module in modules} == inner
    pages = [path.read_text(encoding="utf-8") for path in (BOOK / "api").glob("*.rst")]
    for module in modules:
        assert any(f".. api:: {module}\n" in page for page in pages), module
    parts = {path.name for path in (root / "tlcourse" / "torch").iterdir() if path.is_dir()}
    shown = set(re.findall(":part: (.*)", "\n".join(pages)))
    left_out = set(re.search(":but: (.*)", "\n".join(pages))[1].split())
    assert shown == left_out == parts - {"__pycache__"}
