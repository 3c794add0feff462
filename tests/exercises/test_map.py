"""Exercise pages, check modules and the map of the package tell the same."""

import inspect
import json
import re
from importlib import import_module
from pathlib import Path

import pytest

from tlcourse import exercises

PAGES = sorted((Path(__file__).parents[2] / "book" / "exercises").glob("*.ipynb"))


def checks_of(module):
    return [
        name
        for name, value in vars(module).items()
        if name.startswith("check_") and value.__module__ == module.__name__
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_uses_the_checks_of_its_chapter_and_the_map_lists_them(page):
    number, name = page.stem.split("-", 1)
    module = import_module(f"tlcourse.exercises.{name.replace('-', '_')}")
    checks = checks_of(module)
    cells = json.loads(page.read_text(encoding="utf-8"))["cells"]
    called = re.findall(r"\b(check_\w+)\(", "".join("".join(c["source"]) for c in cells))
    assert sorted(called) == sorted(checks)
    table = inspect.getdoc(exercises)
    (row,) = re.findall(rf"^{int(number)} +``(\w+)`` +(.*(?:\n {{9,}}``.*)*)$", table, re.M)
    assert row[0] == name.replace("-", "_")
    assert [f"check_{check}" for check in re.findall(r"``(\w+)``", row[1])] == checks


def test_every_check_belongs_to_a_page():
    public = {name for name in exercises.__all__ if name.startswith("check_")}
    modules = {import_module(getattr(exercises, name).__module__) for name in public}
    assert public == {check for module in modules for check in checks_of(module)}
    assert len(modules) == len(PAGES)
