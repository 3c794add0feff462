"""Run the code cells of a notebook in plain Python.

``python scripts/run_cells.py book/01-why-transfer.ipynb``
No kernel and none of the book's tools are needed. So it shows that the installed package is enough
for a chapter's code, as for a reader who copies it into a script.
"""

import json
import sys
from pathlib import Path

import matplotlib as mpl


def code_cells(path):
    """Yield the source of each code cell of a notebook."""
    for cell in json.loads(Path(path).read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            yield "".join(cell["source"])


def main(path):
    """Execute all cells in one namespace, as a kernel does."""
    mpl.use("agg")
    namespace = {"__name__": "__main__"}
    for number, source in enumerate(code_cells(path), start=1):
        print(f"cell {number}")
        exec(compile(source, f"{path}, code cell {number}", "exec"), namespace)  # noqa: S102


if __name__ == "__main__":
    main(*sys.argv[1:])
