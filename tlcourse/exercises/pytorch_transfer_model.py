"""Checks of chapter 11's exercises: shapes, new heads, what was copied, and two rates.

Design choices
--------------
- No framework is imported here: where a check needs a net, the page hands one over.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tlcourse.exercises.hints import Hint, call, close, expect, number, recognise


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
    answer = number(call(function, source, target), "count the target's numbers.")
    slips = {
        "the head has the same name and another shape; it cannot be copied": 70 / 100,
        "this is the share of arrays; count their numbers, a bias is not a kernel": 2 / 4,
        "you divide by the size of the source; the question is how much of the target": 30 / 1134,
    }
    recognise(answer, slips)
    close(answer, 0.3, "the share of the target's numbers that have a partner")
    close(call(function, {}, target), 0.0, "nothing, when the source is empty")
    print("Right.")


def check_two_rates(function: Callable[..., Any], model: Any) -> None:
    """Check ``two_rates(model, head_rate, ratio)``.

    Parameters
    ----------
    function : callable
        Maps a model with a ``backbone`` and a ``head``, the head's learning rate and how fast the
        backbone moves, measured in it, to the parameter groups of a ``torch.optim`` optimiser.
    model : torch.nn.Module
        What to try it on.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    parts = {
        "extractor": {id(one) for one in model.backbone.parameters()},
        "head": {id(one) for one in model.head.parameters()},
    }
    for head_rate, ratio in ((0.5, 0.1), (0.02, 2.0)):
        groups = call(function, model, head_rate, ratio, copies=False)
        if not isinstance(groups, list | tuple) or not all(isinstance(one, dict) for one in groups):
            raise Hint("return a list of dicts, as torch.optim takes them: one for each rate.")
        if any({"params", "lr"} - one.keys() for one in groups):
            raise Hint('each dict needs its "params" and its "lr".')
        rates = [(id(one), group["lr"]) for group in groups for one in group["params"]]
        if len(rates) > len(dict(rates)):
            raise Hint("a parameter stands in two groups; torch.optim refuses that.")
        wanted = {"extractor": ratio * head_rate, "head": head_rate}
        for name, members in parts.items():
            found = {rate for one, rate in rates if one in members}
            if not members <= dict(rates).keys():
                raise Hint(f"parameters of the {name} are in no group, so they would never move.")
            if name == "extractor" and found == {ratio}:
                raise Hint("the ratio is not the rate; multiply it by head_rate.")
            if any(not np.isclose(rate, wanted[name]) for rate in found):
                raise Hint(f"the {name} should have rate {wanted[name]:g}; yours has {found}.")
    print("Right.")
