"""Checks of chapter 7's exercises: growing, pruning and teaching.

Design choices
--------------
- Nets are a few NumPy matrices, so that a check can compare the functions they compute.
- No copied unit stands where its original stood: an answer that pads with zeros is found out.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.special import log_softmax

from tlcourse.exercises.hints import Hint, array, call, number, recognise


def check_widen(function: Callable[..., Any]) -> None:
    """Check ``widen(first, second, origin)``.

    Parameters
    ----------
    function : callable
        Maps the matrices ``(hidden, inputs)`` and ``(outputs, hidden)`` of a net with one hidden
        layer, and for each new hidden unit the old one that it copies, to two new matrices. The
        c-th copy of a unit is read with a share in proportion to c.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(3, 4)), rng.normal(size=(2, 3))
    origin, shares = np.array([2, 0, 2, 1, 0, 2]), np.array([1, 2, 2, 6, 4, 3]) / 6
    answer = call(function, first, second, origin)
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise Hint("return the two matrices of the wider net.")
    wide, read = array(answer[0], 6, 4), array(answer[1], 2, 6)
    if not np.allclose(wide, first[origin]):
        raise Hint("each new unit is an unchanged copy of the old one that origin names.")
    if np.allclose(read, second[:, origin]):
        raise Hint("a unit that stands twice is counted twice: its copies share what is read.")
    inputs = rng.normal(size=(4, 20))
    wanted = second @ np.maximum(first @ inputs, 0)
    given = read @ np.maximum(wide @ inputs, 0)
    if not np.allclose(given, wanted):
        raise Hint(
            "the wider net computes something else. The shares of all copies of *one* unit, "
            "wherever they stand in origin, add up to 1."
        )
    if (np.abs(read).sum(axis=0) == 0).any():
        raise Hint(
            "the net computes the same, but some copies are not read at all. Each copy takes "
            "a share of what is read from its unit."
        )
    if np.allclose(read, second[:, origin] / np.bincount(origin)[origin]):
        raise Hint(
            "the net computes the same, but copies with equal shares stay copies. Here the "
            "shares of a unit's copies are as 1 : 2 : 3, in the order in which they stand."
        )
    if not np.allclose(read, second[:, origin] * shares):
        raise Hint("the shares of a unit with three copies are 1/6, 2/6 and 3/6, in this order.")
    print("Right.")


def check_magnitude_mask(function: Callable[..., Any]) -> None:
    """Check ``magnitude_mask(weights, sparsity, least)``.

    Parameters
    ----------
    function : callable
        Maps a dict of arrays, the share of all weights that goes, and the least share that every
        array keeps, to a dict of boolean arrays, True where a weight is kept.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(1)
    weights = {"small": rng.normal(size=(4, 5)) * 0.1, "large": rng.normal(size=(3, 10))}
    sizes = {name: np.abs(weight) for name, weight in weights.items()}
    answer = call(function, weights, 0.4, 0.25)
    if not isinstance(answer, Mapping) or set(answer) != set(weights):
        raise Hint(
            "return a dict with the names of `weights`, and for each name a boolean array; yours "
            f"is a {type(answer).__name__}."
        )
    answer = {name: np.asarray(keep) for name, keep in answer.items()}
    for name, keep in answer.items():
        if keep.shape != weights[name].shape or keep.dtype != bool:
            raise Hint(f"the mask of {name!r} must be boolean with shape {weights[name].shape}.")
    pruned = {name: int((~keep).sum()) for name, keep in answer.items()}
    if sum(pruned.values()) == 30 and sizes["large"][~answer["large"]].max() > 1:
        raise Hint("you keep the small weights; True means kept.")
    if pruned == {"small": 8, "large": 12}:
        raise Hint("you prune the same share of every layer; compare all weights together.")
    if pruned["small"] > 15:
        raise Hint(
            f"least 0.25 of 20 weights are 5; the layer 'small' keeps only {20 - pruned['small']}."
        )
    if sum(pruned.values()) != 20:
        raise Hint(
            f"with 50 weights and sparsity 0.4 exactly 20 go; yours are {sum(pruned.values())}. "
            "What one layer may keep has to go in another."
        )
    by_size = all(
        sizes[name][~keep].max(initial=0) <= sizes[name][keep].min(initial=np.inf)
        for name, keep in answer.items()
    )
    if not by_size:
        raise Hint("the smallest weights are those nearest to zero: negative ones count by size.")
    if pruned != {"small": 15, "large": 5}:
        raise Hint(f"'small' loses 15 and 'large' 5 weights here; yours lose {pruned}.")
    print("Right.")


def check_soft_loss(function: Callable[..., Any]) -> None:
    """Check ``soft_loss(student, teacher, temperature)``.

    Parameters
    ----------
    function : callable
        Maps logits ``(n, k)`` of student and teacher and a number to the mean over examples of
        the squared temperature times the Kullback-Leibler divergence.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(2)
    student, teacher = rng.normal(size=(6, 4)) * 2, rng.normal(size=(6, 4)) * 2

    def divergence(teacher, student, temperature):
        p, q = (log_softmax(one / temperature, axis=1) for one in (teacher, student))
        return (np.exp(p) * (p - q)).sum(axis=1).mean()

    wanted = 9 * divergence(teacher, student, 3.0)
    answer = number(
        call(function, student, teacher, 3.0), "the logits of the check are between -6 and 6."
    )
    slips = {
        "the gradient of this shrinks with the squared temperature: multiply by "
        "temperature ** 2": wanted / 9,
        "teacher and student are swapped: KL(teacher || student)": 9
        * divergence(student, teacher, 3.0),
        "take the mean over the examples, not the sum": 6 * wanted,
        "divide both logits by the temperature before the softmax": 9
        * divergence(teacher, student, 1),
    }
    recognise(answer, slips)
    if not np.isclose(answer, wanted):
        raise Hint(f"wanted is {wanted:.4f}; you returned {answer:.4f}.")
    _check_huge_logits(function, student, teacher, wanted)
    print("Right.")


def _check_huge_logits(function, student, teacher, wanted):
    """Check logits that overflow the exponential, then logits whose softmax is zero."""
    with np.errstate(all="ignore"):
        shifted = float(call(function, student + 1e4, teacher - 1e4, 3.0))
        far = float(call(function, np.array([[1e3, -1e3]]), np.array([[-1e3, 1e3]]), 2.0))
    if not np.isclose(shifted, wanted):
        raise Hint(
            "a number added to all logits of a row changes no softmax, but yours overflows: "
            "subtract the largest of each row first."
        )
    if not np.isfinite(far):
        raise Hint(
            "the softmax of a logit far below the largest is 0 for the computer, and its "
            "logarithm infinite. Take the logarithm by hand: it is the logit minus the largest, "
            "minus the logarithm of a sum that is at least 1."
        )
    if not np.isclose(far, 4000):
        raise Hint(
            "with student logits (1000, -1000), teacher logits (-1000, 1000) and temperature 2 "
            f"the loss is 4 * 1000 = 4000; yours is {far:.1f}. Is a small number added inside "
            "the logarithm? It caps the loss."
        )
