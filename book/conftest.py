"""Testing the notebooks executes them, so `make book` need not: what ran without an error is kept.

Notebooks are run as the site runs them, with pictures inline and every frame of an interactive
figure. After a notebook's last cell it goes into the cache that Jupyter Book looks into, as
scripts/execute_book.py does. `make` empties that cache when package or settings change.
"""

import copy
import os
import time
from pathlib import Path

import pytest
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn

CACHE = Path(__file__).parent.parent / "_build" / ".jupyter_cache"
AS_ON_THE_SITE = {
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "TLCOURSE_EXPLORE": "frames",
}


def pytest_configure(config):
    """Create the cache's database once, before several processes write to it."""
    if not hasattr(config, "workerinput"):
        get_cache(CACHE).list_cache_records()


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
        seconds = time.time() - item.parent.started
        bundle = CacheBundleIn(notebook, str(item.path), data={"execution_seconds": seconds})
        get_cache(CACHE).cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


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
