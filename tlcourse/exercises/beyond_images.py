"""Checks of chapter 17's exercises: finds of a detector, overlapping texts, leaving one out.

Design choices
--------------
- The detector under test errs in every way at once, so each way of counting gives another number.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tlcourse.exercises.hints import Hint, call, close, number, recognise


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


def check_leave_one_out(function: Callable[..., Any]) -> None:
    """Check ``leave_one_out(X, y, alpha, start)``.

    Parameters
    ----------
    function : callable
        Maps inputs ``(n, d)``, targets ``(n,)``, a strength and a start ``(d,)`` to the mean
        squared error of each row under the weights that are fitted, with the pull to the start,
        to all *other* rows.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(2)
    X, start, alpha = rng.normal(size=(9, 3)), rng.normal(size=3), 2.5
    y = X @ (start + 0.3) + 0.5 * rng.normal(size=9)
    answer = number(call(function, X, y, alpha, start), "is there a division by zero?")
    left = _errors(X, y, alpha, start)
    to_zero, free = _errors(X, y, alpha, 0 * start), _errors(X, y, 0, start)
    fitted = y - X @ _solve(X, y, alpha, start)
    usual = {
        "each row is still in its own fit: this is the error on the training rows": np.mean(
            fitted**2
        ),
        "the fits pull to zero: the start belongs into each of them": np.mean(to_zero**2),
        "the fits have no pull: alpha belongs into each of them": np.mean(free**2),
        "this is the sum of the squares; take their mean": np.sum(left**2),
        "this is the root of the mean square; leave it squared": np.sqrt(np.mean(left**2)),
        "this is the mean absolute error; square the errors": np.mean(np.abs(left)),
        "the errors cancel: square each before the mean": np.mean(left) ** 2,
        "this is the error of the start itself, which no row has changed": np.mean(
            (y - X @ start) ** 2
        ),
        "it is the row that was left out that you ask, not the rows that were fitted": np.mean(
            [np.mean(np.delete(y - X @ w, i) ** 2) for i, w in enumerate(_fits(X, y, alpha, start))]
        ),
    }
    recognise(answer, usual)
    close(answer, np.mean(left**2), "the mean squared error of the rows left out")
    few = number(call(function, X[:2], y[:2], alpha, start), "is there a division by zero?")
    close(few, np.mean(_errors(X[:2], y[:2], alpha, start) ** 2), "the same, for two rows")
    print("Right.")


def _solve(X, y, alpha, start):
    """Return the weights of the pull."""
    return np.linalg.solve(X.T @ X + alpha * np.eye(X.shape[1]), X.T @ y + alpha * start)


def _fits(X, y, alpha, start):
    """Return the weights without each row in turn."""
    rows = range(len(X))
    return [_solve(np.delete(X, i, 0), np.delete(y, i), alpha, start) for i in rows]


def _errors(X, y, alpha, start):
    """Return the error of each row under the weights without it."""
    return np.array([y[i] - X[i] @ w for i, w in enumerate(_fits(X, y, alpha, start))])
