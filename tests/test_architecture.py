"""The house rules that a machine can check: what may import what, and sizes."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "tlcourse").rglob("*.py"))
NOTEBOOKS = sorted(
    path for path in (ROOT / "book").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts
)  # JupyterLab's copies

CORE = {
    "numpy",
    "scipy",
    "sklearn",
    "PIL",
    "pandas",
    "joblib",
    "tqdm",
    "filelock",
    "platformdirs",
    "pooch",
    "safetensors",
    "jaxtyping",
}
DOOR = {
    "align",
    "batches",
    "checks",
    "data",
    "evaluation",
    "history",
    "layering",
    "methods",
    "probing",
    "scores",
    "weights",
}
MAY_IMPORT = {  # layer: the layers below it, and third parties
    "checks": ({"checks"}, CORE),
    "data": ({"data", "checks"}, CORE | {"matplotlib"}),  # it ships the fonts
    "evaluation": ({"evaluation", "checks"}, CORE),
    "align": ({"align", "scores", "checks"}, CORE),
    "scores": ({"scores", "checks"}, CORE),
    "weights": ({"weights"}, CORE),
    "history": ({"history", "evaluation"}, CORE),
    "batches": ({"batches", "checks"}, CORE),
    "layering": ({"layering"}, CORE),
    "methods": ({"methods", "batches", "history", "data"}, CORE),
    "probing": ({"probing", "checks", "data"}, CORE),
    "claims": ({"claims"}, CORE | {"IPython"}),
    "study": ({"study", "data", "evaluation", "checks"}, CORE),
    "figures": ({"figures", "study", "data", "evaluation", "scores"}, CORE | {"matplotlib"}),
    "torch": (DOOR | {"torch"}, CORE | {"torch", "torchvision"}),
    "keras": (DOOR | {"keras"}, CORE | {"keras", "tensorflow", "triton"}),
    "explore": ({"explore", "figures", "study"}, CORE | {"matplotlib", "ipywidgets", "IPython"}),
    "exercises": ({"exercises", "data", "evaluation", "study", "scores", "checks"}, CORE),
    "cli": ({"cli", "data", "weights", "torch", "exercises"}, CORE),
    "__main__": ({"cli"}, set()),
    "__init__": (set(), set()),  # but for type checkers
}
STANDARD = __import__("sys").stdlib_module_names


def relative(path):
    return path.relative_to(ROOT).as_posix()


def when_run(tree):
    """Yield all nodes but those that only type checkers see."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from when_run(child)


def imports(path):
    for node in when_run(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module == "tlcourse":
                yield from (f"tlcourse.{alias.name}" for alias in node.names)
            else:
                yield node.module


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_modules_import_only_what_lies_below_them(path):
    layer = path.relative_to(ROOT / "tlcourse").parts[0].removesuffix(".py")
    below, third_parties = MAY_IMPORT[layer]
    for name in imports(path):
        top, *rest = name.split(".")
        if top == "tlcourse":
            assert rest[0] in below, f"{layer} must not import {name}"
        else:
            assert top in STANDARD or top in third_parties, f"{layer} must not import {name}"


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path): path for path in MODULES}


def files_imported(path):
    """Return the modules of the package whose text a module's import statements name."""
    found = set()
    for node in when_run(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in NAMES else node.module for name in whole}
    return found & set(NAMES)


def test_no_file_reaches_itself_over_its_imports():
    imported = {name: files_imported(path) for name, path in NAMES.items()}
    for name, path in NAMES.items():
        if path.name == "__init__.py":  # it hands names on, so a file below names its own sisters
            continue
        package = name.rpartition(".")[0]
        assert not any(
            package == other or package.startswith(f"{other}.") for other in imported[name]
        ), f"{name} imports a package that it is part of; name the file instead"
    graph = {name: imported[name] for name in NAMES if name != "tlcourse"}
    assert list(TopologicalSorter(graph).static_order())  # a circle is a CycleError that names it


ABOVE = {  # part of a door: the parts that it may import
    "core": {"core"},
    "parameter": {"parameter", "core"},
    "feature": {"feature", "parameter", "core"},
    "transfer": {"transfer", "feature", "parameter", "core"},
    "structure": {"structure", "transfer", "feature", "parameter", "core"},
    "target": {"target", "feature", "core"},
}
DOORS = [path for path in MODULES if path.parts[len(ROOT.parts) + 1] in ("torch", "keras")]


def part_of_door(name):
    """Return which part of a door a module belongs to; the core's and the verbs' are files."""
    first = name.split(".")[2]
    if first in ("augmentation", "devices", "freezing", "models", "training"):
        return "core"
    return "transfer" if first in ("transfer", "pretraining") else first


@pytest.mark.parametrize("path", [p for p in DOORS if p.name != "__init__.py"], ids=relative)
def test_inside_a_door_the_nouns_stand_above_the_core(path):
    door = name_of(path).split(".")[1]
    below = ABOVE[part_of_door(name_of(path))]
    for name in files_imported(path):
        if name.startswith(f"tlcourse.{door}."):
            assert part_of_door(name) in below, f"{name_of(path)} must not import {name}"


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_functions_are_short(path):
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            first = node.body[0]
            has_doc = ast.get_docstring(node) is not None
            start = first.end_lineno + 1 if has_doc else first.lineno
            lines = node.end_lineno - start + 1  # of the body, the docstring left out
            assert lines <= 40, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_the_library_asserts_unpickles_and_evaluates_nothing(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        assert not isinstance(node, ast.Assert), f"line {node.lineno}: raise an error instead"
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {"eval", "exec", "joblib.load", "pickle.load", "pickle.loads"}, (
                called
            )
            assert "allow_pickle=True" not in ast.unparse(node), called
            if called == "torch.load":
                assert "weights_only=True" in ast.unparse(node)
    assert not {"pickle", "dill", "cloudpickle"} & set(imports(path))


DOORS = {
    door: [path for path in MODULES if relative(path).startswith(f"tlcourse/{door}/")]
    for door in ("torch", "keras")
}


def code_lines(path):
    """Lines of code, without docstrings, comments, imports, signatures and what is handed on."""
    text = path.read_text(encoding="utf-8")
    left_out = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            left_out |= set(range(node.lineno, node.end_lineno + 1))
        if isinstance(node, ast.FunctionDef):
            left_out |= set(range(node.lineno, node.body[0].lineno))
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        if documented and ast.get_docstring(node):
            left_out |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    lines = [line.partition("  # ")[0].strip() for line in text.splitlines()]
    return [
        " ".join(line.split())
        for number, line in enumerate(lines, start=1)
        if number not in left_out and line and not line.startswith("#")
        if not re.fullmatch(r"(\w+)=\1,", line)
    ]


def longest_common_run(one, other):
    """Return the longest run of equal lines of two files."""
    best, before = [], [0] * (len(other) + 1)
    for row, line in enumerate(one):
        now = [0] * (len(other) + 1)
        for column, twin in enumerate(other):
            if line == twin:
                now[column + 1] = before[column] + 1
                if now[column + 1] > len(best):
                    best = one[row + 1 - now[column + 1] : row + 1]
        before = now
    return best


def test_a_common_run_is_found_whatever_its_indent_and_comments(tmp_path):
    twins = (
        'def f(x):\n    """Say it."""\n    a = 1\n    b = x\n',
        "if 1:\n  a = 1  # one\n\n  b = x\n",
    )
    paths = [tmp_path / "one.py", tmp_path / "two.py"]
    for path, text in zip(paths, twins, strict=True):
        path.write_text(text, encoding="utf-8")
    assert longest_common_run(*map(code_lines, paths)) == ["a = 1", "b = x"]


@pytest.mark.parametrize("path", DOORS["keras"], ids=relative)
def test_no_run_of_code_stands_in_both_doors(path):
    """What is the same in both doors stands once, below them.

    Imports and signatures are left out, and arguments handed on under their own names: the doors
    promise the same ones, one to a line.
    """
    for twin in DOORS["torch"]:
        run = longest_common_run(code_lines(path), code_lines(twin))
        assert len(run) <= 8, f"also in {relative(twin)}:\n" + "\n".join(run)


def test_the_table_of_contents_lists_every_notebook():
    toc = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    for path in NOTEBOOKS:
        assert path.relative_to(ROOT).with_suffix("").as_posix() in toc
