"""Settings for all tests, the book's cells and the examples in docstrings.

No window, no GPU by accident, never the user's own cache, and examples that say all they need.
"""

import os
import tempfile
from contextlib import suppress

import pytest
import shape_checking

with suppress(ImportError):  # it crashes the process when TensorFlow was imported before it
    import triton  # noqa: F401

os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("TLCOURSE_DEVICE", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.pop("TLCOURSE_MIRROR", None)

if "MUTANT_UNDER_TEST" not in os.environ:  # mutmut's functions have other names than ours
    shape_checking.switch_on()


def pytest_configure(config):
    """Give each process an empty cache folder, notebook kernels included; remove it at the end."""
    folder = os.environ.get("TLCOURSE_TEST_DATA")
    if not folder:
        temporary = tempfile.TemporaryDirectory(
            prefix="tlcourse-tests-", ignore_cleanup_errors=True
        )
        config.add_cleanup(temporary.cleanup)
        folder = temporary.name
    os.environ["TLCOURSE_DATA"] = folder


def pytest_collection_modifyitems(items):
    """Take a module's own names from its examples: a reader who copies them has no such names."""
    for item in items:
        if isinstance(item, pytest.DoctestItem):
            item.dtest.globs = {"__name__": "__main__"}
