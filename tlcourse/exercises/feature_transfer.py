"""Checks of chapter 5's exercises: what storing saves, similarity, and restoring.

Design choices
--------------
- Expected values are worked out here in another form than the usual solution, so that a slip
  shared by both is unlikely.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tlcourse.exercises.hints import Hint, array, call, close, number, recognise

_NOT_FINITE = "is there a division by zero, or the root of a negative number?"


def check_saving(function: Callable[..., Any]) -> None:
    """Check ``saving(epochs, versions, net_cost, head_cost)``.

    Parameters
    ----------
    function : callable
        Returns how many times cheaper stored features are than a net that runs in every epoch,
        when each picture is stored in so many augmented versions.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    answer = number(call(function, 30, 4, 8.0, 2.0), _NOT_FINITE)
    slips = {
        "each of the versions passes through the net once: versions times net_cost": 300 / 68,
        "the versions are seen in turn, one an epoch, so the head sees as many rows as without "
        "storing": 300 / (4 * (8 + 30 * 2)),
        "the head works in every epoch, both ways": [240 / 32, 240 / 92, 300 / 32, 300 / 34],
        "the other way round: what the net in every epoch costs, over what storing costs": 92 / 300,
        "how many times cheaper is a quotient, not a difference": [208.0, -208.0],
    }
    recognise(answer, slips)
    close(answer, 300 / 92, "the quotient of the two costs for one picture")
    below = number(call(function, 2, 5, 10.0, 1.0), _NOT_FINITE)
    close(below, 22 / 52, "a number below one, where storing costs more than it saves")
    print("Right.")


def check_linear_cka(function: Callable[..., Any]) -> None:
    """Check ``linear_cka(x, y)``.

    Parameters
    ----------
    function : callable
        Maps features ``(n, d)`` and ``(n, e)`` of the same rows to a number.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3)) + 2
    y = x @ rng.normal(size=(3, 5)) + rng.normal(size=(40, 5)) - 1

    def similarity(a, b):
        gram_a, gram_b = a @ a.T, b @ b.T
        return (gram_a * gram_b).sum() / np.sqrt((gram_a**2).sum() * (gram_b**2).sum())

    expected = similarity(x - x.mean(axis=0), y - y.mean(axis=0))
    answer = number(call(function, x, y), _NOT_FINITE)
    slips = {
        "subtract the mean of each column first: without, two nets look alike because their "
        "features are positive": similarity(x, y),
        "mind the squares: the Frobenius norm of y'x is squared, the other two are not": [
            np.sqrt(expected),
            expected**2,
        ],
    }
    recognise(answer, slips)
    if not np.isclose(answer, expected):
        raise Hint(f"the CKA of the check's features is {expected:.4f}; yours is {answer:.4f}.")
    if not np.isclose(number(call(function, 3 * x, x), _NOT_FINITE), 1.0):
        raise Hint("CKA does not change when features are scaled: divide by both norms.")
    print("Right.")


def check_denoising_loss(function: Callable[..., Any]) -> None:
    """Check ``denoising_loss(restore, pictures, kept)``.

    Parameters
    ----------
    function : callable
        Takes a function from pictures ``(n, d)`` to restored ones, the clean pictures, and a mask
        of the same shape, 1 where a pixel is kept and 0 where it is blackened. Returns the mean
        over the pictures of the squared distance between restored and clean.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(4)
    pictures = rng.uniform(0.1, 1, size=(6, 5))
    kept = (rng.uniform(size=(6, 5)) < 0.6).astype(float)

    def restore(seen: Any) -> np.ndarray:
        return 0.8 * array(seen, 6, 5) + 0.1

    def loss(seen: np.ndarray, wanted: np.ndarray) -> float:
        return float(((restore(seen) - wanted) ** 2).sum() / 6)

    expected = loss(pictures * kept, pictures)
    answer = number(call(function, restore, pictures, kept), _NOT_FINITE)
    slips = {
        "the net must see the damaged pictures: blacken before you restore": loss(
            pictures, pictures
        ),
        "compare with the clean pictures; else the net learns to restore the damage": loss(
            pictures * kept, pictures * kept
        ),
        "kept is 1 where a pixel stays": loss(pictures * (1 - kept), pictures),
        "sum the squares over a picture's pixels, and take the mean over the pictures": [
            expected / 5,
            expected * 6,
        ],
        "the damaged picture itself is compared; restore it first": float(
            ((pictures * kept - pictures) ** 2).sum() / 6
        ),
    }
    recognise(answer, slips)
    close(answer, expected, "the mean squared distance between restored and clean")
    print("Right.")
