"""Checks of chapter 2's exercises: kinds of transfer, and how much was transferred.

Design choices
--------------
- Cases and curves are small and written out, so that a hint can quote them.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tlcourse.exercises.hints import Hint, array, call, recognise

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
            f"another task without a single target label is none of the three settings; what a "
            f"zero-shot method takes instead is not in the table. Return None; you returned "
            f"{answer!r}."
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


def check_shuffle_tiles(function: Callable[..., Any]) -> None:
    """Check ``shuffle_tiles(images, side, order)``.

    Parameters
    ----------
    function : callable
        Reorders the pixels inside each tile of ``(n, h, w, c)`` images. Tiles are ``side`` pixels
        high and wide; place p of a tile, counted row by row, gets what was at place ``order[p]``.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    images = np.arange(2 * 4 * 6, dtype=np.float32).reshape(2, 4, 6, 1) / 48
    order = np.array([3, 0, 1, 2])
    expected = _shuffled(images, 2, order)
    answer = array(call(function, images, 2, order), *images.shape)
    if np.allclose(answer, images):
        raise Hint("nothing has moved; an array's method gives a new array, use its result.")
    turned = _shuffled(images, 2, np.argsort(order))
    down_first = _shuffled(images.swapaxes(1, 2), 2, order).swapaxes(1, 2)
    in_a_row = images.reshape(-1, 4)[:, order].reshape(images.shape)
    slips = {
        "turned round: place p gets what was at place order[p], so index with order": turned,
        "inside a tile count row by row: first along the width, then down": down_first,
        "the four pixels of a tile are neighbours in both directions; you took four that "
        "follow each other in a row of the array": in_a_row,
    }
    recognise(answer, slips)
    if not np.allclose(answer, expected):
        raise Hint(
            f"the first tile of the first picture is {(48 * images[0, :2, :2, 0]).tolist()} / 48; "
            f"with order {order.tolist()} it becomes {(48 * expected[0, :2, :2, 0]).tolist()} / "
            f"48, yours is {(48 * answer[0, :2, :2, 0]).round(2).tolist()} / 48."
        )
    colour = np.random.default_rng(0).random((1, 6, 6, 3))
    order = np.random.default_rng(1).permutation(9)
    answer = array(call(function, colour, 3, order), *colour.shape)
    if not np.allclose(answer, _shuffled(colour, 3, order)):
        raise Hint("right for 2 x 2 tiles of grey pictures, wrong for 3 x 3 tiles of colour ones.")
    print("Right.")


def _shuffled(images, side, order):
    """Reorder the pixels inside each tile."""
    n, height, width, channels = images.shape
    tiles = images.reshape(n, height // side, side, width // side, side, channels)
    tiles = tiles.transpose(0, 1, 3, 2, 4, 5).reshape(-1, side * side, channels)[:, order]
    tiles = tiles.reshape(n, height // side, width // side, side, side, channels)
    return tiles.transpose(0, 1, 3, 2, 4, 5).reshape(images.shape)
