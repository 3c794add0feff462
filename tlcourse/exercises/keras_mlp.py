"""Checks of chapter 8's exercises: a loss in two forms, and the frame of a picture.

Design choices
--------------
- Pictures are not square and ink touches a border: rows and columns cannot be taken for each other.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tlcourse.exercises.hints import Hint, call, close, recognise


def check_cross_entropy(function: Callable[..., Any]) -> None:
    """Check ``cross_entropy(probabilities, labels)``.

    Parameters
    ----------
    function : callable
        Maps probabilities ``(n, k)`` and labels, integers ``(n,)`` or one-hot rows ``(n, k)``, to
        the mean cross-entropy in nats; refuses labels of another shape by ``ValueError``.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(0)
    scores = np.exp(rng.normal(size=(6, 4)))
    probabilities, labels = scores / scores.sum(axis=1, keepdims=True), np.arange(6) % 4
    rows = -np.log(probabilities[np.arange(6), labels])
    slips = {
        "this is the sum over the examples; return the mean": rows.sum(),
        "the sign is turned round: a loss is not negative": -rows.mean(),
        "you divide by n times k; each example counts once, so divide by n": rows.sum() / 24,
    }
    for form, given in (("integers", labels), ("one-hot rows", np.eye(4)[labels])):
        answer = call(function, probabilities, given)
        if np.shape(answer) == ():
            recognise(answer, slips)
        close(answer, rows.mean(), f"the mean of -log p of the true class, with {form}")
    try:
        answer = function(probabilities, np.eye(4)[labels][:, :3])
    except ValueError:
        print("Right.")
        return
    except Exception as error:
        raise Hint(
            f"labels (6, 3) for 4 classes stop with {type(error).__name__}; raise "
            "ValueError with a sentence that says what shape is allowed."
        ) from error
    raise Hint(f"labels (6, 3) for 4 classes give {answer!r}; raise ValueError instead.")


def check_bounding_box(function: Callable[..., Any]) -> None:
    """Check ``bounding_box(picture, threshold)``.

    Parameters
    ----------
    function : callable
        Maps a picture ``(h, w)`` and a threshold to ``(top, bottom, left, right)`` with
        ``picture[top:bottom, left:right]`` around all pixels above the threshold.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    picture = np.full((9, 14), 0.2)
    picture[2:5, 6], picture[4, 6:14] = 0.9, 0.8
    wanted = (2, 5, 6, 14)
    answer = tuple(int(edge) for edge in call(function, picture, 0.5))
    if answer == wanted[2:] + wanted[:2]:
        raise Hint("rows and columns are exchanged: top and bottom are rows, axis 0.")
    if answer == (2, 4, 6, 13):
        raise Hint("the last row and column of ink are cut off: a slice ends before its stop.")
    if answer == (0, 9, 0, 14):
        raise Hint("you take every pixel that is not zero for ink; compare with the threshold.")
    if answer != wanted:
        raise Hint(f"the ink spans rows 2 to 4 and columns 6 to 13, so {wanted}; yours: {answer}.")
    answer = tuple(int(edge) for edge in call(function, np.zeros((3, 5)), 0.5))
    if answer != (0, 3, 0, 5):
        raise Hint(f"a picture (3, 5) without ink has the box (0, 3, 0, 5); yours: {answer}.")
    print("Right.")
