"""Checks of chapter 5's exercises: similarity, distance and alignment of features.

Design choices
--------------
- Expected values are worked out here in another form than the usual solution, so that a slip
  shared by both is unlikely.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tlcourse.exercises.hints import Hint, call, number, recognise

_NOT_FINITE = "is there a division by zero, or the root of a negative number?"


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


def check_mmd(function: Callable[..., Any]) -> None:
    """Check ``mmd(x, y, width)``.

    Parameters
    ----------
    function : callable
        Maps features ``(n, d)`` and ``(m, d)`` to the squared MMD with a Gaussian kernel.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(1)
    x, y, width = rng.normal(size=(12, 2)), rng.normal(size=(9, 2)) + 1, 1.5

    def mean_kernel(a, b, scale=2 * width**2):
        return np.mean([np.exp(-((p - q) ** 2).sum() / scale) for p in a for q in b])

    def squared(scale=2 * width**2, cross=2):
        return (
            mean_kernel(x, x, scale) + mean_kernel(y, y, scale) - cross * mean_kernel(x, y, scale)
        )

    answer = number(call(function, x, y, width), _NOT_FINITE)
    slips = {
        "the kernel between the domains counts twice: -2 E k(x, y)": squared(cross=1),
        "the kernel is exp(-|x - y|^2 / (2 width^2))": [
            squared(scale=width**2),
            squared(scale=2 * width),
        ],
        "return the squared MMD; there is no root": np.sqrt(squared()),
    }
    recognise(answer, slips)
    if not np.isclose(answer, squared()):
        raise Hint(
            f"the squared MMD of the check's samples is {squared():.4f}; yours is "
            f"{answer:.4f}. Take the mean over all pairs, a point with itself included."
        )
    print("Right.")


def check_coral(function: Callable[..., Any]) -> None:
    """Check ``coral(source, target)``.

    Parameters
    ----------
    function : callable
        Maps features ``(n, d)`` and ``(m, d)`` to source features with the target's covariance.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(2)
    source = rng.normal(size=(300, 3)) @ np.array([[2, 0, 0], [1, 1, 0], [0, 0, 0.5]])
    target = rng.normal(size=(200, 3)) @ np.array([[1, 0, 1], [0, 3, 0], [0, 0, 1]])
    answer = np.asarray(call(function, source, target), dtype=float)
    if answer.shape != source.shape:
        raise Hint(f"source features keep their shape {source.shape}; yours are {answer.shape}.")
    covariance, wanted = np.cov(answer.T), np.cov(target.T)
    if np.allclose(covariance, np.eye(3), atol=0.05):
        raise Hint("you whiten the source; now give it the target's covariance: times C_t^(1/2).")
    if np.allclose(np.diag(covariance), np.diag(wanted), rtol=0.05) and not np.allclose(
        covariance, wanted, atol=0.1
    ):
        raise Hint("variances agree but covariances do not: scaling columns is not enough.")
    if np.allclose(np.cov(source.T), covariance, atol=0.05):
        raise Hint("the source comes out as it went in.")
    if not np.allclose(covariance, wanted, atol=0.1):
        raise Hint(
            "the covariance of the answer is not the target's. It is C_s^(-1/2) first, then "
            "C_t^(1/2), with matrix roots: not the roots of the entries."
        )
    print("Right.")
