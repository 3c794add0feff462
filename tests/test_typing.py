"""Everything public says what it takes and gives, and the package tells type checkers so."""

import ast
import importlib.resources
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "tlcourse").rglob("*.py"))


def public_functions(body, owner=""):
    """Yield the functions of a module, and the methods of its classes, that a reader may call."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body, f"{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            special = node.name.startswith("__") and owner
            if special or not node.name.startswith("_"):
                yield owner + node.name, node


def bare(node, is_method):
    """Return what has no annotation: parameters, and the return value."""
    arguments = node.args
    given = arguments.posonlyargs + arguments.args + arguments.kwonlyargs
    given += [each for each in (arguments.vararg, arguments.kwarg) if each]
    static = any(ast.unparse(each) == "staticmethod" for each in node.decorator_list)
    if is_method and not static:
        given = given[1:]
    without = [each.arg for each in given if each.annotation is None]
    returns_nothing_by_definition = node.name == "__init__"
    if node.returns is None and not returns_nothing_by_definition:
        without.append("return")
    return without


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_public_functions_are_annotated_whole(path):
    module = ast.parse(path.read_text(encoding="utf-8"))
    missing = {
        name: bare(node, is_method="." in name) for name, node in public_functions(module.body)
    }
    missing = {name: without for name, without in missing.items() if without}
    assert not missing


def test_the_package_is_marked_as_typed():
    assert (importlib.resources.files("tlcourse") / "py.typed").is_file()
