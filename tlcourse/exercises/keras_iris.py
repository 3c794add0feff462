"""Checks of chapter 9's exercises: fair splits, honest scales and simple rivals.

Design choices
--------------
- Labels come sorted, as in many published tables: a split that trusts the order is caught.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tlcourse.exercises.hints import Hint, array, call, close, number, recognise


def check_fair_split(function: Callable[..., Any]) -> None:
    """Check ``fair_split(labels, per_class, seed)``.

    Parameters
    ----------
    function : callable
        Maps labels ``(n,)``, a number and a seed to the indices of a training set with that many
        rows of each class, and of a test set with all other rows.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    labels = np.repeat([0, 1, 2], [50, 40, 30])
    answer = call(function, labels, 5, 0)
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise Hint("return two arrays of indices, (train, test).")
    train, test = (np.asarray(part) for part in answer)
    if train.dtype == bool or test.dtype == bool:
        raise Hint("return indices, not masks; np.flatnonzero turns one into the other.")
    if set(train) & set(test):
        raise Hint("some rows are in both parts: what is trained on cannot test.")
    counts = np.bincount(labels[train], minlength=3)
    if counts.tolist() != [5, 5, 5]:
        raise Hint(
            f"the training set has {counts.tolist()} rows of the three classes, not 5 of "
            "each: draw within each class."
        )
    if len(train) + len(test) != len(labels):
        raise Hint(f"{len(labels) - len(train) - len(test)} rows are in neither part.")
    again, other = call(function, labels, 5, 0)[0], call(function, labels, 5, 1)[0]
    if set(again) != set(train):
        raise Hint("the same seed gives another split; make the generator from the seed.")
    if set(other) == set(train):
        raise Hint("another seed gives the same split: you take the first rows of each class.")
    print("Right.")


def check_majority(function: Callable[..., Any]) -> None:
    """Check ``majority_accuracy(train_labels, test_labels)``.

    Parameters
    ----------
    function : callable
        Maps two arrays of labels to the test accuracy of always answering the class that is most
        frequent in training.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    train, test = np.array([2, 2, 2, 0, 1]), np.array([0, 0, 0, 1, 2, 2])
    advice = "count how many test labels are that class."
    answer = number(call(function, train, test), advice)
    slips = {
        "you look at the test labels to choose the answer; choose it in training": 0.5,
        "this is the accuracy on the training set; measure on the test set": 0.6,
    }
    recognise(answer, slips)
    close(answer, 2 / 6, "the share of test labels equal to training's most frequent one")
    constant = np.full(4, 7)
    close(call(function, constant, constant), 1.0, "the accuracy where the target is constant")
    print("Right.")


def check_standardise(function: Callable[..., Any]) -> None:
    """Check ``standardise(pool, rows)``.

    Parameters
    ----------
    function : callable
        Maps a pool ``(n, d)`` and rows ``(m, d)`` to the rows, less the pool's column means and
        divided by its standard deviations; by 1, where a column of the pool is constant.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(0)
    pool, rows = rng.normal([1, 5, -2], [1, 4, 0.2], (9, 3)), rng.normal(size=(4, 3))
    centre, scale = pool.mean(axis=0), pool.std(axis=0)
    answer = array(call(function, pool, rows), 4, 3)
    slips = {
        "you take mean and deviation from the rows themselves; the pool gives them": (
            (rows - rows.mean(axis=0)) / rows.std(axis=0)
        ),
        "one mean and one deviation for the whole table; each column has its own": (
            (rows - pool.mean()) / pool.std()
        ),
        "the mean is subtracted, but nothing is divided": rows - centre,
        "you divide by the variance; take its root": (rows - centre) / scale**2,
        "you divide before you subtract": rows / scale - centre,
    }
    recognise(answer, slips)
    allowed = [(rows - centre) / pool.std(axis=0, ddof=ddof) for ddof in (0, 1)]
    if not any(np.allclose(answer, one) for one in allowed):
        raise Hint("wanted is each column less the pool's mean, over the pool's deviation.")
    pool[:, 1] = 7.0
    with np.errstate(divide="ignore", invalid="ignore"):
        answer = array(call(function, pool, rows), 4, 3)
    if not np.isfinite(answer).all():
        raise Hint("a column that is constant in the pool has deviation 0; divide it by 1.")
    if not np.allclose(answer[:, 1], rows[:, 1] - 7):
        raise Hint("a column that is constant in the pool is only shifted.")
    print("Right.")
