"""Testing the notebooks executes them, so `make book` need not: what ran without an error is kept.

Notebooks are run as the site runs them, with pictures inline and every frame of an interactive
figure. Each process writes the notebooks that it has run; the first one puts them into the
cache that Jupyter Book looks into. `make` empties that cache when package or settings change.
"""

import copy
import os
import shutil
import time
from pathlib import Path

import nbformat
import pytest

BUILD = Path(__file__).parent.parent / "_build"
EXECUTED = BUILD / "tested"
AS_ON_THE_SITE = {
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "TLCOURSE_EXPLORE": "frames",
}


def pytest_configure(config):
    """Begin without what an interrupted run has left."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(EXECUTED, ignore_errors=True)


def is_notebook_cell(item):
    """Tell nbval's cells from other tests, which import modules."""
    return hasattr(item, "test_outputs")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    """Start the kernel, which the first cell does, with the site's environment."""
    if not is_notebook_cell(item):
        return (yield)
    if item.cell_num == 0:
        item.parent.started = time.time()
    before = dict(os.environ)
    os.environ.update(AS_ON_THE_SITE)
    try:
        return (yield)
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Keep a cell's outputs, and the notebook after its last cell if none has failed."""
    yield
    if not is_notebook_cell(item):
        return
    notebook = item.parent.__dict__.setdefault("executed", copy.deepcopy(item.parent.nb))
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    count = item.cell_num + 1
    cells[item.cell_num].update(execution_count=count, outputs=shown(item, count))
    if all(cell.execution_count for cell in cells):
        notebook.metadata["seconds"] = time.time() - item.parent.started
        EXECUTED.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, EXECUTED / f"{hash(item.path) & (1 << 62) - 1}.ipynb")


def shown(item, count):
    """Return a cell's outputs as Jupyter has them: nbval numbers none and heeds no semicolon."""
    outputs = []
    for output in item.test_outputs:
        if output.output_type == "execute_result":
            if item.cell.source.rstrip().endswith(";"):
                continue
            output.execution_count = count
        outputs.append(output)
    return outputs


def pytest_sessionfinish(session):
    """Hand the executed notebooks to Jupyter Book's cache, once all processes are done."""
    if hasattr(session.config, "workerinput") or not EXECUTED.is_dir():
        return
    from jupyter_cache import get_cache
    from jupyter_cache.base import CacheBundleIn

    cache = get_cache(BUILD / ".jupyter_cache")
    for path in EXECUTED.glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        seconds = notebook.metadata.pop("seconds")
        cache.cache_notebook_bundle(
            CacheBundleIn(notebook, path.name, data={"execution_seconds": seconds}), overwrite=True
        )
        path.unlink()
