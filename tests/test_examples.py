"""Every public function shows how it is called; pytest runs the examples (see `conftest.py`)."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

import tlcourse

ROOT = Path(__file__).parent.parent


def public_functions(module):
    """Yield the functions that a reader calls as ``module.name``, each with where it is defined."""
    for name in getattr(module, "__all__", None) or [n for n in vars(module) if n[0] != "_"]:
        value = inspect.unwrap(getattr(module, name))
        handed_on = hasattr(module, "__all__")
        if inspect.isfunction(value) and (handed_on or value.__module__ == module.__name__):
            yield f"{value.__module__}.{value.__qualname__}", value


@pytest.mark.parametrize("name", tlcourse.__all__)
def test_public_functions_have_an_example(name):
    module = importlib.import_module(f"tlcourse.{name}")
    functions = dict(public_functions(module))
    assert functions
    without = {
        place
        for place, function in functions.items()
        if ">>> " not in (inspect.getdoc(function) or "")
        and not place.split(".")[-1].startswith("check_")  # an exercise's page is its example
    }
    assert not without


@pytest.mark.parametrize("path", sorted((ROOT / "tlcourse").rglob("*.py")), ids=lambda p: p.stem)
def test_no_example_is_skipped(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
            assert "doctest: +SKIP" not in (ast.get_docstring(node) or "")
