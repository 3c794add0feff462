"""Transfer learning by doing: the verbs that the book's experiments are written in.

The map
-------
``data``        domains to learn from and to transfer to: embedded, rendered, downloaded, your own
``weights``     the course's own small pretrained checkpoints, each with a card
``evaluation``  accuracy, recall and confusion from logits
``probing``     classifiers on frozen features: logistic regression, neighbours, prototypes
``align``       shallow feature alignment: CORAL, subspace alignment, TCA
``scores``      which source? how alike are two domains?
``claims``      what a sentence of the book asserts, with the numbers that hold it up
``study``       strategies x label budgets x seeds -> a tidy table
``figures``     plots: each takes data and returns Axes
``explore``     interactive figures, live in a notebook and precomputed on the site
``exercises``   checks with hints; the student's release of the exercise pages
``torch``       door 1: PyTorch  (``import tlcourse.torch as tl``)
``keras``       door 2: Keras on TensorFlow  (``import tlcourse.keras as tl``)

Design choices
--------------
- Importing ``tlcourse`` imports nothing heavy; a submodule is loaded when it is first used.
- NumPy arrays cross every door, so data, features and results move freely between frameworks.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for editors and type checkers; when run, `__getattr__` loads what is used
    from tlcourse import (
        align,
        claims,
        data,
        evaluation,
        exercises,
        explore,
        figures,
        keras,
        probing,
        scores,
        study,
        torch,
        weights,
    )

__version__ = "0.2.0.dev0"

__all__ = [
    "align",
    "claims",
    "data",
    "evaluation",
    "exercises",
    "explore",
    "figures",
    "keras",
    "probing",
    "scores",
    "study",
    "torch",
    "weights",
]


def __getattr__(name: str) -> ModuleType:
    """Load a submodule the first time that it is asked for."""
    if name in __all__:
        return importlib.import_module(f"tlcourse.{name}")
    raise AttributeError(f"module 'tlcourse' has no attribute {name!r}; it has {__all__}")


def __dir__() -> list[str]:
    """List the submodules although they are not loaded yet."""
    return sorted({*globals(), *__all__})
