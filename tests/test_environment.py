"""The installed packages: do they import, do they match the pins, does the torch pair fit?"""

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOT_IMPORTED = {"pandas-stubs", "ruff", "sphinx-mathjax-offline"}
IMPORT_NAMES = {
    "codespell": "codespell_lib",
    "jupyter-book": "jupyter_book",
    "pillow": "PIL",
    "pytest-xdist": "xdist",
    "scikit-learn": "sklearn",
}


def pins():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [tuple(line.split("==")) for line in lines if line and not line.startswith("#")]


def run_python(code):
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(("package", "version"), pins())
def test_each_pinned_package_is_installed_in_the_pinned_version(package, version):
    installed = importlib.metadata.version(package)
    assert installed.split("+")[0] == version, (
        f"{package} is {installed}, requirements.txt pins {version}; run: "
        "pip install -r requirements.txt"
    )


def test_all_pinned_packages_import_in_one_process():
    names = [name for name, _ in pins() if name not in NOT_IMPORTED]
    modules = [IMPORT_NAMES.get(name, name.replace("-", "_")) for name in names]
    done = run_python("\n".join(f"print({m!r}); import {m}" for m in modules))
    failed = done.stdout.split()[-1] if done.stdout else "?"
    assert done.returncode == 0, f"import {failed} fails:\n{done.stderr[-2000:]}"


def test_torch_and_torchvision_are_a_matched_pair():
    done = run_python(
        "import torch, torchvision\n"
        "boxes = torch.tensor([[0., 0., 2., 2.], [0., 0., 2., 2.]])\n"
        "kept = torchvision.ops.nms(boxes, torch.tensor([1., 0.5]), 0.5)\n"
        "assert kept.tolist() == [0]"
    )
    pair = " and ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("torch", "torchvision")
    )
    assert done.returncode == 0, (
        f"{pair} do not fit together; install both from requirements.txt:\n{done.stderr[-2000:]}"
    )


def test_importing_tlcourse_loads_nothing_heavy():
    heavy = ["torch", "tensorflow", "keras", "sklearn", "scipy", "matplotlib", "pandas", "numpy"]
    done = run_python(
        f"import sys, tlcourse; print([name for name in {heavy} if name in sys.modules])"
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize(("door", "other"), [("torch", "tensorflow"), ("keras", "torch")])
def test_one_door_does_not_open_the_other(door, other):
    done = run_python(f"import sys, tlcourse.{door}; print({other!r} in sys.modules)")
    assert done.stdout.strip() == "False", done.stdout + done.stderr[-2000:]


@pytest.mark.parametrize("order", ["torch keras", "keras torch"])
def test_both_doors_live_in_one_process_in_either_order(order):
    first, second = order.split()
    done = run_python(
        f"import tlcourse.{first} as a, tlcourse.{second} as b, numpy as np\n"
        "images = np.random.default_rng(0).random((3, 32, 32, 1), dtype=np.float32)\n"
        "one, two = (door.extract_features(door.backbone('small-cnn', weights='letters'), images)"
        " for door in (a, b))\n"
        "print(abs(one - two).max() < 1e-4)"
    )
    assert done.stdout.strip() == "True", done.stdout + done.stderr[-2000:]


def test_tensorflow_before_torch_is_an_error_and_no_crash():
    done = run_python("import tensorflow, tlcourse.torch")
    assert done.returncode in (0, 1), done.stderr[-2000:]  # a crash is negative
    assert done.returncode == 0 or "import tlcourse.keras or tlcourse.torch before" in done.stderr


def test_another_keras_backend_is_refused():
    done = run_python("import os; os.environ['KERAS_BACKEND'] = 'torch'\nimport tlcourse.keras")
    assert "needs TensorFlow. Set the environment variable KERAS_BACKEND" in done.stderr


def test_every_module_of_the_map_is_there_after_import_tlcourse():
    import tlcourse

    listed = re.findall(r"^``(\w+)``  ", tlcourse.__doc__, re.M)
    assert sorted(listed) == tlcourse.__all__
    done = run_python(
        "import tlcourse\n"
        "for name in tlcourse.__all__:\n"
        "    assert getattr(tlcourse, name).__name__ == f'tlcourse.{name}'\n"
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_wrong_submodule_is_an_attribute_error():
    import tlcourse

    assert "scores" in dir(tlcourse)
    with pytest.raises(AttributeError, match=r"tlcourse.*'pytorch'.*torch"):
        _ = tlcourse.pytorch
