"""Checks of chapter 13's exercises: NCE, LEEP, rank correlation, regret.

Design choices
--------------
- The right numbers come from the package's own scores; each usual slip has a number of its own
  and is known by it.
"""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats

from tlcourse import scores as package
from tlcourse.exercises.hints import Hint, call, close, number, recognise

_NOT_FINITE = (
    "a pair that never occurs has no logarithm: leave it out, and do not divide by a "
    "class that is never answered."
)


def check_nce(function: Callable[..., Any]) -> None:
    """Check ``nce(source_labels, labels)``.

    Parameters
    ----------
    function : callable
        Maps the source's answers ``(n,)`` and the target labels ``(n,)`` to minus the conditional
        entropy of the labels given the answers, in nats.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 4, 200)
    source = np.where(rng.random(200) < 0.6, labels, rng.integers(0, 6, 200))
    source = np.where(source == 2, 7, source)  # class 2 is never answered
    answer = number(call(function, source, labels), _NOT_FINITE)
    right = package.nce(source, labels)
    joint = np.zeros((8, 4))
    np.add.at(joint, (source, labels), 1 / 200)
    entropy, of_labels, of_source = map(_entropy, (joint, joint.sum(axis=0), joint.sum(axis=1)))
    slips = {
        "the sign is turned round: NCE is at most 0": [-right],
        "this is the entropy of the answers given the labels; turn the condition round": [
            of_labels - entropy,
            entropy - of_labels,
        ],
        "this is the joint entropy; divide each pair by the share of its source class": [
            -entropy,
            entropy,
        ],
        "this is the mutual information; NCE leaves the entropy of the labels out": [
            of_labels + of_source - entropy
        ],
        "take natural logarithms": [right / np.log(2), right / np.log(10)],
        "this is a sum over pictures; NCE is a mean": [200 * right],
        "weigh each pair by its share of the pictures": [_unweighted(joint)],
    }
    recognise(answer, slips, rtol=1e-6)
    close(answer, right, "minus the entropy of the labels given the answers")
    print("Right.")


def check_leep(function: Callable[..., Any]) -> None:
    """Check ``leep(source_probabilities, labels)``.

    Parameters
    ----------
    function : callable
        Maps probabilities ``(n, m)`` and target labels ``(n,)`` to LEEP in nats.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 3, 150)
    says = rng.dirichlet(np.full(5, 0.7), 150) + 0.8 * np.eye(5)[labels]
    says /= says.sum(axis=1, keepdims=True)
    answer = number(call(function, says, labels), _NOT_FINITE)
    right = package.leep(says, labels)
    joint = np.eye(3)[labels].T @ says / 150  # (3, 5)
    given = joint / joint.sum(axis=0)
    turned = joint / joint.sum(axis=1, keepdims=True)
    slips = {
        "the sign is turned round: LEEP is at most 0": [-right],
        "these are the hard answers of NCE; LEEP uses the probabilities": [
            package.nce(says.argmax(axis=1), labels)
        ],
        "this is p(y_s | y): normalise over the target classes, for each y_s": [
            np.log((says * turned[labels]).sum(axis=1)).mean()
        ],
        "p(y, y_s) still has to be divided by p(y_s)": [
            np.log((says * joint[labels]).sum(axis=1)).mean()
        ],
        "the logarithm belongs outside the sum over y_s": [
            (says * np.log(given[labels])).sum(axis=1).mean()
        ],
        "take the mean of the logarithms, not the logarithm of the mean": [
            np.log((says * given[labels]).sum(axis=1).mean())
        ],
        "this is a sum over pictures; LEEP is a mean": [150 * right],
        "take natural logarithms": [right / np.log(2), right / np.log(10)],
        "take the logarithm": [(says * given[labels]).sum(axis=1).mean()],
    }
    recognise(answer, slips, rtol=1e-6)
    close(answer, right, "the mean log of the expected prediction")
    print("Right.")


def check_kendall(function: Callable[..., Any]) -> None:
    """Check ``kendall(scores, measured)``.

    Parameters
    ----------
    function : callable
        Maps two dicts, name to number, to Kendall's rank correlation; no two numbers of a dict
        are equal.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    scores = {"a": -2.1, "b": -0.4, "c": -0.9, "d": -3.0, "e": -0.5}
    measured = {"e": 0.95, "d": 0.52, "b": 0.83, "c": 0.91, "a": 0.60}
    answer = number(call(function, dict(scores), dict(measured)), _NOT_FINITE)
    pairs = list(combinations(scores, 2))
    same = sum(
        (scores[one] > scores[other]) == (measured[one] > measured[other]) for one, other in pairs
    )
    right = 2 * same / len(pairs) - 1
    aligned = [measured[name] for name in scores]
    by_place = stats.kendalltau(list(scores.values()), list(measured.values()))[0]
    slips = {
        "the sign is turned round: pairs in the same order count for, the others against": [-right],
        "the names stand in another order in the two dicts: look up by name, not by place": [
            by_place
        ],
        "this is the share of pairs in the same order; subtract the share of the others": [
            same / len(pairs)
        ],
        "divide by the number of pairs": [float(2 * same - len(pairs))],
        "each pair counts once: there are M (M - 1) / 2 of them": [right / 2, 2 * right],
        "this is the correlation of the numbers, not of their order": [
            np.corrcoef(list(scores.values()), aligned)[0, 1]
        ],
        "this is Spearman's correlation; count pairs": [
            stats.spearmanr(list(scores.values()), aligned)[0]
        ],
    }
    recognise(answer, slips, rtol=1e-6)
    close(answer, right, "pairs in the same order minus the others, over all pairs")
    few = {"a": 0.1, "b": 0.2, "c": 0.3}
    turned = {"c": -3.0, "b": 1.0, "a": 5.0}
    if not np.isclose(number(call(function, few, turned), _NOT_FINITE), -1):
        raise Hint("an order that is turned round has a rank correlation of -1.")
    print("Right.")


def check_regret(function: Callable[..., Any]) -> None:
    """Check ``regret(scores, measured)``.

    Parameters
    ----------
    function : callable
        Maps two dicts, name to number, to the best measurement minus that of the name with the
        highest score.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    scores = {"a": -2.1, "b": -0.4, "c": -0.9, "d": -3.0}
    measured = {"d": 0.52, "c": 0.91, "a": 0.60, "b": 0.83}
    answer = number(call(function, dict(scores), dict(measured)), _NOT_FINITE)
    values = list(measured.values())
    slips = {
        "the sign is turned round: a regret is never negative": [-0.08],
        "this trusts the lowest score; higher is more transferable": [0.91 - 0.52],
        "the names stand in another order in the two dicts: look up by name, not by place": [
            0.91 - values[list(scores).index("b")],
            0.0,
        ],
        "compare with the best measurement, not with the mean": [
            np.mean(values) - 0.83,
            0.83 - np.mean(values),
        ],
        "compare measurements, not scores": [0.91 - -0.4, -0.4 - -0.9],
        "give the difference, not its share of the best": [0.08 / 0.91, 0.83 / 0.91],
        "this is the accuracy of the trusted source; the regret is what is missing to the best": [
            0.83
        ],
    }
    recognise(answer, slips, rtol=1e-6)
    close(answer, 0.91 - 0.83, "the best measurement minus that of the highest score")
    same = {"a": 0.1, "b": 0.2}
    if not np.isclose(number(call(function, same, {"b": 0.7, "a": 0.5}), _NOT_FINITE), 0):
        raise Hint("where the highest score is the best source, the regret is 0.")
    print("Right.")


def _entropy(shares):
    """Return the entropy of shares in nats."""
    seen = shares[shares > 0]
    return -(seen * np.log(seen)).sum()


def _unweighted(joint):
    """Return the sum of log p(y | y_s) over the pairs that occur."""
    given = joint / np.where(
        joint.sum(axis=1, keepdims=True) > 0, joint.sum(axis=1, keepdims=True), 1
    )
    return np.log(given[given > 0]).sum()
