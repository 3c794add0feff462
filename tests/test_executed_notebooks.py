"""Notebooks run side by side for the site; what site or tests have run is not run again."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_cache import get_cache

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "scripts" / "execute_book.py"
sys.path.insert(0, str(SCRIPT.parent))

import execute_book  # noqa: E402 - the folder has to be found first


def write_notebook(folder, name, *sources):
    """Write a notebook with these cells; return it."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in sources],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    (folder / "book").mkdir(exist_ok=True)
    nbformat.write(notebook, folder / "book" / f"{name}.ipynb")
    return notebook


def cached(folder):
    return get_cache(folder / "_build" / ".jupyter_cache")


def test_book(folder):
    """Test the notebooks the way `make test` does."""
    shutil.copy(ROOT / "book" / "conftest.py", folder / "book")
    command = [sys.executable, "-m", "pytest", "-q", "-n", "1", "--nbval-lax", "book"]
    return subprocess.run(
        command, cwd=folder, env=dict(os.environ, MPLBACKEND="agg"), capture_output=True, text=True
    )


test_book.__test__ = False


def execute(folder):
    """Execute the notebooks the way `make book` does."""
    return subprocess.run(
        [sys.executable, str(SCRIPT), "book"], cwd=folder, capture_output=True, text=True
    )


CELLS = (
    "x = 6",
    "from matplotlib import pyplot as plt\nplt.plot([x, 7]);",
    "import os\nprint(os.environ['TLCOURSE_EXPLORE'], os.environ.get('OMP_NUM_THREADS'), x * 7)",
)


def assert_as_on_the_site(notebook, folder):
    _, executed = cached(folder).merge_match_into_notebook(notebook)
    assert "image/png" in executed.cells[1].outputs[0].data
    assert executed.cells[2].outputs[0].text.startswith("frames ")
    assert executed.cells[2].outputs[0].text.endswith(" 42\n")
    assert [cell.execution_count for cell in executed.cells] == [1, 2, 3]
    return executed


def test_outputs_of_a_tested_notebook_are_found_by_the_build(tmp_path):
    notebook = write_notebook(tmp_path, "page", *CELLS)
    test_book(tmp_path)
    assert_as_on_the_site(notebook, tmp_path)


def test_a_tested_notebook_that_fails_is_not_kept(tmp_path):
    write_notebook(tmp_path, "page", "x = 6", "assert x == 7", "x = 8")
    assert "1 failed" in test_book(tmp_path).stdout
    assert cached(tmp_path).list_cache_records() == []


def test_a_broken_notebook_is_named_and_the_others_are_executed_and_kept(tmp_path):
    good = write_notebook(tmp_path, "good", *CELLS)
    write_notebook(
        tmp_path, "broken", "divisor = 0", "def share(n):\n    return n / divisor\nshare(3)"
    )
    write_notebook(tmp_path, "crashed", "import os", "os._exit(1)")
    ran = execute(tmp_path)
    assert ran.returncode == 1, ran.stderr
    first, *lines = ran.stdout.splitlines()
    assert first.startswith("3 notebooks: 0 executed before, 3 to execute, 2 at a time")
    assert sum(line.startswith("[") and line.endswith(" left") for line in lines) == 3
    assert "/3] good done in" in ran.stdout and "/3] broken FAILED in" in ran.stdout
    assert "    share(3)" in lines  # the cell
    assert "    ZeroDivisionError: division by zero" in lines
    assert "\x1b" not in ran.stdout
    end = ran.stdout[ran.stdout.index("2 notebook(s) failed, so the book is not built:") :]
    assert "book/broken.ipynb: ZeroDivisionError: division by zero" in end
    assert "book/crashed.ipynb: DeadKernelError" in end

    executed = assert_as_on_the_site(good, tmp_path)
    assert executed.cells[2].outputs[0].text == "frames 1 42\n"
    assert len(cached(tmp_path).list_cache_records()) == 1
    assert list(json.loads((tmp_path / "_build" / "seconds.json").read_text())) == ["good"]


def test_what_is_in_the_cache_is_not_executed_again_until_its_text_changes(tmp_path):
    write_notebook(tmp_path, "page", "open('ran', 'a').write('x');")
    for _ in range(2):
        last = execute(tmp_path)
    assert last.returncode == 0
    assert last.stdout == "1 notebooks: 1 executed before, 0 to execute\n"
    assert (tmp_path / "book" / "ran").read_text() == "x"
    write_notebook(tmp_path, "page", "open('ran', 'a').write('y');")
    assert execute(tmp_path).returncode == 0
    assert (tmp_path / "book" / "ran").read_text() == "xy"


def test_the_longest_notebook_starts_first_and_the_unknown_one_counts_as_usual():
    forecast = execute_book.Forecast(
        {"a": 10.0, "b": 90.0, "gone": 20.0}, ["a", "b", "new"], workers=2
    )
    assert forecast.longest_first() == ["b", "new", "a"]


def test_the_forecast_shares_the_work_and_learns_the_machine_s_speed():
    forecast = execute_book.Forecast({"a": 40.0, "b": 20.0, "c": 20.0}, ["a", "b", "c"], workers=2)
    forecast.started = {"a": 0.0, "b": 0.0}
    assert forecast.seconds_left(0.0) == pytest.approx(40)  # 80 s of work for two
    assert forecast.seconds_left(10.0) == pytest.approx(30)
    forecast.finish("b", 40.0)  # twice as slow as expected
    assert forecast.seconds_left(40.0) == pytest.approx(40)  # a: 80 - 40, c: 40, shared by two
    forecast.started["c"] = 40.0
    forecast.finish("a", 80.0)
    assert forecast.seconds_left(60.0) == pytest.approx(20)
    forecast.finish("c", 40.0)
    assert forecast.seconds_left(80.0) == 0
