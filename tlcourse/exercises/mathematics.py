"""Checks of chapter 3's exercises: gradients, starts and pulls.

Design choices
--------------
- Gradients are compared with finite differences, closed forms with the equations they solve.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tlcourse.exercises.hints import Hint, call, recognise


def check_gradient(function: Callable[..., Any]) -> None:
    """Check ``gradient(logits, labels)``.

    Parameters
    ----------
    function : callable
        Maps logits ``(n, k)`` and labels ``(n,)`` to the gradient ``(n, k)`` of the *mean*
        cross-entropy with respect to the logits.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(5, 3)) * 2, np.array([0, 2, 1, 1, 0])

    def loss(z):
        return np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(5), labels])

    wanted, step = np.empty((5, 3)), 1e-5
    for place in np.ndindex(5, 3):
        move = np.zeros((5, 3))
        move[place] = step
        wanted[place] = (loss(logits + move) - loss(logits - move)) / (2 * step)
    answer = np.asarray(call(function, logits, labels), dtype=float)
    if answer.shape != (5, 3):
        raise Hint(f"the gradient has the shape of the logits, (5, 3); yours is {answer.shape}.")
    slips = {
        "the loss is the mean over the examples: divide by their number": 5 * wanted,
        "the sign is turned round: the gradient points uphill, p minus the label": -wanted,
    }
    recognise(answer, slips, atol=1e-6)
    if not np.allclose(answer, wanted, atol=1e-6):
        raise Hint("finite differences disagree. Each row is (softmax - one-hot label) / n.")
    if not np.isfinite(call(function, logits * 1e4, labels)).all():
        raise Hint("large logits overflow: subtract the largest of each row first.")
    print("Right.")


def check_nearest(function: Callable[..., Any]) -> None:
    """Check ``nearest(X, y, start)``.

    Parameters
    ----------
    function : callable
        Maps inputs ``(n, d)`` with n < d, targets ``(n,)`` and a start ``(d,)`` to the solution
        of ``X w = y`` nearest to the start.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(1)
    X, y, start = rng.normal(size=(3, 6)), rng.normal(size=3), rng.normal(size=6)
    answer = np.asarray(call(function, X, y, start), dtype=float)
    if answer.shape != (6,):
        raise Hint(f"the solution has six entries; yours has shape {answer.shape}.")
    from_zero = np.linalg.lstsq(X, y, rcond=None)[0]
    slips = {
        "this is the solution nearest to zero; the start does not appear in it": from_zero,
        "the start explains part of y already: correct only what is left, y - X start": start
        + from_zero,
    }
    recognise(answer, slips)
    if not np.allclose(X @ answer, y):
        raise Hint("X w is not y: this does not fit the examples.")
    along = X.T @ np.linalg.lstsq(X.T, answer - start, rcond=None)[0]
    if not np.allclose(along, answer - start):
        raise Hint("it fits, but is not the nearest: move from the start along rows of X only.")
    print("Right.")


def check_pull(function: Callable[..., Any]) -> None:
    """Check ``pull(X, y, start, alpha)``.

    Parameters
    ----------
    function : callable
        Maps inputs ``(n, d)``, targets ``(n,)``, a start ``(d,)`` and a strength to the minimum of
        the mean squared error plus alpha times the squared distance from the start.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(2)
    X, y, start, alpha = rng.normal(size=(8, 4)), rng.normal(size=8), rng.normal(size=4), 0.7

    def solve(scale=1 / 8, center=1.0, strength=alpha):
        return np.linalg.solve(
            scale * X.T @ X + strength * np.eye(4), scale * X.T @ y + center * strength * start
        )

    answer = np.asarray(call(function, X, y, start, alpha), dtype=float)
    if answer.shape != (4,):
        raise Hint(f"the solution has four entries; yours has shape {answer.shape}.")
    known = {
        "this pulls toward zero, as ridge regression does; alpha * start belongs on the right "
        "side": solve(center=0),
        "the squared error is a mean: divide X'X and X'y by the number of examples": solve(1.0),
        "the sign of the pull is turned round: alpha * start is added": solve(center=-1),
        "the start has to be multiplied by alpha": solve(center=1 / alpha),
    }
    recognise(answer, known)
    if not np.allclose(answer, solve()):
        raise Hint("the gradient 2/n X'(Xw - y) + 2 alpha (w - start) is not zero at your answer.")
    print("Right.")
