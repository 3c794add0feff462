"""Each check passes its page's solution, and turns stubs and the usual wrong answers away."""

import json
from pathlib import Path

import numpy as np
import pytest

from tlcourse.exercises import (
    Hint,
    check_labels_needed,
    check_paired_interval,
    check_prototype_logits,
    release,
    student_version,
)

PAGES = sorted((Path(__file__).parents[2] / "book" / "exercises").glob("*.ipynb"))


def stub(*_):
    raise NotImplementedError


def unpaired(a, b):
    return (a - b).mean(), np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / len(a))


def distances(features, labels, queries):
    means = np.stack([features[labels == c].mean(axis=0) for c in np.unique(labels)])
    return ((queries[:, None] - means) ** 2).sum(axis=2)


WRONG = [
    (check_labels_needed, stub, "no answer yet"),
    (check_labels_needed, lambda b, a, v: b[[x > v for x in a].index(True)], ">="),
    (
        check_labels_needed,
        lambda b, a, v: next(x for x, y in zip(b, a, strict=True) if y >= v),
        "StopIteration",
    ),
    (
        check_labels_needed,
        lambda b, a, v: next((x for x, y in zip(b, a, strict=True) if y >= v), b[-1]),
        "None",
    ),
    (
        check_labels_needed,
        lambda b, a, v: next((x for x, y in zip(b, a, strict=True) if y >= v), None),
        "any order",
    ),
    (check_paired_interval, stub, "no answer yet"),
    (check_paired_interval, lambda a, b: (a - b).mean(), "two numbers"),
    (check_paired_interval, lambda a, b: ((b - a).mean(), 1.0), "turned round"),
    (check_paired_interval, unpaired, "take the differences first"),
    (check_paired_interval, lambda a, b: ((a - b).mean(), (a - b).std(ddof=1)), r"sqrt\(n\)"),
    (check_paired_interval, lambda a, b: ((a - b).mean(), (a - b).std() / 8**0.5), "ddof=1"),
    (check_paired_interval, lambda a, b: (a.max() - b.max(), 0.1), "draw by draw"),
    (check_prototype_logits, stub, "no answer yet"),
    (check_prototype_logits, distances, "turn the sign round"),
    (check_prototype_logits, lambda f, y, q: -distances(f, y, q).T, r"\(50, 3\)"),
    (check_prototype_logits, lambda f, y, q: -distances(f[:, :1], y, q[:, :1]), "all features"),
]


@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_wrong_answers_get_the_right_hint(check, answer, hint):
    with pytest.raises(Hint, match=hint):
        check(answer)


def cells(page):
    return json.loads(page.read_text(encoding="utf-8"))["cells"]


def checks_and_answers(page):
    """Run the definitions and the checks of a solved page."""
    return [
        "".join(cell["source"])
        for cell in cells(page)
        if cell["cell_type"] == "code"
        and ("def " in "".join(cell["source"]) or "check_" in "".join(cell["source"]))
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_student_version_has_everything_but_the_solutions(page):
    solved = json.loads(page.read_text(encoding="utf-8"))
    student = student_version(solved)
    assert len(student["cells"]) == len(solved["cells"])
    text = json.dumps(student)
    assert "SOLUTION" not in text and "YOUR CODE HERE" in text and "hide-input" not in text
    for before, after in zip(solved["cells"], student["cells"], strict=True):
        if "SOLUTION" not in "".join(before["source"]):
            assert "".join(before["source"]) == after["source"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_check_of_a_page_turns_the_stub_away(page):
    """Run the student's cells: each check must raise a Hint, none may pass."""
    student = student_version(json.loads(page.read_text(encoding="utf-8")))
    names, checks = {}, 0
    for cell in student["cells"]:
        if cell["cell_type"] != "code":
            continue
        source = cell["source"]
        if "check_" in source:
            checks += 1
            with pytest.raises(Hint):
                exec(source, names)
        elif "def " in source:
            exec(source, names)
    assert checks >= 2, "each page has at least two coded exercises with a check"


def test_four_to_six_exercises_stand_on_each_page():
    for page in PAGES:
        titles = [cell for cell in cells(page) if "".join(cell["source"]).startswith("## ")]
        assert 4 <= len(titles) <= 6, page.name


def test_a_release_is_written_beside_nothing_else(tmp_path):
    written = release(PAGES[0].parent, tmp_path / "out")
    assert [path.name for path in written] == [page.name for page in PAGES]
    with pytest.raises(ValueError, match="already holds"):
        release(PAGES[0].parent, tmp_path / "out")
    with pytest.raises(ValueError, match="holds no notebook"):
        release(tmp_path, tmp_path / "other")


@pytest.mark.parametrize("text", ["x = 1", "### BEGIN SOLUTION\nx = 1", "x\n### END SOLUTION"])
def test_marks_that_do_not_match_are_refused(text):
    notebook = {"cells": [{"cell_type": "code", "metadata": {}, "source": text}]}
    with pytest.raises(ValueError, match="SOLUTION"):
        student_version(notebook)


def test_indentation_and_surroundings_stay():
    source = [
        "def f():\n",
        "    ### BEGIN SOLUTION\n",
        "    return 1\n",
        "    ### END SOLUTION\n",
        "f()",
    ]
    notebook = {"cells": [{"cell_type": "code", "metadata": {}, "source": source}]}
    (cell,) = student_version(notebook)["cells"]
    assert cell["source"] == (
        "def f():\n    # YOUR CODE HERE\n    raise NotImplementedError()\nf()"
    )
    assert notebook["cells"][0]["source"] == source  # the solved one is left alone
