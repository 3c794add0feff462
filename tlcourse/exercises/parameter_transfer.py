"""Checks of chapter 4's exercises: statistics, rates, interpolation and low-rank changes.

Design choices
--------------
- No framework is imported here: weights are NumPy arrays, and where a check needs a layer, the
  page hands one over.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from tlcourse.exercises.hints import Hint, array, call, recognise


def check_batch_norm(function: Callable[..., Any]) -> None:
    """Check ``batch_norm(x, mean, var, training, momentum, epsilon)``.

    Parameters
    ----------
    function : callable
        Maps a batch ``(n, d)``, running means and variances ``(d,)``, the mode and two numbers to
        the normalised batch, the new running means and the new running variances.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(0)
    x, mean, var = rng.normal(2, 3, size=(6, 3)), rng.normal(size=3), rng.uniform(1, 2, size=3)
    for training in (False, True):
        answer = call(function, x, mean, var, training, 0.1, 0.5)
        if not isinstance(answer, tuple | list) or len(answer) != 3:
            raise Hint("return three things: the normalised batch, the new mean, the new variance.")
        outputs, *moved = array(answer[0], 6, 3), array(answer[1], 3), array(answer[2], 3)
        if training:
            _check_training_mode(x, mean, var, outputs, *moved)
        else:
            _check_evaluation_mode(x, mean, var, outputs, *moved)
    print("Right.")


def _check_evaluation_mode(x, mean, var, outputs, new_mean, new_var):
    """Hint unless running statistics normalise, and stay."""
    if not (np.allclose(new_mean, mean) and np.allclose(new_var, var)):
        raise Hint("in evaluation mode the running statistics stay as they are.")
    slips = {
        "in evaluation mode the running statistics normalise, not those of the batch": (
            _normalised(x, x.mean(0), x.var(0))
        ),
        "epsilon stands under the root, beside the variance": (x - mean) / (np.sqrt(var) + 0.5),
        "divide by the square root of the variance": (x - mean) / (var + 0.5),
    }
    recognise(outputs, slips)
    if not np.allclose(outputs, _normalised(x, mean, var)):
        raise Hint("in evaluation mode wanted is (x - mean) / sqrt(var + epsilon).")


def _check_training_mode(x, mean, var, outputs, new_mean, new_var):
    """Hint unless the batch's own statistics normalise, and move the running ones."""
    slips = {
        "in training mode the batch's own mean and variance normalise": _normalised(x, mean, var),
        "a batch is normalised by its variance with n below the line, not n - 1": (
            _normalised(x, x.mean(0), x.var(0, ddof=1))
        ),
    }
    recognise(outputs, slips)
    if not np.allclose(outputs, _normalised(x, x.mean(0), x.var(0))):
        raise Hint("in training mode normalise each column by the batch's own mean and variance.")
    if np.allclose(new_mean, mean) or np.allclose(new_var, var):
        raise Hint("in training mode each batch moves the running statistics.")
    recognise(new_mean, {"momentum is the share of the new batch": 0.9 * x.mean(0) + 0.1 * mean})
    if not np.allclose(new_mean, 0.9 * mean + 0.1 * x.mean(0)):
        raise Hint("the new mean is (1 - momentum) * mean + momentum * the batch's mean.")
    slip = 0.9 * var + 0.1 * x.var(0)
    recognise(new_var, {"for the running variance, n - 1 stands below the line": slip})
    if not np.allclose(new_var, 0.9 * var + 0.1 * x.var(0, ddof=1)):
        raise Hint("the running variance moves like the mean, towards the batch's variance.")


def _normalised(x, mean, var):
    """Normalise with the epsilon that the check uses."""
    return (x - mean) / np.sqrt(var + 0.5)


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
    given = call(function, 4, 0.08, 2.0)
    expected = np.array([0.01, 0.02, 0.04, 0.08])
    if np.shape(given) != (4,):
        raise Hint(f"four layers need a list of four rates; yours have shape {np.shape(given)}.")
    answer = array(given, 4)
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
    """Check ``interpolate(start, end, u)``.

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
    kept = copy.deepcopy((start, end))
    for u in (0.25, 0.0, 1.0):
        answer = call(function, start, end, u, copies=False)
        if not all(
            np.array_equal(one[name], before[name])
            for one, before in zip((start, end), kept, strict=True)
            for name in shapes
        ):
            raise Hint(
                "your function changes a net that it was given, so the next u starts from "
                "another net; make new arrays."
            )
        if not isinstance(answer, dict) or set(answer) != set(shapes):
            raise Hint(
                "return a dict with the same names as the two nets, every one of them: "
                "BatchNorm's statistics belong to the net as well."
            )
        _check_mixture(answer, start, end, u)
    print("Right.")


def _check_mixture(answer, start, end, u):
    """Compare a mixture of two nets, name by name."""
    found = {name: array(answer[name], *start[name].shape) for name in start}
    if all(np.allclose(found[n], u * start[n] + (1 - u) * end[n]) for n in start):
        raise Hint("the ends are swapped: u = 0 is the start, u = 1 the fine-tuned net.")
    for name, array_found in found.items():
        if not np.allclose(array_found, (1 - u) * start[name] + u * end[name]):
            raise Hint(f"{name} is not (1 - u) * start + u * end.")


def check_merge_lora(function: Callable[..., Any]) -> None:
    """Check ``merge(weight, down, up, scale)``.

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
    answer = array(call(function, weight, down, up, 6.0), 5, 7)
    change = up @ down
    slips = {
        "that is the change alone; add it to the weight": 3.0 * change,
        "the change is scaled by scale / rank": weight + change,
        "divide scale by the rank, which you find in the shape of the matrices": weight
        + 6.0 * change,
    }
    recognise(answer, slips)
    if not np.allclose(answer, weight + 3.0 * change):
        raise Hint("wanted is weight + scale / rank * (up @ down).")
    print("Right.")


def check_lora_layer(layer_class: Callable[..., Any], base: Any) -> None:
    """Check ``LoRALayer(base, rank, scale)``, a module with a low-rank change beside a layer.

    Parameters
    ----------
    layer_class : callable
        Makes the module.
    base : torch.nn.Linear
        A layer to try it on; a copy is used. Inputs, outputs and the rank 2 have to differ.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    base = copy.deepcopy(base)
    rng = np.random.default_rng(2)
    layer = call(layer_class, base, 2, 6.0, copies=False)
    if not hasattr(layer, "named_parameters"):
        raise Hint("a layer is a class that inherits from nn.Module.")
    down, up = _factors(layer, base)
    rows = base.weight.detach().new_tensor(rng.normal(size=(4, base.in_features)))
    wanted = array(base(rows), 4, base.out_features)
    fresh = array(call(layer, rows, copies=False), 4, base.out_features)
    if not (down.any() or up.any()):
        raise Hint(
            "both factors start at zero; then the gradient of each is zero, and neither ever "
            "moves. One of them has to start at random numbers."
        )
    if not np.allclose(fresh, wanted, atol=1e-6):
        raise Hint(
            "a fresh layer has to compute what the pretrained one does: add the change to its "
            "output, and start the second factor at zero."
        )
    for factor in (down, up):
        factor.data.copy_(factor.new_tensor(rng.normal(size=tuple(factor.shape))))
    narrow, wide = (factor.detach().numpy() for factor in (down, up))
    narrow, wide = (narrow if len(narrow) == 2 else narrow.T), (wide if len(wide) != 2 else wide.T)
    change = rows.numpy() @ narrow.T @ wide.T
    answer = array(call(layer, rows, copies=False), 4, base.out_features)
    slips = {
        "the change is scaled by scale / rank": wanted + change,
        "divide scale by the rank": wanted + 6.0 * change,
        "the factors do not reach the output": wanted,
    }
    recognise(answer, slips, rtol=1e-4, atol=1e-5)
    if not np.allclose(answer, wanted + 3.0 * change, rtol=1e-4, atol=1e-5):
        raise Hint("wanted is base(x) + scale / rank * up(down(x)), with nothing between.")
    print("Right.")


def _factors(layer, base):
    """Return the two trained factors of a low-rank layer, or say what it trains instead."""
    trained = {name: p for name, p in layer.named_parameters() if p.requires_grad}
    if any(one is old for one in trained.values() for old in base.parameters()):
        raise Hint("the pretrained layer would learn too: freeze its weight and its bias.")
    sizes = [(2, base.in_features), (base.out_features, 2)]
    found = [[p for p in trained.values() if sorted(p.shape) == sorted(size)] for size in sizes]
    if len(trained) != 2 or not all(len(one) == 1 for one in found):
        shapes = {name: tuple(p.shape) for name, p in trained.items()}
        raise Hint(
            f"two factors learn and nothing else, of shapes {sizes[0]} and {sizes[1]} and without "
            f"bias; yours trains {shapes}. A tensor learns if it is an nn.Parameter, or in a layer."
        )
    return found[0][0], found[1][0]
