"""Checks of chapter 2's exercises: kinds of transfer, and how much was transferred.

Design choices
--------------
- Cases and curves are small and written out, so that a hint can quote them.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tlcourse.exercises.hints import Hint, call, recognise

_SETTINGS = [  # source labels, target labels, same task; setting; hint
    (True, True, False, "inductive", "target labels make it inductive, whatever the source has"),
    (False, True, False, "inductive", "target labels make it inductive even without source labels"),
    (True, False, True, "transductive", "labels in the source only, and the same task"),
    (False, False, False, "unsupervised", "no labels anywhere"),
]


def check_setting(function: Callable[..., Any]) -> None:
    """Check ``setting(source_labels, target_labels, same_task)``.

    Parameters
    ----------
    function : callable
        Maps three booleans to "inductive", "transductive", "unsupervised" or None.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    for source, target, same, expected, hint in _SETTINGS:
        answer = call(function, source, target, same)
        if answer != expected:
            raise Hint(
                f"source labels {source}, target labels {target}, same task {same}: {hint}, so "
                f"{expected!r}; you returned {answer!r}."
            )
    answer = call(function, True, False, False, may_be_none=True)
    if answer is not None:
        raise Hint(
            f"another task without a single target label is none of the three: nothing says what "
            f"the target's classes are. Return None; you returned {answer!r}."
        )
    print("Right.")


def check_label_saving(function: Callable[..., Any]) -> None:
    """Check ``label_saving(budgets, transfer, scratch, level)``.

    Parameters
    ----------
    function : callable
        Maps budgets, two curves of accuracy and a level to the ratio of the budgets at which the
        curves first reach the level, or None if one of them does not.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    budgets = np.array([1, 2, 5, 10, 20])
    transfer = np.array([0.6, 0.8, 0.9, 0.92, 0.95])
    scratch = np.array([0.3, 0.5, 0.75, 0.9, 0.94])
    answer = call(function, budgets, transfer, scratch, 0.9, may_be_none=True)
    slips = {
        "turned round: the saving is scratch's budget over that of transfer": 0.5,
        "a saving is a ratio, not a difference, of budgets": 5,
    }
    if answer is not None:
        recognise(answer, slips)
    if answer is None or not np.isclose(answer, 2):
        raise Hint(
            f"at level 0.9 transfer needs 5 labels and scratch 10, so the saving is 2; you "
            f"returned {answer!r}. A curve that is equal to the level reaches it."
        )
    if call(function, budgets, transfer, scratch, 0.945, may_be_none=True) is not None:
        raise Hint(
            "scratch never reaches 0.945: the saving is at least something, but not "
            "measured. Return None."
        )
    if call(function, budgets, transfer, scratch, 0.99, may_be_none=True) is not None:
        raise Hint("no curve reaches 0.99; return None.")
    bumpy = np.array([0.5, 0.9, 0.8, 0.91, 0.95])
    answer = call(function, budgets, bumpy, scratch, 0.9, may_be_none=True)
    if answer is None or not np.isclose(answer, 5):
        raise Hint(
            f"with accuracies {bumpy.tolist()} the *first* budget that reaches 0.9 is 2; "
            f"you returned {answer!r}."
        )
    print("Right.")
