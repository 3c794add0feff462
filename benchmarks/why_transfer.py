"""Run chapter 1 and keep its learning curves as the README's picture.

    python benchmarks/why_transfer.py

The picture is the output of the chapter's own cell, so README and book cannot disagree.
"""

import base64
from pathlib import Path

import nbformat
from nbclient import NotebookClient

BOOK = Path(__file__).parent.parent / "book"


def main():
    notebook = nbformat.read(BOOK / "01-why-transfer.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(BOOK)}}).execute()
    for cell in notebook.cells:
        if "plot_learning_curves" in cell.source:
            pictures = [output.data["image/png"] for output in cell.outputs if "data" in output]
            path = BOOK / "_static" / "why-transfer.png"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(base64.b64decode(pictures[0]))
            print(f"written: {path}")
            return
    raise SystemExit("chapter 1 has no cell with plot_learning_curves")


if __name__ == "__main__":
    main()
