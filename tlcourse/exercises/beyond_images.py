"""Checks of chapter 17's exercises: finds of a detector, the pull to a source, overlapping texts.

Design choices
--------------
- The detector under test errs in every way at once, so each way of counting gives another number.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tlcourse.exercises.hints import Hint, call, close, recognise


def check_f1_cells(function: Callable[..., Any]) -> None:
    """Check ``f1_cells(found, truth, nothing)``.

    Parameters
    ----------
    function : callable
        Maps found and true classes of cells, two arrays of int of the same shape, and the number
        that stands for no object, to the F1 of the finds.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    nothing = 5
    truth = np.array([[1, 2, 5, 5, 0, 5], [5, 5, 3, 5, 4, 5], [5, 5, 5, 5, 5, 5]])
    found = np.array([[1, 3, 5, 2, 5, 5], [5, 5, 3, 5, 4, 5], [5, 0, 5, 1, 5, 5]])
    both = (found != nothing) & (truth != nothing)
    right = np.sum(both & (found == truth))
    finds, objects = np.sum(found != nothing), np.sum(truth != nothing)
    answer = call(function, found, truth, nothing)
    usual = {
        "this is the share of cells that are right, which is high for a detector that finds "
        "nothing; cells without an object must not count as finds": np.mean(found == truth),
        "a find with the wrong class is not right: compare the classes as well": 2
        * both.sum()
        / (finds + objects),
        "this is precision alone; an object that was missed must cost as well": right / finds,
        "this is recall alone; a false find must cost as well": right / objects,
        "the numerator is 2 TP": right / (finds + objects),
        "this is TP / (TP + FP + FN); F1 counts TP twice, above and below": right
        / (finds + objects - right),
        "an empty cell that is found empty is no true positive": 2
        * np.sum(found == truth)
        / (finds + objects),
        "a find with the wrong class is a false find and also a missed object: it counts twice": 2
        * right
        / (finds + objects - np.sum(both & (found != truth))),
    }
    recognise(answer, usual)
    close(answer, 2 * right / (finds + objects), "2 TP / (finds + objects)")
    empty = np.full((2, 3), nothing)
    close(
        call(function, np.full(truth.shape, nothing), truth, nothing),
        0.0,
        "the F1 of a detector that finds nothing where there is something",
    )
    silent = call(function, empty, empty, nothing)
    if not np.isfinite(silent) or silent != 1:
        raise Hint(
            "where nothing is found and nothing is to be found, 2 TP + FP + FN is zero; "
            "return 1 there."
        )
    print("Right.")


def check_pull_ridge(function: Callable[..., Any]) -> None:
    """Check ``pull_ridge(X, y, a, w0)``.

    Parameters
    ----------
    function : callable
        Maps inputs ``(n, d)``, targets ``(n,)``, a strength and a start ``(d,)`` to the weights
        ``(d,)`` that minimise squared error plus strength times squared distance from the start.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(2)
    X, y, w0, a = rng.normal(size=(8, 3)), rng.normal(size=8), rng.normal(size=3), 2.5
    answer = np.asarray(call(function, X, y, a, w0), dtype=float)
    if answer.shape != (3,):
        raise Hint(f"there is one weight for each column, 3; yours have shape {answer.shape}.")
    usual = {
        "this is ordinary ridge regression, which pulls to zero: add a * w0 on the right": _solve(
            X, y, a, 0 * w0
        ),
        "on the right w0 stands without its strength: the gradient has a * (w - w0)": _solve(
            X, y, a, w0 / a
        ),
        "this is least squares; the strength does not appear in it": _solve(X, y, 0, w0),
        "you pull away from w0: check the sign": _solve(X, y, a, -w0),
        "ridge regression and then + w0: the start explains part of y already; correct only "
        "y - X w0": _solve(X, y, a, 0 * w0) + w0,
        "the squared error is a sum here, not a mean; n * a is too strong": _solve(
            X, y, len(X) * a, w0
        ),
    }
    recognise(answer, usual)
    gradient = X.T @ (X @ answer - y) + a * (answer - w0)
    if not np.allclose(gradient, 0, atol=1e-8):
        raise Hint(
            "the gradient X'(Xw - y) + a (w - w0) is not zero at your weights; set it to "
            "zero and solve for w."
        )
    few = np.asarray(call(function, X[:2], y[:2], a, w0), dtype=float)
    if not np.allclose(few, _solve(X[:2], y[:2], a, w0)):
        raise Hint(
            "with 2 rows and 3 columns it is wrong: X'X has no inverse there, but X'X + a I has."
        )
    strong = np.asarray(call(function, X, y, 1e9, w0), dtype=float)
    if not np.allclose(strong, w0, atol=1e-6):
        raise Hint("a very strong pull must end at w0.")
    print("Right.")


def check_without_overlap(function: Callable[..., Any]) -> None:
    """Check ``without_overlap(source, target)``.

    Parameters
    ----------
    function : callable
        Maps two lists of texts to those of the first that do not occur in the second, in order
        and each once; capitals and white space make no difference.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    source = [
        "Read a file.",
        "Close the  door.",
        "read a\nfile.",
        "Send mail.",
        "Stop.",
        "close the door, please.",
    ]
    target = ["Send mail.", "STOP.", "Open it."]
    kept = source[:2] + source[-1:]
    answer = call(function, list(source), list(target))
    if not isinstance(answer, list):
        raise Hint(f"return a list of texts; you returned a {type(answer).__name__}.")
    if "Send mail." in answer:
        raise Hint("a text that stands in the target, letter by letter, is still there.")
    if "Stop." in answer:
        raise Hint("'Stop.' and 'STOP.' differ in capitals only: compare lower-case texts.")
    if "read a\nfile." in answer:
        raise Hint(
            "'Read a file.' and 'read a\\nfile.' of the source are the same text: compare "
            "after .lower() and .split(), and keep the first."
        )
    if "close the door, please." not in answer:
        raise Hint("a text that only contains another, or begins like it, is not the same text.")
    if sorted(answer) == sorted(kept) and answer != kept:
        raise Hint("keep the order of the source; a set has none.")
    if answer != kept:
        raise Hint(f"wanted was {kept!r}, spelled as in the source; you returned {answer!r}.")
    print("Right.")


def _solve(X, y, a, w0):
    """Return the weights of the pull."""
    return np.linalg.solve(X.T @ X + a * np.eye(X.shape[1]), X.T @ y + a * w0)
