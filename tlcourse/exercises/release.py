"""Derive what students get from the solved notebooks.

Design choices
--------------
- The marks and the cell metadata are nbgrader's, so a class that uses nbgrader can take the
  solved notebooks as they are.
- Only what stands between the marks is taken out; its indentation stays.
- The site's pages are MyST, a student's page is shown by JupyterLab, which knows neither roles nor
  directives: written solutions and what is said to
  teachers and to the site's readers go, the rest becomes plain Markdown.
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

_TEACHERS_LINE = re.compile(r"^Teachers:.*?(?:\n\n|\Z)", re.MULTILINE | re.DOTALL)
_FOR_READERS = re.compile(r"(?<=[.\n])[^.]*\bunfold\b[^.]*\.")
_DIRECTIVE = re.compile(
    r"^(?P<fence>`{3,})\{(?P<name>[\w-]+)\}[ ]*(?P<title>[^\n]*)\n"
    r"(?P<options>(?::[^\n]*\n)*)(?P<body>.*?)^(?P=fence)[ ]*$",
    re.MULTILINE | re.DOTALL,
)
_LABELLED_EQUATION = re.compile(r"\$\$(?P<formula>[^$]+?)\s*\$\$[ ]*\((?P<label>[\w-]+)\)")
_ROLE = re.compile(r"\{(?P<name>[\w:]+)\}`(?P<text>[^`<]*?)(?:\s*<(?P<target>[^`>]*)>)?`")
_PAGE_LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?!https?:)[^)]*\)")


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
    labels: dict[str, int] = {}
    for cell in notebook["cells"]:
        text, found = _SOLUTION.subn(_stub(cell), "".join(cell["source"]))
        if "### BEGIN SOLUTION" in text or "### END SOLUTION" in text:
            raise ValueError(
                f"a cell has '### BEGIN SOLUTION' or '### END SOLUTION' alone: {text[:80]!r}; "
                "close each solution."
            )
        solutions += found
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
        else:
            text = _plain_markdown(text, labels)
        cell["source"] = text
        tags = cell["metadata"].get("tags", [])
        cell["metadata"]["tags"] = [tag for tag in tags if not tag.startswith("hide-")]
    if not solutions:
        raise ValueError("the notebook has no '### BEGIN SOLUTION'; nothing to take out.")
    notebook["cells"] = [cell for cell in notebook["cells"] if cell["source"]]
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


def _plain_markdown(text: str, labels: dict[str, int]) -> str:
    """Write MyST as JupyterLab can show it; `labels` numbers the page's equations, in order."""
    text = _FOR_READERS.sub("", _TEACHERS_LINE.sub("", text))
    text = _DIRECTIVE.sub(_without_directive, text)

    def numbered(match: re.Match[str]) -> str:
        labels[match["label"]] = len(labels) + 1
        return f"$${match['formula']} \\tag{{{labels[match['label']]}}}\n$$"

    text = _LABELLED_EQUATION.sub(numbered, text)

    def spoken(match: re.Match[str]) -> str:
        if match["name"] != "eq":
            return match["text"]
        number = labels.get(match["text"])
        return f"({number})" if number else "of the chapter"

    text = _PAGE_LINK.sub(r"\g<text>", _ROLE.sub(spoken, text))
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _without_directive(match: re.Match[str]) -> str:
    """Take a written solution out; make a note of any other directive."""
    if "dropdown" in match["options"]:
        return _PROSE_STUB if match["title"].startswith("Solution") else ""
    lines = [f"**{match['title']}**", "", *match["body"].strip().split("\n")]
    return "\n".join(f"> {line}".rstrip() for line in lines)
