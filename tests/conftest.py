"""Settings for all tests: no window, no GPU by accident, and never the user's own cache."""

import os
import tempfile

os.environ.setdefault("MPLBACKEND", "agg")
os.environ["TLCOURSE_DATA"] = os.environ.get("TLCOURSE_TEST_DATA") or tempfile.mkdtemp(
    prefix="tlcourse-tests-"
)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
