"""Settings for all tests: no window, no GPU by accident, and never the user's own cache."""

import os
import tempfile
from contextlib import suppress

import shape_checking

with suppress(ImportError):  # it crashes the process when TensorFlow was imported before it
    import triton  # noqa: F401

os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("TLCOURSE_DEVICE", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.pop("TLCOURSE_MIRROR", None)

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
