"""Checks of chapter 12's exercises: leaks, recall, and confident mistakes.

Design choices
--------------
- Pictures are told apart by their pixels, never by their names.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tlcourse.exercises.hints import Hint, call


def check_leaked(function: Callable[..., Any]) -> None:
    """Check ``leaked(train, test)``.

    Parameters
    ----------
    function : callable
        Maps two dictionaries from names to pictures to the sorted names of those test pictures
        that also occur among the training pictures.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (4, 6, 3), dtype=np.uint8) for _ in range(5)]
    train = {"a.png": pictures[0], "b.png": pictures[1], "c.png": pictures[2]}
    test = {
        "z.png": pictures[1].copy(),
        "a.png": pictures[3],
        "d.png": pictures[0].copy(),
        "turned.png": np.ascontiguousarray(pictures[2].reshape(6, 4, 3)),
    }
    answer = list(call(function, train, test))
    if "a.png" in answer:
        raise Hint("'a.png' is another picture on each side; compare pixels, not names.")
    if "turned.png" in answer:
        raise Hint("'turned.png' has the same bytes in another shape; it is another picture.")
    if not answer:
        raise Hint("two training pictures occur in the test set under other names.")
    if set(answer) == {"a.png", "b.png"} or set(answer) <= {"b.png"}:
        raise Hint("return the names in the test set, not those in the training set.")
    if answer == ["z.png", "d.png"]:
        raise Hint("sort the names.")
    if answer != ["d.png", "z.png"]:
        raise Hint(f"wanted is ['d.png', 'z.png']; you returned {answer}.")
    print("Right.")


def check_recall_and_precision(function: Callable[..., Any]) -> None:
    """Check ``recall_and_precision(confusion)``.

    Parameters
    ----------
    function : callable
        Maps counts ``(k, k)``, row true and column predicted, to recall ``(k,)`` and precision
        ``(k,)``; NaN where a class is never predicted.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    confusion = np.array([[40, 10, 0], [5, 15, 0], [8, 2, 0]])
    answer = call(function, confusion)
    if not isinstance(answer, tuple) or len(answer) != 2:
        raise Hint("return two arrays, (recall, precision).")
    recall, precision = (np.asarray(part, dtype=float) for part in answer)
    wanted = np.array([0.8, 0.75, 0.0]), np.array([40 / 53, 15 / 27, np.nan])
    if np.allclose(recall, wanted[1], equal_nan=True):
        raise Hint("recall and precision are exchanged: recall divides by the row, the true class.")
    if not np.allclose(recall, wanted[0]):
        raise Hint(
            f"recall is the diagonal over the row sums, {wanted[0].tolist()}; yours: "
            f"{recall.tolist()}."
        )
    if not np.isnan(precision[2]):
        raise Hint(
            f"the last class is never predicted, so its precision is NaN, not {precision[2]}."
        )
    if not np.allclose(precision, wanted[1], equal_nan=True):
        raise Hint(f"precision is the diagonal over the column sums; yours: {precision.tolist()}.")
    print("Right.")


def check_confident_mistakes(function: Callable[..., Any]) -> None:
    """Check ``confident_mistakes(probabilities, labels, k)``.

    Parameters
    ----------
    function : callable
        Maps probabilities ``(n, c)``, labels ``(n,)`` and a number to the rows of the most
        confident wrong answers, the most confident first.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    first = np.array([0.99, 0.6, 0.2, 0.9, 0.45, 0.05, 0.7])
    probabilities = np.column_stack([first, 1 - first])
    labels = np.array([0, 1, 0, 1, 1, 1, 1])  # wrong: 1 (0.6), 2 (0.8), 3 (0.9), 6 (0.7)
    answer = np.asarray(call(function, probabilities, labels, 3)).tolist()
    if answer == [0, 5, 3]:
        raise Hint("these are the most confident answers; keep the wrong ones only.")
    if answer == [1, 6, 2]:
        raise Hint("these are the least confident mistakes; turn the order round.")
    if len(answer) != 3:
        raise Hint(f"k is 3, and you return {len(answer)} rows.")
    if answer == [2, 1, 3]:
        raise Hint("you count within the mistakes; return row numbers of the whole set.")
    if answer != [3, 2, 6]:
        raise Hint(f"wanted are rows [3, 2, 6]; you returned {answer}.")
    every = np.asarray(call(function, probabilities, labels, 9)).tolist()
    if every != [3, 2, 6, 1]:
        raise Hint(f"there are four mistakes only, so k=9 gives [3, 2, 6, 1]; yours: {every}.")
    print("Right.")
