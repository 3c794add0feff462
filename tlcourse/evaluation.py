"""How good are these logits? Accuracy, recall per class, confusion and log loss.

Design choices
--------------
- Framework-free: both doors hand over NumPy logits, so both report the same numbers.
- One result object holds every figure; nothing is computed twice or printed as a side effect.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import ArrayLike
from scipy.special import log_softmax


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a classifier gets right and wrong on one domain.

    Attributes
    ----------
    confusion : ndarray of int64, shape (k, k)
        Row: true class; column: predicted class.
    log_loss : float
        Mean cross-entropy in nats.
    class_names : tuple of str
        Names of the k classes.
    """

    confusion: Int64[np.ndarray, "k k"]
    log_loss: float
    class_names: tuple[str, ...]

    @property
    def accuracy(self) -> float:
        """Share of examples predicted correctly, in [0, 1]."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def recall(self) -> Float64[np.ndarray, " k"]:
        """Recall of each class, shape (k,); NaN for a class without examples."""
        examples = self.confusion.sum(axis=1)
        with np.errstate(invalid="ignore"):
            return np.diag(self.confusion) / np.where(examples, examples, np.nan)

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall over the classes that occur, in [0, 1]."""
        return float(np.nanmean(self.recall))

    def __str__(self) -> str:
        """Say accuracy, balanced accuracy and the weakest class in one line."""
        weakest = int(np.nanargmin(self.recall))
        return (
            f"accuracy {self.accuracy:.3f}, balanced accuracy {self.balanced_accuracy:.3f}, "
            f"weakest class {self.class_names[weakest]!r} with recall {self.recall[weakest]:.3f} "
            f"({int(self.confusion.sum())} examples)"
        )


def evaluate_logits(logits: ArrayLike, labels: ArrayLike, class_names: Sequence[str]) -> Evaluation:
    """Compare logits with the true labels.

    Parameters
    ----------
    logits : ndarray, shape (n, k)
        Unnormalised class scores; the largest one is the prediction.
    labels : ndarray of int, shape (n,)
        True classes, from 0 to k - 1.
    class_names : sequence of str
        Names of the k classes.

    Returns
    -------
    Evaluation

    Raises
    ------
    ValueError
        If there is no example, shapes disagree, or a logit is NaN.

    Examples
    --------
    >>> from tlcourse.evaluation import evaluate_logits
    >>> logits = [[2.0, 0.0], [0.0, 1.0], [1.0, 0.0]]
    >>> evaluation = evaluate_logits(logits, [0, 1, 1], ["cat", "dog"])
    >>> evaluation.confusion.tolist()
    [[1, 0], [1, 1]]
    >>> print(evaluation)
    accuracy 0.667, balanced accuracy 0.750, weakest class 'dog' with recall 0.500 (3 examples)
    """
    logits, labels = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    k = len(class_names)
    if logits.ndim != 2 or logits.shape[1] != k or labels.shape != (len(logits),):
        raise ValueError(
            f"logits have shape {logits.shape} and labels {labels.shape}; {k} class names need "
            f"(n, {k}) and (n,)."
        )
    if len(labels) == 0:
        raise ValueError("labels are empty; evaluation needs at least one example.")
    if np.isnan(logits).any():
        raise ValueError("logits contain NaN; the model diverged: lower its learning rate.")
    if labels.min() < 0 or labels.max() >= k:
        raise ValueError(
            f"labels span [{labels.min()}, {labels.max()}]; {k} classes allow 0 to {k - 1}."
        )
    confusion = np.zeros((k, k), dtype=np.int64)
    np.add.at(confusion, (labels, logits.argmax(axis=1)), 1)
    chosen = log_softmax(logits, axis=1)[np.arange(len(labels)), labels]
    return Evaluation(confusion, float(-chosen.mean()), tuple(class_names))
