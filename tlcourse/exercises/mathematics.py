"""Checks of chapter 3's exercises: gradients, starts, pulls and distances.

Design choices
--------------
- Gradients are compared with finite differences, closed forms with the equations they solve.
- Every check asks for two sizes, so that an answer with sizes written into it fails.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import softmax

from tlcourse.exercises.hints import Hint, array, call, recognise
from tlcourse.scores import mmd

_WIDTH, _LEAST_MMD = 0.3, 0.02  # Samples of 200 from one distribution stay well below it.


def check_gradient(function: Callable[..., Any]) -> None:
    """Check ``gradient(logits, wanted)``.

    Parameters
    ----------
    function : callable
        Maps logits ``(n, k)`` and wanted probabilities ``(n, k)`` to the gradient ``(n, k)`` of
        the *mean* cross-entropy with respect to the logits.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(0)
    for n, k in ((5, 3), (4, 6)):
        logits, wanted = rng.normal(size=(n, k)) * 2, rng.dirichlet(np.ones(k), size=n)
        right = _slopes(logits, wanted)
        answer = array(call(function, logits, wanted), n, k)
        hard = _slopes(logits, np.eye(k)[wanted.argmax(axis=1)])
        slips = {
            "the loss is the mean over the examples: divide by their number": n * right,
            "the sign is turned round: the gradient points uphill": [-right, -n * right],
            "this takes the most probable class for the whole truth; the other wanted "
            "probabilities count too": hard,
            "the mean is over the examples, not over all entries: divide by n only": right / k,
        }
        recognise(answer, slips, atol=1e-6)
        if not np.allclose(answer, right, atol=1e-6):
            if n == 4:
                raise Hint(
                    "right for 5 examples of 3 classes, wrong for 4 of 6: take the sizes from "
                    "logits.shape."
                )
            raise Hint("finite differences disagree. Derive the slope in one logit on paper first.")
        large = array(call(function, logits * 1e4, wanted), n, k)
        if not np.allclose(large, (softmax(logits * 1e4, axis=1) - wanted) / n):
            raise Hint("large logits overflow: subtract the largest of each row first.")
    print("Right.")


def _slopes(logits, wanted, step=1e-5):
    """Return the gradient of the mean cross-entropy by finite differences."""

    def loss(o):
        return np.mean(np.log(np.exp(o).sum(axis=1)) - (wanted * o).sum(axis=1))

    slopes = np.empty_like(logits)
    for place in np.ndindex(*logits.shape):
        move = np.zeros_like(logits)
        move[place] = step
        slopes[place] = (loss(logits + move) - loss(logits - move)) / (2 * step)
    return slopes


def check_kept(function: Callable[..., Any]) -> None:
    """Check ``kept(X, start)``.

    Parameters
    ----------
    function : callable
        Maps inputs ``(n, d)`` and a start ``(d,)`` to the part of the start that gradient descent
        on ``X w = y`` never changes, whatever the labels.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(1)
    for n, d in ((3, 6), (2, 5), (8, 4)):
        X, start = rng.normal(size=(n, d)), rng.normal(size=d)
        answer = array(call(function, X, start), d)
        lost = np.linalg.lstsq(X, X @ start, rcond=None)[0]
        if n >= d:
            if not np.allclose(answer, 0, atol=1e-6):
                raise Hint(
                    f"with {n} examples and {d} parameters nothing is left open, so 0 stays."
                )
            continue
        slips = {
            "this is the whole start; descent changes it along the rows of X": start,
            "this is the part that the labels replace; what is kept is the rest": lost,
            "the sign is turned round: start minus what is replaced": lost - start,
        }
        recognise(answer, slips)
        if not np.allclose(X @ answer, 0, atol=1e-6):
            raise Hint("what is kept must not change any answer, but X @ yours is not zero.")
        if not np.allclose(answer, start - lost, atol=1e-6):
            raise Hint("X @ yours is zero, but more of the start is kept, or less.")
    print("Right.")


def check_pull(function: Callable[..., Any]) -> None:
    """Check ``pull(X, y, start, alphas)``.

    Parameters
    ----------
    function : callable
        Maps inputs ``(n, d)``, targets ``(n,)``, a start ``(d,)`` and a strength for each
        parameter ``(d,)`` to the minimum of the mean squared error plus half the sum of the
        strengths times the squared distances from the start.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(2)
    for n, d in ((8, 4), (3, 5)):
        X, y, start = rng.normal(size=(n, d)), rng.normal(size=n), rng.normal(size=d)
        alphas = rng.uniform(0.2, 2, size=d)
        answer = array(call(function, X, y, start, alphas), d)
        known = {
            "this pulls toward zero, as ridge regression does; the start belongs on the right "
            "side": _pulled(X, y, 0 * start, alphas),
            "the squared error is a mean: divide X'X and X'y by the number of examples": [
                _pulled(X, y, start, alphas, factor) for factor in (1.0, 2.0)
            ],
            "the squared error has a slope with the factor 2, half the square has none": [
                _pulled(X, y, start, alphas, 1 / n)
            ],
            "the sign of the pull is turned round: the start is added": _pulled(
                X, y, -start, alphas
            ),
            "each parameter has a strength of its own; this pulls all alike": _pulled(
                X, y, start, np.full(d, alphas.mean())
            ),
            "the start has to be multiplied by its strength": _pulled(X, y, start / alphas, alphas),
        }
        recognise(answer, known)
        if not np.allclose(answer, _pulled(X, y, start, alphas)):
            if n == 3:
                raise Hint("right for 8 examples, wrong for 3: take the sizes from X.shape.")
            raise Hint("the gradient 2/n X'(Xw - y) + alphas * (w - start) is not zero there.")
    print("Right.")


def _pulled(X, y, start, alphas, factor=None):
    """Solve for zero slope; ``factor`` stands before X'X and X'y."""
    factor = 2 / len(y) if factor is None else factor
    return np.linalg.solve(factor * X.T @ X + np.diag(alphas), factor * X.T @ y + alphas * start)


def check_twins(function: Callable[..., Any]) -> None:
    """Check ``twins()``: two clouds that means and covariances cannot tell, and a kernel can.

    Parameters
    ----------
    function : callable
        Takes nothing and returns two arrays of at least 200 rows and two features.

    Raises
    ------
    Hint
        If the means or covariances differ, or the kernel cannot tell the clouds either.
    """
    answer = call(function)
    if not isinstance(answer, list | tuple) or len(answer) != 2:
        raise Hint("return two arrays: `return first, second`.")
    if any(np.ndim(cloud) != 2 for cloud in answer):
        raise Hint("each cloud is an array of rows with two features.")
    first, second = (array(cloud, len(cloud), 2) for cloud in answer)
    if min(len(first), len(second)) < 200:
        raise Hint(f"give at least 200 rows each; yours are {len(first)} and {len(second)}.")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise Hint("some numbers are not finite.")
    gap = np.abs(first.mean(axis=0) - second.mean(axis=0)).max()
    if gap > 1e-6:
        raise Hint(f"the means differ by {gap:.2g}: subtract each cloud's own.")
    covariances = [np.cov(cloud, rowvar=False) for cloud in (first, second)]
    if np.linalg.eigvalsh(covariances[0])[0] < 1e-6:
        raise Hint("the clouds have to spread in both directions.")
    gap = np.abs(covariances[0] - covariances[1]).max()
    if gap > 1e-6:
        raise Hint(f"the covariances differ by {gap:.2g}: whiten each cloud with its own.")
    width = _WIDTH * np.sqrt(np.trace(covariances[0]) / 2)
    told = mmd(first, second, bandwidth=width)
    if told < _LEAST_MMD:
        raise Hint(
            f"MMD² is {told:.3f}, so the kernel cannot tell them either; {_LEAST_MMD} are wanted. "
            "Give the clouds different shapes: how could one look that is not a single heap?"
        )
    print(f"Right. Mean and covariance are the same, and MMD² is {told:.3f}.")
