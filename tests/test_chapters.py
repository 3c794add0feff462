"""The form of the book's pages: cells that fit, numbers that come from cells, claims with roles."""

import json
import re
import statistics
from pathlib import Path

import pytest

BOOK = Path(__file__).parent.parent / "book"
NOTEBOOKS = sorted([*BOOK.glob("*.ipynb"), *BOOK.glob("exercises/*.ipynb")])
CHAPTERS = sorted(BOOK.glob("*.ipynb"))
TEXTS = sorted(set(BOOK.glob("*.md")) - {BOOK / "bibliography.md"})
COLUMN = 72  # characters of code that fit beside the margin at 1280 pixels

NOT_PROSE = [
    r"^(`{3,}|~{3,})(?!\{).*?^\1",  # code
    r"\{claim\}`[^`]*`",
    r"`[^`]*`",  # inline code, and the other roles
    r"\$\$.*?\$\$",
    r"\$[^$]*\$",
    r"\]\([^)]*\)",
    r"https?://\S+",
]
A_MEASURED_NUMBER = r"(?<![\w.,-])(\d+\.\d+|\d+(?:\.\d+)?(?= ?%| per ?cent| points))(?![\w.]*\d)"


def name(path):
    return path.relative_to(BOOK).with_suffix("").as_posix()


def cells(path, kind):
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in found if cell["cell_type"] == kind]


def typed_numbers(text, code=""):
    """Return the measured numbers that stand in prose, and neither in code nor beside a source."""
    kept = "\n".join(line for line in text.split("\n") if "{cite" not in line)
    for pattern in NOT_PROSE:
        kept = re.sub(pattern, " ", kept, flags=re.MULTILINE | re.DOTALL)
    numbers = re.findall(A_MEASURED_NUMBER, kept)
    settings = {float(number) for number in re.findall(r"\d+\.?\d*(?:e-?\d+)?", code)}
    return [one for one in numbers if not {float(one), float(one) / 100} & settings]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_code_fits_the_column_and_cells_are_short(path):
    code = [cell.split("\n") for cell in cells(path, "code")]
    wide = [line for cell in code for line in cell if len(line) > COLUMN]
    assert not wide, f"{len(wide)} lines are wider than {COLUMN} characters: {wide[:3]}"
    assert max(map(len, code)) <= 30 and statistics.median(map(len, code)) <= 8


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_prose_stands_before_each_cell_and_no_magic_in_it(path):
    previous = None
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            assert previous == "markdown", f"no prose before: {source[:60]!r}"
            assert not re.search(r"^\s*[!%]", source, re.MULTILINE), "no shell commands or magics"
        previous = cell["cell_type"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_notebooks_hold_no_outputs(path):
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None


@pytest.mark.parametrize("path", [*CHAPTERS, *TEXTS], ids=name)
def test_no_measured_number_is_typed(path):
    notebook = path.suffix == ".ipynb"
    text = "\n\n".join(cells(path, "markdown")) if notebook else path.read_text(encoding="utf-8")
    code = "\n".join(cells(path, "code")) if notebook else ""
    assert typed_numbers(text, code) == []


@pytest.mark.parametrize("path", CHAPTERS, ids=name)
def test_each_claim_has_its_sentence(path):
    """The build warns of it too; here it is found without executing anything."""
    text, code = "\n".join(cells(path, "markdown")), "\n".join(cells(path, "code"))
    sentences = re.findall(r"\{claim\}`[^`]*<([\w-]+)>`", text)
    claims = re.findall(r"""\bclaim\(\s*["']([\w-]+)["']""", code)
    assert len(sentences) == len(set(sentences)) >= 5 and len(claims) == len(set(claims))
    assert set(sentences) == set(claims)
    assert not re.search(r"^ *assert ", code, re.MULTILINE), "a claim has no role; use claim()"


def test_numbers_are_found_where_they_are_typed():
    text = (
        "It leads by 0.11, or 12 points; `x = 0.5`, $0.25$, {claim}`by {gain:.2f} <a>`, rate 0.003."
    )
    assert typed_numbers(text) == ["0.11", "12", "0.003"]
    assert typed_numbers(text, "fit(lr=3e-3)") == ["0.11", "12"]
    assert typed_numbers("90 % of 1.5 {cite}`one2020`") == []
    assert typed_numbers("about 84 % of cases, chapter 3.") == ["84"]
