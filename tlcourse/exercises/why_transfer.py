"""Checks of chapter 1: labels needed, the paired interval, class prototypes."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tlcourse.exercises.hints import Hint, call, close, expect


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
        call(function, budgets, accuracies, 0.65),
        2,
        "at level 0.65 with accuracies [0.5, 0.7, 0.9, ...], two labels are enough",
    )
    expect(
        call(function, budgets, accuracies, 0.9),
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
        call(function, budgets[::-1], accuracies[::-1], 0.65),
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
    strategy, baseline = 0.7 + luck + rng.normal(0, 0.01, 8), 0.6 + luck
    answer = call(function, strategy, baseline)
    if not isinstance(answer, tuple) or len(answer) != 2:
        raise Hint(f"return two numbers, (mean, standard_error); you returned {answer!r}.")
    mean, error = answer
    differences = strategy - baseline
    if np.isclose(mean, -differences.mean()):
        raise Hint("the sign is turned round: a gain is strategy minus baseline.")
    close(mean, differences.mean(), "the mean of the differences, draw by draw")
    unpaired = np.sqrt((strategy.var(ddof=1) + baseline.var(ddof=1)) / 8)
    if np.isclose(error, unpaired, rtol=0.02):
        raise Hint(
            "this is the error of two independent samples; take the differences first, so that "
            "the luck of the draw, which both share, cancels."
        )
    if np.isclose(error, differences.std(ddof=1), rtol=0.02):
        raise Hint("this is the spread of single differences; the mean of n is sqrt(n) steadier.")
    if np.isclose(error, differences.std() / np.sqrt(8), rtol=1e-6):
        raise Hint("use the sample standard deviation (ddof=1): the mean was estimated as well.")
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
    features, labels = rng.normal(size=(30, 4)) * [1, 5, 1, 1], np.arange(30) % 3
    features += labels[:, None]
    queries = rng.normal(size=(50, 4)) * 3
    means = np.stack([features[labels == label].mean(axis=0) for label in range(3)])
    distances = ((queries[:, None] - means) ** 2).sum(axis=2)
    answer = np.asarray(call(function, features, labels, queries))
    if answer.shape != (50, 3):
        raise Hint(f"logits have shape (queries, classes) = (50, 3); yours are {answer.shape}.")
    if np.array_equal(answer.argmin(axis=1), distances.argmin(axis=1)):
        raise Hint("the nearest class has the smallest logit: turn the sign round.")
    if not np.array_equal(answer.argmax(axis=1), distances.argmin(axis=1)):
        raise Hint(
            "the largest logit is not always that of the nearest class mean; are the means taken "
            "over the examples of each class, and distances over all features?"
        )
    print("Right.")
