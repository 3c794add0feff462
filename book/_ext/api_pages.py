"""The API reference: entries from docstrings, and links between them and the chapters.

Design choices
--------------
- The directive ``api`` documents what a module calls public, so no page has to list it by hand. An
  object that two modules offer has one entry, with the first of ``api_modules`` in _config.yml.
- The chapters' own code says which object a name means on that page: ``tl`` is the door that the
  page imports, and a bare ``fit`` is a link only where the page's code calls just one of them.
- Inline code and names in code cells become links, and an entry names the chapters that use it.
  Nothing of this is written in a chapter or a docstring, so nothing of it can go out of date.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from docutils import nodes
from docutils.parsers.rst import directives
from nbformat import NotebookNode
from numpy.typing import ArrayLike
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import stringify_annotation

USUAL = {"tl": "tlcourse.torch", "tk": "tlcourse.keras"}  # where a page has no code of its own
_CODE = re.compile(r"([A-Za-z_]\w*(?:\.\w+)*)(?:\(.*\))?", re.DOTALL)
_HIGHLIGHTED = re.compile(  # tl.fine_tune, or study( as an imported name is called
    r'<span class="n">(\w+)</span><span class="o">\.</span><span class="n">(\w+)</span>'
    r'|(?<!<span class="o">\.</span>)<span class="n">(\w+)</span>(?=<span class="p">\()'
)
_FITTED = re.compile(r"(?<![`\\\w])(\w*[^\W_])_(?=[\s,.)\]]|$)")


def public_names(module_name: str) -> list[str]:
    """Return what a module calls public: its ``__all__``, or else what it defines itself."""
    module = importlib.import_module(module_name)
    return getattr(module, "__all__", None) or [
        name
        for name, thing in vars(module).items()
        if not name.startswith("_")
        and (inspect.isfunction(thing) or inspect.isclass(thing))
        and thing.__module__ == module_name
    ]


class ApiIndex:
    """Which entries there are, and which pages use them."""

    def __init__(self, modules: list[str], source: Path, chapters: dict[str, str] | None = None):
        self.modules = modules
        self.chapters = chapters or {}  # subpackage or module: the chapter about it
        self.homes: dict[str, list[str]] = {}  # entry: the parts of the module that defines it
        self.entries: dict[str, str] = {}  # every public name: the name that has the entry
        self.aliases: dict[str, dict[str, str]] = {}  # page: names that its imports bind
        self.uses: dict[str, Counter[str]] = defaultdict(Counter)  # entry: pages, how often
        entry_of: dict[int, str] = {}
        for module in modules:
            for name in public_names(module):
                full = f"{module}.{name}"
                thing = getattr(importlib.import_module(module), name)
                entry = self.entries[full] = entry_of.setdefault(id(thing), full)
                self.homes[entry] = thing.__module__.split(".")
        for path in sorted(source.rglob("*.ipynb")):
            relative = path.relative_to(source)
            if not any(part.startswith((".", "_")) for part in relative.parts):
                page = relative.with_suffix("").as_posix()
                self._read(page, nbformat.read(path, as_version=4))

    def _read(self, page: str, notebook: NotebookNode) -> None:
        """Note what a page imports, calls and names in its text."""
        code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
        tree = ast.parse(code)
        self.aliases[page] = dict(imported_names(tree))
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute | ast.Name):
                entry = self.entries.get(self.expand(page, ast.unparse(node)))
                if entry:
                    self.uses[entry][page] += 1
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                for text in re.findall("`([^`\n]+)`", cell.source):
                    entry = self.find(page, text)
                    if entry:
                        self.uses[entry][page] += 1

    def expand(self, page: str, name: str) -> str:
        """Return a name as it would be without the page's imports."""
        first, dot, rest = name.partition(".")
        return self.aliases.get(page, {}).get(first, USUAL.get(first, first)) + dot + rest

    def find(self, page: str, code: str) -> str | None:
        """Return the entry or module that inline code on a page means, or None."""
        match = _CODE.fullmatch(code)
        if not match:
            return None
        name = match[1]
        if "." in name:
            full = self.expand(page, name)
            return self.entries.get(full) or (full if full in self.modules else None)
        called = [e for e, pages in self.uses.items() if page in pages and e.endswith(f".{name}")]
        return called[0] if len(called) == 1 else None


def imported_names(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the names that imports bind, each with what it stands for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname:
                    yield alias.asname, alias.name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


class Api(SphinxDirective):
    """``.. api:: module``: a table of what is public there, and an entry for each.

    ``:part: name`` keeps what the module's subpackage of that name defines, ``:but: names`` leaves
    that out.
    """

    required_arguments = 1
    option_spec = {  # noqa: RUF012 - docutils' protocol
        "part": directives.unchanged_required,
        "but": directives.unchanged_required,
    }

    def run(self) -> list[nodes.Node]:
        """Return the table and the entries."""
        module = self.arguments[0]
        index = self.env.app.api_index
        names = sorted(filter(self._belongs, public_names(module)), key=str.lower)
        entries = {name: index.entries[f"{module}.{name}"] for name in names}
        announce = "currentmodule" if "part" in self.options else "py:module"
        lines = [
            f".. {announce}:: {module}",
            "",
            f"In ``{module}``:",  # this paragraph carries the module's anchor
            "",
            ".. autosummary::",
            "   :nosignatures:",
            "",
            *(
                f"   {name if entry == f'{module}.{name}' else f'~{entry}'}"
                for name, entry in entries.items()
            ),
            "",
        ]
        for name, entry in entries.items():
            if entry == f"{module}.{name}":
                kind = "class" if inspect.isclass(self._thing(name)) else "function"
                lines += [f".. auto{kind}:: {name}", ""]
        return self.parse_text_to_nodes("\n".join(lines))

    def _thing(self, name: str) -> object:
        return getattr(importlib.import_module(self.arguments[0]), name)

    def _belongs(self, name: str) -> bool:
        """Tell whether a public name is among those that the options ask for."""
        home = f"{self._thing(name).__module__}."

        def within(part: str) -> bool:
            return home.startswith(f"{self.arguments[0]}.{part}.")

        if "part" in self.options:
            return within(self.options["part"])
        return not any(map(within, self.options.get("but", "").split()))


class LinkInlineCode(SphinxTransform):
    """Make inline code that names an entry a link to it."""

    default_priority = 800

    def apply(self) -> None:
        """Wrap the literals of a page that is not of the reference itself."""
        page = self.env.docname
        if Path(self.env.doc2path(page)).suffix == ".rst":
            return
        for literal in list(self.document.findall(nodes.literal)):
            entry = self.app.api_index.find(page, literal.astext())
            if entry and not isinstance(literal.parent, nodes.title | nodes.reference):
                link = pending_xref(
                    "", refdomain="py", reftype="obj", reftarget=entry, refdoc=page, refwarn=True
                )
                literal.replace_self(link)
                literal["classes"].append("api-link")
                link += literal


def link_code_cells(
    app: Sphinx,
    page: str,
    template: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    """Make the package's names in a page's highlighted code links to their entries."""
    if page not in app.api_index.aliases:
        return
    objects = app.env.get_domain("py").objects

    def link(match: re.Match[str]) -> str:
        name = f"{match[1]}.{match[2]}" if match[1] else match[3]
        entry = app.api_index.entries.get(app.api_index.expand(page, name))
        if entry not in objects:
            return match[0]
        place = app.builder.get_relative_uri(page, objects[entry].docname)
        return f'<a class="api-link" href="{place}#{objects[entry].node_id}">{match[0]}</a>'

    context["body"] = _HIGHLIGHTED.sub(link, context["body"])


def where_taught(index: ApiIndex, entry: str) -> list[str]:
    """Return the lines that name the chapter that teaches an entry, and the others that use it.

    The chapter about the entry's subpackage if it uses the entry, or else the first chapter that
    uses it more than half as often as any. Where no chapter does, the same verb of the other door.
    """
    uses = index.uses.get(entry, {})
    chapters = {page: n for page, n in uses.items() if Path(page).parent.name != "exercises"}
    pages = chapters or uses
    module, _, name = entry.rpartition(".")
    if not pages and module in USUAL.values():
        twins = [f"{door}.{name}" for door in USUAL.values() if door != module]
        return [line for twin in twins if index.uses.get(twin) for line in note(f"See `{twin}`.")]
    if not pages:
        return []
    about = [index.chapters[part] for part in index.homes[entry] if part in index.chapters]
    about = [page for page in about if page in pages]
    enough = max(pages.values()) / 2
    # The chapter of the innermost module, or the first that uses it much.
    best = about[-1] if about else min(page for page, n in pages.items() if n > enough)

    def link(page: str) -> str:
        return f":doc:`{int(Path(page).name.partition('-')[0])} </{page}>`"

    text = f"Taught in {'chapter' if chapters else 'the exercises of chapter'} {link(best)}"
    others = ", ".join(link(page) for page in sorted(pages) if page != best)
    text += f"; also used in {others}." if others else "."
    return note(text)


def note(text: str) -> list[str]:
    """Return the lines of a paragraph in the style of such notes."""
    return ["", ".. rst-class:: taught-in", "", text, ""]


def add_where_taught(
    app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]
) -> None:
    """Say after an entry's first paragraph where it is taught."""
    end = next((place for place, line in enumerate(lines) if not line.strip()), len(lines))
    lines[end:end] = where_taught(app.api_index, name)


def escape_fitted_names(
    app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]
) -> None:
    """Keep a fitted attribute's last underscore, in shapes for example, from being markup."""
    lines[:] = [
        line if line.lstrip().startswith((">>>", "...")) else _FITTED.sub(r"\1\\_", line)
        for line in lines
    ]


def shorten_types(
    app: Sphinx,
    what: str,
    name: str,
    thing: object,
    options: object,
    signature: str | None,
    returned: str | None,
) -> tuple[str | None, str | None]:
    """Call NumPy's ``ArrayLike`` by its name, not by the dozen types that it stands for."""
    long = stringify_annotation(ArrayLike, "smart")
    return signature and signature.replace(long, "ArrayLike"), returned


def skip_what_is_not_ours(
    app: Sphinx, what: str, name: str, thing: object, skip: bool, options: object
) -> bool | None:
    """Leave out what a class inherits from other packages."""
    home = getattr(getattr(thing, "fget", None) or thing, "__module__", None) or ""
    top = app.config.api_modules[0].partition(".")[0]
    return None if home.partition(".")[0] == top else True


def read_chapters(app: Sphinx) -> None:
    """Index modules and notebooks before any page is read."""
    app.api_index = ApiIndex(app.config.api_modules, Path(app.srcdir), app.config.api_chapters)


def setup(app: Sphinx) -> dict[str, object]:
    """Register directive, links and notes."""
    app.add_config_value("api_modules", [], "env")
    app.add_config_value("api_chapters", {}, "env")
    app.add_directive("api", Api)
    app.add_transform(LinkInlineCode)
    app.connect("builder-inited", read_chapters)
    app.connect("autodoc-process-docstring", add_where_taught, priority=400)  # before numpydoc's
    app.connect("autodoc-process-docstring", escape_fitted_names, priority=600)  # after it
    app.connect("autodoc-process-signature", shorten_types)
    app.connect("autodoc-skip-member", skip_what_is_not_ours)
    app.connect("html-page-context", link_code_cells)
    return {"version": "1", "parallel_read_safe": True}
