"""Checks of chapter 7's exercises: growing, pruning and teaching.

Design choices
--------------
- Nets are a few NumPy matrices, so that a check can compare the functions they compute.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tlcourse.exercises.hints import Hint, call, recognise


def check_widen(function: Callable[..., Any]) -> None:
    """Check ``widen(first, second, origin)``.

    Parameters
    ----------
    function : callable
        Maps the matrices ``(hidden, inputs)`` and ``(outputs, hidden)`` of a net with one hidden
        layer, and for each new hidden unit the old one that it copies, to two new matrices.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(3, 4)), rng.normal(size=(2, 3))
    origin = np.array([0, 1, 2, 2, 0, 2])
    answer = call(function, first, second, origin)
    if not isinstance(answer, tuple) or len(answer) != 2:
        raise Hint("return the two matrices of the wider net.")
    wide, read = map(np.asarray, answer)
    if wide.shape != (6, 4) or read.shape != (2, 6):
        raise Hint(
            f"six hidden units need matrices of shapes (6, 4) and (2, 6); yours are "
            f"{wide.shape} and {read.shape}."
        )
    if not np.allclose(wide, first[origin]):
        raise Hint("each new unit is an unchanged copy of the old one that origin names.")
    inputs = rng.normal(size=(4, 20))
    wanted = second @ np.maximum(first @ inputs, 0)
    given = read @ np.maximum(wide @ inputs, 0)
    if np.allclose(read, second[:, origin]):
        raise Hint("a unit that stands twice is counted twice: divide what is read from it.")
    if not np.allclose(given, wanted):
        raise Hint(
            "the wider net computes something else. Divide what is read from a unit by how "
            "often *that* unit stands in origin."
        )
    print("Right.")


def check_magnitude_mask(function: Callable[..., Any]) -> None:
    """Check ``magnitude_mask(weights, sparsity)``.

    Parameters
    ----------
    function : callable
        Maps a dict of arrays and a share in [0, 1) to a dict of boolean arrays, True where a
        weight is kept.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(1)
    weights = {"small": rng.normal(size=(4, 5)) * 0.1, "large": rng.normal(size=(3, 10))}
    sizes = {name: np.abs(weight) for name, weight in weights.items()}
    limit = np.sort(np.concatenate([size.ravel() for size in sizes.values()]))[20]
    wanted = {name: size >= limit for name, size in sizes.items()}
    answer = call(function, weights, 0.4)
    if not isinstance(answer, dict) or set(answer) != set(weights):
        raise Hint("return a dict with the names of the weights.")
    answer = {name: np.asarray(keep) for name, keep in answer.items()}
    for name, keep in answer.items():
        if keep.shape != weights[name].shape or keep.dtype != bool:
            raise Hint(f"the mask of {name!r} must be boolean with shape {weights[name].shape}.")
    pruned = sum((~keep).sum() for keep in answer.values())
    if all((answer[name] == ~wanted[name]).all() for name in weights):
        raise Hint("you keep the small weights; True means kept.")
    if abs((~answer["small"]).mean() - 0.4) < 0.06 and abs((~answer["large"]).mean() - 0.4) < 0.06:
        raise Hint("you prune the same share of every layer; take one threshold for all of them.")
    if pruned != 20:
        raise Hint(f"with 50 weights and sparsity 0.4 exactly 20 go; yours are {pruned}.")
    if not all((answer[name] == wanted[name]).all() for name in weights):
        raise Hint("the smallest weights are those nearest to zero: negative ones count by size.")
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

    def soft(logits, temperature):
        odds = np.exp(logits / temperature)
        return odds / odds.sum(axis=1, keepdims=True)

    def divergence(p, q):
        return (p * np.log(p / q)).sum(axis=1).mean()

    p, q = soft(teacher, 3.0), soft(student, 3.0)
    answer = call(function, student, teacher, 3.0)
    if np.ndim(answer) != 0:
        raise Hint("return one number, the mean over the examples.")
    slips = {
        "the gradient of this shrinks with the squared temperature: multiply by "
        "temperature ** 2": divergence(p, q),
        "teacher and student are swapped: KL(teacher || student)": 9 * divergence(q, p),
        "take the mean over the examples, not the sum": 9 * 6 * divergence(p, q),
        "divide both logits by the temperature before the softmax": 9
        * divergence(soft(teacher, 1), soft(student, 1)),
    }
    recognise(answer, slips)
    if not np.isclose(answer, 9 * divergence(p, q)):
        raise Hint(f"wanted is {9 * divergence(p, q):.4f}; you returned {answer:.4f}.")
    if not np.isfinite(call(function, student * 1e4, teacher, 3.0)):
        raise Hint("large logits overflow: subtract the largest of each row first.")
    print("Right.")
