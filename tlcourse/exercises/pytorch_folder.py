"""Checks of chapter 12's exercises: leaks, films, recall, and confident mistakes.

Design choices
--------------
- Pictures are told apart by all of their pixels, never by names, means or corners.
- The mistakes are made so that each other order of them is another answer.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tlcourse.exercises.hints import Hint, array, call

_NO_COPIES = {
    "a.png": "is another picture on each side; compare pixels, not names",
    "corner.png": "begins like 'c.png' and goes on otherwise; compare all pixels",
    "turned.png": "has the same bytes in another shape; it is another picture",
    "mixed.png": "has the pixels of 'c.png' in other places, so the same mean; compare them place "
    "by place",
}
_PROBABILITIES = np.array(
    [
        [0.99, 0.01, 0.00],  # right
        [0.62, 0.04, 0.34],  # wrong
        [0.50, 0.02, 0.48],  # wrong
        [0.00, 0.70, 0.30],  # wrong
        [0.03, 0.02, 0.95],  # right
        [0.30, 0.40, 0.30],  # right
        [0.21, 0.58, 0.21],  # wrong
    ]
)
_LABELS = np.array([0, 1, 1, 2, 2, 1, 0])
_OTHER_ORDERS = {
    (0, 4, 3): "these are the most confident answers; keep the wrong ones only",
    (2, 6, 1): "these are the least confident mistakes; turn the order round",
    (2, 0, 3): "you count within the mistakes; return row numbers of the whole set",
    (2, 1, 6): "you order by how little the true class gets; confidence is what the answer gets",
    (3, 6, 1): "you order by the lead over the second class; confidence is what the answer gets",
    (1, 2, 3): "you order by the lead over the true class, or not at all; confidence is what the "
    "answer gets",
}


def check_leaked(function: Callable[..., Any]) -> None:
    """Check ``leaked(train, test)``.

    Parameters
    ----------
    function : callable
        Maps two dictionaries from names to pictures to the sorted names of those test pictures
        that also occur among the training pictures.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(0)
    first, second, third, other = rng.integers(0, 256, (4, 4, 6, 3), dtype=np.uint8)
    mixed = third.reshape(-1, 3)[rng.permutation(24)].reshape(third.shape)
    corner = rng.permuted(third)
    corner[0, 0] = third[0, 0]
    train = {"a.png": first, "b.png": second, "c.png": third}
    test = {
        "z.png": second.copy(),
        "a.png": other,
        "d.png": first.copy(),
        "turned.png": third.reshape(6, 4, 3).copy(),
        "mixed.png": mixed,
        "corner.png": corner,
        "e.png": first.copy(),
    }
    answer = _names(call(function, train, test))
    for name, reason in _NO_COPIES.items():
        if name in answer:
            raise Hint(f"{name!r} {reason}.")
    if not answer:
        raise Hint("three test pictures are training pictures under other names.")
    if "b.png" in answer:
        raise Hint("return the names in the test set, not those in the training set.")
    if len({"d.png", "e.png"} & set(answer)) == 1:
        raise Hint("'d.png' and 'e.png' are copies of one training picture; name every copy.")
    if answer != ["d.png", "e.png", "z.png"] and sorted(answer) == ["d.png", "e.png", "z.png"]:
        raise Hint("sort the names.")
    if answer != ["d.png", "e.png", "z.png"]:
        raise Hint(f"wanted is ['d.png', 'e.png', 'z.png']; you returned {answer}.")
    print("Right.")


def check_validation_rows(function: Callable[..., Any]) -> None:
    """Check ``validation_rows(films, share, seed)``.

    Parameters
    ----------
    function : callable
        Maps the film of each picture ``(n,)``, a share and a seed to a mask ``(n,)``: which
        pictures validate. The share is one of films, rounded, and at least one.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    lengths = {"bees at noon": 9, "ants": 2, "wasps": 5, "bees at night": 3, "flies": 1}
    films = np.random.default_rng(1).permutation(np.repeat(list(lengths), list(lengths.values())))
    chosen = []
    for seed in range(8):
        mask = _mask(call(function, films, 0.4, seed), len(films))
        aside, kept = set(films[mask]), set(films[~mask])
        if aside & kept:
            raise Hint(f"pictures of the film {min(aside & kept)!r} are on both sides.")
        if len(aside) != 2:
            raise Hint(
                f"a share of 0.4 of {len(lengths)} films are 2 films; {len(aside)} validate here. "
                "Choose among films, not among pictures."
            )
        if not np.array_equal(mask, _mask(call(function, films, 0.4, seed), len(films))):
            raise Hint("the same seed gives another choice the second time; seed the generator.")
        chosen.append(frozenset(aside))
    if len(set(chosen)) < 2:
        raise Hint(f"seeds 0 to 7 all choose {sorted(chosen[0])}; draw the films by chance.")
    few = set(films[_mask(call(function, films, 0.05, 0), len(films))])
    if len(few) != 1:
        raise Hint(f"a share of 0.05 still needs one film that validates; yours: {len(few)}.")
    print("Right.")


def check_recall_and_precision(function: Callable[..., Any]) -> None:
    """Check ``recall_and_precision(confusion)``.

    Parameters
    ----------
    function : callable
        Maps counts ``(k, k)``, row true and column predicted, to recall ``(k,)`` and precision
        ``(k,)``; NaN where a class is never predicted.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    confusion = np.array([[40, 10, 0], [5, 15, 0], [8, 2, 0]])
    with np.errstate(divide="ignore", invalid="ignore"):  # the NaN is wanted
        answer = call(function, confusion)
    if not hasattr(answer, "__len__") or isinstance(answer, dict | str) or len(answer) != 2:
        raise Hint("return two arrays, (recall, precision).")
    recall, precision = (array(part, 3) for part in answer)
    wanted = np.array([0.8, 0.75, 0.0]), np.array([40 / 53, 15 / 27, np.nan])
    if np.allclose(recall, wanted[1], equal_nan=True):
        raise Hint("recall and precision are exchanged: recall divides by the row, the true class.")
    if not np.allclose(recall, wanted[0]):
        raise Hint(
            f"recall is the diagonal over the row sums, {wanted[0].tolist()}; yours: "
            f"{recall.tolist()}."
        )
    if not np.isnan(precision[2]):
        raise Hint(
            f"the last class is never predicted, so its precision is NaN, not {precision[2]}."
        )
    if not np.allclose(precision, wanted[1], equal_nan=True):
        raise Hint(f"precision is the diagonal over the column sums; yours: {precision.tolist()}.")
    print("Right.")


def check_confident_mistakes(function: Callable[..., Any]) -> None:
    """Check ``confident_mistakes(probabilities, labels, k)``.

    Parameters
    ----------
    function : callable
        Maps probabilities ``(n, c)``, labels ``(n,)`` and a number to the rows of the most
        confident wrong answers, the most confident first.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    probabilities, labels = _PROBABILITIES, _LABELS
    answer = _rows(call(function, probabilities, labels, 3))
    if tuple(answer) in _OTHER_ORDERS:
        raise Hint(f"{_OTHER_ORDERS[tuple(answer)]}.")
    if len(answer) != 3:
        raise Hint(f"k is 3, and you return {len(answer)} rows.")
    if answer != [3, 1, 6]:
        raise Hint(f"wanted are rows [3, 1, 6]; you returned {answer}.")
    every = _rows(call(function, probabilities, labels, 9))
    if every != [3, 1, 6, 2]:
        raise Hint(f"there are four mistakes only, so k=9 gives [3, 1, 6, 2]; yours: {every}.")
    print("Right.")


def _names(answer):
    """Return names in a list."""
    if isinstance(answer, str) or not hasattr(answer, "__iter__"):
        raise Hint(f"return the names in a list; you returned {answer!r}.")
    return [str(name) for name in answer]


def _rows(answer):
    """Return row numbers in a list of integers."""
    return array(answer, np.size(answer)).astype(int).tolist()


def _mask(answer, n):
    """Return a mask of n rows."""
    mask = np.asarray(answer)
    if mask.dtype != bool or mask.shape != (n,):
        raise Hint(
            f"return a mask, True or False for each of the {n} pictures; yours has shape "
            f"{mask.shape} and type {mask.dtype}."
        )
    return mask
