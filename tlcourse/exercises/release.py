"""Derive what students get from the solved notebooks.

Design choices
--------------
- The marks and the cell metadata are nbgrader's, so a class that uses nbgrader can take the
  solved notebooks as they are.
- Only what stands between the marks is taken out; its indentation stays.
- Notebooks are JSON: nothing but the standard library is needed.
"""

import copy
import json
import re
from os import PathLike
from pathlib import Path
from typing import Any

_SOLUTION = re.compile(
    r"^(?P<indent>[ \t]*)### BEGIN SOLUTION[^\n]*\n.*?^[ \t]*### END SOLUTION[^\n]*$",
    re.MULTILINE | re.DOTALL,
)
_STUB = r"\g<indent># YOUR CODE HERE\n\g<indent>raise NotImplementedError()"
_PROSE_STUB = "*Your answer here.*"


def student_version(notebook: dict[str, Any]) -> dict[str, Any]:
    """Take the solutions out of a solved notebook.

    Parameters
    ----------
    notebook : dict
        A notebook (nbformat 4) as read from its file.

    Returns
    -------
    dict
        A copy without solutions and outputs.

    Raises
    ------
    ValueError
        If a solution is opened and not closed, or the notebook has none.

    Examples
    --------
    >>> from tlcourse import exercises
    >>> solved = '''def double(x):
    ...     ### BEGIN SOLUTION
    ...     return 2 * x
    ...     ### END SOLUTION
    ... '''
    >>> cell = {"cell_type": "code", "metadata": {}, "source": solved}
    >>> page = exercises.student_version({"cells": [cell]})
    >>> print(page["cells"][0]["source"])
    def double(x):
        # YOUR CODE HERE
        raise NotImplementedError()
    <BLANKLINE>
    """
    notebook = copy.deepcopy(notebook)
    solutions = 0
    for cell in notebook["cells"]:
        text, found = _SOLUTION.subn(_stub(cell), "".join(cell["source"]))
        if "### BEGIN SOLUTION" in text or "### END SOLUTION" in text:
            raise ValueError(
                f"a cell has '### BEGIN SOLUTION' or '### END SOLUTION' alone: {text[:80]!r}; "
                "close each solution."
            )
        solutions += found
        cell["source"] = text
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
        tags = cell["metadata"].get("tags", [])
        cell["metadata"]["tags"] = [tag for tag in tags if not tag.startswith("hide-")]
    if not solutions:
        raise ValueError("the notebook has no '### BEGIN SOLUTION'; nothing to take out.")
    return notebook


def release(source: str | PathLike[str], folder: str | PathLike[str]) -> list[Path]:
    r"""Write the student's version of every exercise page.

    Parameters
    ----------
    source : path
        Folder of solved notebooks.
    folder : path
        Where to write; files of the same name are refused, not overwritten.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    ValueError
        If there is no notebook, or a file is already there.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> from tlcourse import exercises
    >>> solved = "### BEGIN SOLUTION\nanswer = 42\n### END SOLUTION"
    >>> page = {"cells": [{"cell_type": "code", "metadata": {}, "source": solved}]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     source = pathlib.Path(folder, "solved")
    ...     source.mkdir()
    ...     _ = (source / "01-answers.ipynb").write_text(json.dumps(page))
    ...     [written.name for written in exercises.release(source, source / "students")]
    ['01-answers.ipynb']
    """
    source, folder = Path(source), Path(folder)
    pages = sorted(source.glob("*.ipynb"))
    if not pages:
        raise ValueError(f"source is {str(source)!r}, which holds no notebook.")
    taken = [page.name for page in pages if (folder / page.name).exists()]
    if taken:
        raise ValueError(f"{folder} already holds {taken[0]}; give an empty folder.")
    versions = [student_version(json.loads(page.read_text(encoding="utf-8"))) for page in pages]
    folder.mkdir(parents=True, exist_ok=True)
    for page, version in zip(pages, versions, strict=True):
        text = json.dumps(version, indent=1, ensure_ascii=False) + "\n"
        (folder / page.name).write_text(text, encoding="utf-8")
    return [folder / page.name for page in pages]


def _stub(cell: dict[str, Any]) -> str:
    """Choose what stands in for a solution."""
    return _STUB if cell["cell_type"] == "code" else _PROSE_STUB
