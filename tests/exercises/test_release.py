"""Each check passes its page's solution, and turns stubs and the usual wrong answers away."""

import json
import re
from pathlib import Path

import pytest

from tlcourse.exercises import Hint, release, student_version

PAGES = sorted((Path(__file__).parents[2] / "book" / "exercises").glob("*.ipynb"))


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
def test_the_student_version_has_all_code_but_the_solutions(page):
    solved = [cell for cell in cells(page) if cell["cell_type"] == "code"]
    student = student_version(json.loads(page.read_text(encoding="utf-8")))
    given = [cell for cell in student["cells"] if cell["cell_type"] == "code"]
    assert len(given) == len(solved)
    text = json.dumps(student)
    assert "SOLUTION" not in text and "YOUR CODE HERE" in text and "hide-input" not in text
    for before, after in zip(solved, given, strict=True):
        if "SOLUTION" not in "".join(before["source"]):
            assert "".join(before["source"]) == after["source"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_student_version_is_clean_in_jupyterlab(page):
    """No written solution, no teacher's line, no directive, no role, no link that leads nowhere."""
    student = student_version(json.loads(page.read_text(encoding="utf-8")))
    for cell in student["cells"]:
        if cell["cell_type"] == "code":
            continue
        text = cell["source"]
        assert text and not re.search(r"unfold|Teachers:|What you should see|\*\*Solution", text)
        assert not re.search(r"\{[\w:-]+\}`|^`{3,}\{|\$\$ *\(|:class:", text, re.MULTILINE), text
        assert not re.search(r"\]\((?!https?://)", text), text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_exercise_says_how_hard_it_is_and_how_long_it_takes(page):
    titles = [
        "".join(cell["source"]).split("\n")
        for cell in cells(page)
        if "".join(cell["source"]).startswith("## ")
    ]
    for lines in titles:
        assert re.fullmatch(r"\*Level [123] of 3 · \d+ minutes\*", lines[2]), lines[:3]


def test_what_only_the_site_can_show_becomes_plain_markdown():
    page = """Teachers: `handout` writes it.

Do this. Try each before you unfold
a solution. Do that.

By {eq}`eq-here` and {eq}`eq-there`, see {doc}`chapter 3 <03-maths>`, [chapter 4](../04-p.ipynb)
and [the paper](https://example.org).

$$
a^2
$$ (eq-here)

```{admonition} A note
:class: tip
Mind this.
```

```{admonition} Solution
:class: dropdown tip
It is 42.
```"""
    notebook = {
        "cells": [
            {"cell_type": "code", "metadata": {}, "source": "### BEGIN SOLUTION\n### END SOLUTION"},
            {"cell_type": "markdown", "metadata": {}, "source": page},
        ]
    }
    assert student_version(notebook)["cells"][1]["source"] == (
        """Do this. Do that.

By (1) and of the chapter, see chapter 3, chapter 4
and [the paper](https://example.org).

$$
a^2 \\tag{1}
$$

> **A note**
>
> Mind this.

*Your answer here.*"""
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_runs_as_handed_out_up_to_the_stubs(page, monkeypatch):
    """Each check must raise a Hint, each stub says that it is empty, all the rest must run."""
    monkeypatch.chdir(page.parent)
    student = student_version(json.loads(page.read_text(encoding="utf-8")))
    names, checks = {"display": lambda *_: None}, 0
    for cell in student["cells"]:
        if cell["cell_type"] != "code":
            continue
        source = cell["source"]
        if re.search(r"^check_\w+\(", source, re.MULTILINE):
            checks += 1
            with pytest.raises(Hint):
                exec(source, names)
        elif re.search(r"^raise NotImplementedError", source, re.MULTILINE):
            with pytest.raises(NotImplementedError):
                exec(source, names)
        else:
            exec(source, names)
    assert checks >= 2, "each page has at least two coded exercises with a check"


def test_five_exercises_or_more_stand_on_each_page():
    for page in PAGES:
        titles = [cell for cell in cells(page) if "".join(cell["source"]).startswith("## ")]
        assert len(titles) >= 5, page.name


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
