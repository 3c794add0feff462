"""Checks of chapter 11's exercises: shapes, new heads, and what was copied.

Design choices
--------------
- No framework is imported here: where a check needs a net, the page hands one over.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tlcourse.exercises.hints import Hint, call, close, expect, recognise


def check_output_size(function: Callable[..., Any]) -> None:
    """Check ``output_size(size, kernel, stride=1, padding=0)``.

    Parameters
    ----------
    function : callable
        Returns the height of what a convolution puts out for a square input, in pixels.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    expect(
        call(function, 32, 3, 1, 1),
        32,
        "3x3 with padding 1 keeps the size: padding is added on both sides",
    )
    expect(call(function, 32, 2, 2), 16, "a maximum over 2x2 with stride 2 halves the size")
    expect(call(function, 7, 3), 5, "without padding a 3x3 kernel fits at 5 of 7 places")
    expect(
        call(function, 224, 7, 2, 3),
        112,
        "ResNet's first layer; round down, as the kernel must fit whole",
    )
    expect(call(function, 7, 2, 2), 3, "the last column of 7 has no partner: round down")
    print("Right.")


def check_rehead(function: Callable[..., Any], model: Any) -> None:
    """Check ``rehead(model, n_classes)``.

    Parameters
    ----------
    function : callable
        Maps a ``torch.nn.Sequential`` that ends in ``Linear`` to a new one with the same layers
        and parameters, but a fresh last layer with ``n_classes`` outputs.
    model : torch.nn.Sequential
        What to try it on; its first layer has parameters and its last is ``Linear``.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    old_head = model[-1]
    arriving, wanted = old_head.in_features, old_head.out_features + 3
    before = next(model.parameters()).detach().clone()
    new = call(function, model, wanted, copies=False)
    if new is model or model[-1] is not old_head:
        raise Hint("the given model was changed; work on a copy of it.")
    last = list(new.children())[-1]
    if getattr(last, "out_features", None) != wanted:
        raise Hint(f"the last layer is {last}; it must be Linear with {wanted} outputs.")
    if last.in_features != arriving:
        raise Hint(f"the new head takes {last.in_features} features, but {arriving} arrive.")
    first = next(new.parameters())
    if not bool((first == before).all()):
        raise Hint("the first layer has other parameters than the given one: copy them.")
    first.data.add_(1)
    if not bool((next(model.parameters()) == before).all()):
        next(model.parameters()).data.copy_(before)  # the page's model stays as it was
        raise Hint("both models share their layers: training one would change the other.")
    print("Right.")


def check_share_copied(function: Callable[..., Any]) -> None:
    """Check ``share_copied(source, target)``.

    Parameters
    ----------
    function : callable
        Maps two dictionaries of arrays to the share of the target's numbers whose name and shape
        occur in the source, from 0 to 1.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    source = {
        "a": np.zeros((4, 5)),
        "b": np.zeros(10),
        "head": np.zeros((26, 4)),
        "extra": np.zeros(1000),
    }
    target = {
        "a": np.zeros((4, 5)),
        "b": np.zeros(10),
        "head": np.zeros((10, 4)),
        "new": np.zeros(30),
    }
    answer = call(function, source, target)
    slips = {
        "the head has the same name and another shape; it cannot be copied": 70 / 100,
        "this is the share of arrays; count their numbers, a bias is not a kernel": 2 / 4,
        "you divide by the size of the source; the question is how much of the target": 30 / 1134,
    }
    recognise(answer, slips)
    close(answer, 0.3, "the share of the target's numbers that have a partner")
    close(call(function, {}, target), 0.0, "nothing, when the source is empty")
    print("Right.")
