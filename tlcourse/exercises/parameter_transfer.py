"""Checks of chapter 4's exercises: rates, interpolation and low-rank changes.

Design choices
--------------
- Weights are NumPy arrays, so an answer needs no framework to be checked.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tlcourse.exercises.hints import Hint, call, recognise


def check_discriminative_rates(function: Callable[..., Any]) -> None:
    """Check ``discriminative_rates(n_layers, top, decay)``.

    Parameters
    ----------
    function : callable
        Returns one learning rate for each layer, from the input to the head.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    answer = np.asarray(call(function, 4, 0.08, 2.0), dtype=float)
    expected = np.array([0.01, 0.02, 0.04, 0.08])
    if answer.shape != (4,):
        raise Hint(f"four layers need four rates; yours have shape {answer.shape}.")
    slips = {
        "the order is turned round: the list begins at the input, which has the lowest": (
            expected[::-1]
        ),
        "the head itself gets the top rate; only the layers below it get less": expected / 2,
        "rates grow beyond the top rate: divide by the decay on the way down": 0.08
        * 2.0 ** np.arange(4),
    }
    recognise(answer, slips)
    if not np.allclose(answer, expected):
        raise Hint(
            f"with top 0.08 and decay 2 the four rates are {expected.tolist()}; yours are "
            f"{answer.tolist()}. Each layer has 1/decay of the rate of the layer above."
        )
    print("Right.")


def check_interpolate(function: Callable[..., Any]) -> None:
    """Check ``interpolate(start, end, alpha)``.

    Parameters
    ----------
    function : callable
        Maps two dicts of arrays with the same names, and a number, to a dict of arrays.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(0)
    shapes = {"conv.weight": (2, 3), "norm.running_mean": (4,), "head.bias": (2,)}
    start, end = (
        {name: rng.normal(size=shape) for name, shape in shapes.items()} for _ in range(2)
    )
    kept = {name: array.copy() for name, array in start.items()}
    answer = call(function, start, end, 0.25, copies=False)
    if not isinstance(answer, dict) or set(answer) != set(shapes):
        raise Hint(
            "return a dict with the same names as the two nets, every one of them: "
            "BatchNorm's statistics belong to the net as well."
        )
    if not all(np.array_equal(start[name], kept[name]) for name in shapes):
        raise Hint("your function changes the starting net; make new arrays.")
    if all(np.allclose(answer[name], 0.75 * end[name] + 0.25 * start[name]) for name in shapes):
        raise Hint("the ends are swapped: alpha = 0 is the start, alpha = 1 the fine-tuned net.")
    for name in shapes:
        if not np.allclose(answer[name], 0.75 * start[name] + 0.25 * end[name]):
            raise Hint(f"{name} is not (1 - alpha) * start + alpha * end.")
    print("Right.")


def check_merge_lora(function: Callable[..., Any]) -> None:
    """Check ``merge(weight, down, up, alpha)``.

    Parameters
    ----------
    function : callable
        Maps a weight ``(outputs, inputs)``, matrices ``(rank, inputs)`` and ``(outputs, rank)``
        and a number to the merged weight.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(1)
    weight, down, up = rng.normal(size=(5, 7)), rng.normal(size=(2, 7)), rng.normal(size=(5, 2))
    kept = weight.copy()
    answer = np.asarray(call(function, weight, down, up, 6.0, copies=False))
    change = up @ down
    if not np.array_equal(weight, kept):
        raise Hint("your function changes the weight that it was given; return a new array.")
    if answer.shape != (5, 7):
        raise Hint(
            f"the merged weight has the shape of the weight, (5, 7); yours is {answer.shape}."
        )
    slips = {
        "that is the change alone; add it to the weight": 3.0 * change,
        "the change is scaled by alpha / rank": weight + change,
        "divide alpha by the rank, which you find in the shape of the matrices": weight
        + 6.0 * change,
    }
    recognise(answer, slips)
    if not np.allclose(answer, weight + 3.0 * change):
        raise Hint("wanted is weight + alpha / rank * (up @ down).")
    print("Right.")
