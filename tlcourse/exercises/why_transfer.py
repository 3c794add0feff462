"""Checks of chapter 1: labels needed, the paired interval, prototypes, long enough training."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tlcourse.exercises.hints import Hint, array, call, close, expect, recognise

_RUNS = [  # accuracies, those after twice the updates, finished, hint
    ([0.60, 0.70], [0.64, 0.74], True, "the mean rose by 0.04, less than the spread of 0.07"),
    ([0.60, 0.62], [0.70, 0.72], False, "the mean rose by 0.10, more than the spread of 0.014"),
    (
        [0.90, 0.92],
        [0.70, 0.72],
        False,
        "a fall of 0.20 is a change too; take its absolute value",
    ),
    (
        [0.50, 0.60],
        [0.56, 0.66],
        True,
        "the spread is the sample standard deviation (ddof=1), 0.071, and the change is 0.06",
    ),
    (
        [0.60, 0.62],
        [0.55, 0.85],
        False,
        "the spread is that of the shorter run, 0.014; that of the longer one does not count",
    ),
    (
        [0.50, 0.60, 0.70],
        [0.62, 0.60, 0.58],
        True,
        "the *mean* did not change, though single draws did",
    ),
    (
        [0.50, 0.60, 0.55, 0.55],
        [0.53, 0.63, 0.58, 0.58],
        True,
        "the spread is the standard deviation of the draws, 0.041, not that of their mean",
    ),
]


def check_labels_needed(function: Callable[..., Any]) -> None:
    """Check ``labels_needed(budgets, accuracies, level)`` of chapter 1.

    Parameters
    ----------
    function : callable
        Returns the smallest budget whose accuracy reaches the level, or None.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    budgets, accuracies = [1, 2, 5, 10, 20], [0.5, 0.7, 0.9, 0.88, 0.95]
    expect(
        call(function, budgets, accuracies, 0.65, may_be_none=True),
        2,
        "at level 0.65 with accuracies [0.5, 0.7, 0.9, ...], two labels are enough",
    )
    expect(
        call(function, budgets, accuracies, 0.9, may_be_none=True),
        5,
        "the level is reached when the accuracy is equal to it; use >=, and take the first "
        "budget that reaches it even if a later one falls below again",
    )
    expect(
        call(function, budgets, accuracies, 0.99, may_be_none=True),
        None,
        "if no budget reaches the level, the answer is None: you must not guess beyond what "
        "was measured",
    )
    expect(
        call(function, budgets[::-1], accuracies[::-1], 0.65, may_be_none=True),
        2,
        "the budgets may come in any order; 'smallest' means the smallest budget, not the "
        "first in the list",
    )
    print("Right.")


def check_paired_interval(function: Callable[..., Any]) -> None:
    """Check ``paired_gain(strategy, baseline)`` of chapter 1.

    Parameters
    ----------
    function : callable
        Maps two arrays ``(draws,)`` to ``(mean, standard_error)`` of the paired differences.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(0)
    luck = rng.normal(0, 0.1, 8)
    strategy, baseline = 0.62 + luck + rng.normal(0, 0.05, 8), 0.6 + luck
    differences = strategy - baseline
    answer = call(function, strategy, baseline)
    if np.size(answer) != 2:
        raise Hint(f"return two numbers, mean and standard error; you returned {answer!r}.")
    mean, error = array(answer, 2)
    slips = {
        "the sign is turned round: a gain is strategy minus baseline": -differences.mean(),
        "a draw in which the strategy loses counts against it; leave the signs as they are": (
            np.abs(differences).mean()
        ),
    }
    recognise(mean, slips)
    close(mean, differences.mean(), "the mean of the differences, draw by draw")
    unpaired = np.sqrt((strategy.var(ddof=1) + baseline.var(ddof=1)) / 8)
    slips = {
        "this is the error of two independent samples; take the differences first, so that the "
        "luck of the draw, which both share, cancels": [
            unpaired,
            np.sqrt((strategy.var() + baseline.var()) / 8),
        ],
        "this is the spread of single differences; the mean of n is sqrt(n) steadier": [
            differences.std(ddof=1),
            differences.std(),
        ],
        "use the sample standard deviation (ddof=1): the mean was estimated as well": (
            differences.std() / np.sqrt(8)
        ),
        "this is the squared error; take its root": differences.var(ddof=1) / 8,
    }
    recognise(error, slips)
    close(error, differences.std(ddof=1) / np.sqrt(8), "the standard error of the differences")
    print("Right.")


def check_prototype_logits(function: Callable[..., Any]) -> None:
    """Check ``prototype_logits(features, labels, queries)`` of chapter 1.

    Parameters
    ----------
    function : callable
        Maps features ``(n, d)``, labels ``(n,)`` and queries ``(m, d)`` to logits ``(m, k)``.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(1)
    labels = rng.permutation(np.arange(30) % 3)
    labels[:2] = 2, 0  # so that the classes do not appear in their order
    features = rng.normal(size=(30, 4)) * [1, 5, 1, 1] + labels[:, None]
    queries = rng.normal(size=(50, 4)) * 3
    means = np.stack([features[labels == label].mean(axis=0) for label in range(3)])
    distances = ((queries[:, None] - means) ** 2).sum(axis=2)
    answer = array(call(function, features, labels, queries), 50, 3)
    seen = list(dict.fromkeys(labels.tolist()))
    slips = {
        "the nearest class has the smallest logit: turn the sign round": [
            distances,
            np.sqrt(distances),
        ],
        "square the distances: yours are the distances themselves": -np.sqrt(distances),
        "a squared distance is the sum over all features; yours is their mean": -distances / 4,
        "column c belongs to class c; your columns stand in the order in which the classes "
        "appear in the labels": -distances[:, seen],
    }
    recognise(answer, slips)
    if not np.allclose(answer, -distances):
        if np.allclose(np.ptp(answer + distances, axis=1), 0):
            raise Hint(
                "your logits choose the same classes, but differ from minus the squared distance "
                "by a number for each query; add the query's own squares."
            )
        raise Hint(
            "not minus the squared distance to the class mean; are the means taken over the "
            "examples of each class, and distances over all features?"
        )
    print("Right.")


def check_is_finished(function: Callable[..., Any]) -> None:
    """Check ``is_finished(once, twice)`` of chapter 1.

    Parameters
    ----------
    function : callable
        Maps the accuracies of a number of draws ``(draws,)``, after a run and after one twice as
        long, to whether the mean changed by less than the spread after the shorter run.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    for once, twice, expected, hint in _RUNS:
        answer = call(function, np.array(once), np.array(twice))
        if np.ndim(answer) != 0 or answer not in (True, False):
            raise Hint(f"return True or False; you returned {answer!r}.")
        if bool(answer) != expected:
            raise Hint(f"after {once}, twice as long {twice}: {hint}. You returned {answer!r}.")
    print("Right.")
