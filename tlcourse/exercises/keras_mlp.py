"""Checks of chapter 8's exercises: a loss in two forms, the frame of a picture, and its damage.

Design choices
--------------
- Pictures are not square and ink touches a border: rows and columns cannot be taken for each other.
- What is drawn at random is checked by what must hold for any generator.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tlcourse.exercises.hints import Hint, array, call, close, number, recognise


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
        advice = "a true class with probability above 0 has a finite loss."
        answer = number(call(function, probabilities, given), advice)
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
    answer = _edges(call(function, picture, 0.5))
    if answer == wanted[2:] + wanted[:2]:
        raise Hint("rows and columns are exchanged: top and bottom are rows, axis 0.")
    if answer == (2, 4, 6, 13):
        raise Hint("the last row and column of ink are cut off: a slice ends before its stop.")
    if answer == (0, 9, 0, 14):
        raise Hint("you take every pixel that is not zero for ink; compare with the threshold.")
    if answer != wanted:
        raise Hint(f"the ink spans rows 2 to 4 and columns 6 to 13, so {wanted}; yours: {answer}.")
    answer = _edges(call(function, np.zeros((3, 5)), 0.5))
    if answer != (0, 3, 0, 5):
        raise Hint(f"a picture (3, 5) without ink has the box (0, 3, 0, 5); yours: {answer}.")
    print("Right.")


def check_damage(function: Callable[..., Any]) -> None:
    """Check ``damage(pictures, share, seed)``.

    Parameters
    ----------
    function : callable
        Maps pictures ``(n, h, w, 1)``, a share from 0 to 1 and a seed to a copy in which each pixel
        is 0 with this chance.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    pictures = np.random.default_rng(0).uniform(0.2, 1, size=(40, 8, 12, 1))
    given = pictures.copy()
    answer = array(call(function, pictures, 0.25, 0, copies=False), *given.shape)
    if not np.array_equal(pictures, given):
        raise Hint("the given pictures were changed; the autoencoder has to restore them.")
    lost = answer == 0
    if not np.allclose(answer[~lost], given[~lost]):
        raise Hint("a pixel is either 0 or as it was; yours has others.")
    if (lost == lost[:1]).all() and lost.any():
        raise Hint("every picture loses the same pixels; draw for each pixel of each picture.")
    if set(lost.mean(axis=(1, 2, 3))) <= {0.0, 1.0} and lost.any():
        raise Hint("whole pictures are lost; draw for each pixel.")
    if abs(lost.mean() - 0.75) < 0.05:
        raise Hint("you keep the share that should go.")
    if abs(lost.mean() - 0.25) > 0.05:
        raise Hint(f"a share of 0.25 should go; in yours {lost.mean():.2f} of the pixels are 0.")
    if not np.array_equal(call(function, given, 0.25, 0), answer):
        raise Hint("the same seed gives other damage; make the generator from the seed.")
    if np.array_equal(call(function, given, 0.25, 1), answer):
        raise Hint("another seed gives the same damage; make the generator from the seed.")
    if not np.array_equal(call(function, given, 0.0, 0), given):
        raise Hint("with a share of 0 nothing is lost.")
    print("Right.")


def _edges(answer):
    """Return four whole numbers, however they came."""
    return tuple(int(edge) for edge in array(answer, 4))
