"""Notebooks that the tests have run are not run again to build the book."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
from jupyter_cache import get_cache

BOOK = Path(__file__).parent.parent / "book"


def run_book(folder, *sources):
    """Test a notebook with these cells the way `make test` does; return it as it is stored."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in sources],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    book = folder / "book"
    book.mkdir()
    nbformat.write(notebook, book / "page.ipynb")
    shutil.copy(BOOK / "conftest.py", book)
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "1", "--nbval-lax", "book"],
        cwd=folder,
        env=dict(os.environ, MPLBACKEND="agg"),
        capture_output=True,
        check=False,
    )
    return notebook, get_cache(folder / "_build" / ".jupyter_cache")


def test_outputs_of_a_tested_notebook_are_found_by_the_build(tmp_path):
    notebook, cache = run_book(
        tmp_path,
        "x = 6",
        "from matplotlib import pyplot as plt\nplt.plot([x, 7]);",
        "import os\nprint(os.environ['TLCOURSE_EXPLORE'], x * 7)",
    )
    _, executed = cache.merge_match_into_notebook(notebook)
    assert "image/png" in executed.cells[1].outputs[0].data
    assert executed.cells[2].outputs[0].text == "frames 42\n"
    assert [cell.execution_count for cell in executed.cells] == [1, 2, 3]


def test_a_notebook_that_fails_is_not_kept(tmp_path):
    _, cache = run_book(tmp_path, "x = 6", "assert x == 7", "x = 8")
    assert cache.list_cache_records() == []
