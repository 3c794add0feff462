"""Checks of chapter 16's exercises: calibration, temperature, neighbours.

Design choices
--------------
- Inputs are made so that each usual slip gives a number of its own, and is known by it.
- A temperature is judged by its log loss, so any search that finds the minimum is right.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import log_softmax, softmax

from tlcourse.exercises.hints import Hint, call, close, number, recognise

_NOT_FINITE = "is there a division by an empty bin or a zero?"


def check_ece(function: Callable[..., Any]) -> None:
    """Check ``ece(probabilities, labels, n_bins)``.

    Parameters
    ----------
    function : callable
        Maps probabilities ``(n, k)``, labels ``(n,)`` and a number of bins to the expected
        calibration error.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(3)
    probabilities = softmax(rng.normal(size=(300, 4)) * rng.uniform(0.5, 5, (300, 1)), axis=1)
    labels = np.where(rng.random(300) < 0.55, probabilities.argmax(axis=1), rng.integers(0, 4, 300))
    answer = number(call(function, probabilities, labels, 8), _NOT_FINITE)
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    weights, gaps = _gaps(confidence, right, 8)
    of_true = probabilities[np.arange(300), labels]
    true_weights, true_gaps = _gaps(of_true, right, 8)
    slips = {
        "the gaps cancel: take the absolute value within each bin, before you add": [
            weights @ gaps,
            -(weights @ gaps),
            abs(weights @ gaps),
        ],
        "every bin counts the same here; weigh each by its share of the answers": [
            np.abs(gaps).mean()
        ],
        "add the gaps weighted by share, not bare": [np.abs(gaps).sum()],
        "this is the largest gap; wanted is the weighted mean": [np.abs(gaps).max()],
        "do not square the gaps": [weights @ gaps**2, np.sqrt(weights @ gaps**2)],
        "confidence is the largest probability of a row, not that of the true class": [
            true_weights @ np.abs(true_gaps),
            of_true.mean(),
        ],
        "without bins only the overall gap is seen; make bins of confidence first": [
            np.abs(right - confidence).mean()
        ],
    }
    recognise(answer, slips, rtol=1e-6)
    close(answer, weights @ np.abs(gaps), "the weighted mean of the gaps in 8 bins")
    certain, truth = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 0])
    again = number(call(function, certain, truth, 10), _NOT_FINITE)
    if not np.isclose(again, 0.5):
        raise Hint(
            f"two answers of confidence exactly 1, one of them wrong, have an error of 0.5; you "
            f"returned {again:.4f}. Put a confidence of 1 into the last bin, and skip bins that "
            "are empty."
        )
    print("Right.")


def check_temperature(function: Callable[..., Any]) -> None:
    """Check ``temperature(logits, labels)``.

    Parameters
    ----------
    function : callable
        Maps logits ``(n, k)`` and labels ``(n,)`` to the temperature with the smallest log loss.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    for true, kind in ((3.0, "too sure"), (0.4, "not sure enough")):
        rng = np.random.default_rng(7)
        fair = 2 * rng.normal(size=(2000, 5))
        labels = np.array([rng.choice(5, p=p) for p in softmax(fair, axis=1)])
        answer = number(call(function, true * fair, labels), _NOT_FINITE)
        if not answer > 0:
            raise Hint(f"a temperature is positive; you returned {answer:.4f}.")
        if np.isclose(answer, 1):
            raise Hint(
                f"for a net that is {kind} you return 1, which changes nothing; is the loss that "
                "of logits / T, and are temperatures on both sides of 1 tried?"
            )
        if np.isclose(answer, 1 / true, rtol=0.08):
            raise Hint(
                f"for a net that is {kind} you return {answer:.2f}, which is 1 / T: logits are "
                "divided by the temperature, not multiplied."
            )
        grid = true * np.exp(np.linspace(-0.3, 0.3, 601))
        losses = [_log_loss(true * fair / t, labels) for t in grid]
        if _log_loss(true * fair / answer, labels) > min(losses) + 1e-4:
            raise Hint(
                f"for a net that is {kind} you return {answer:.3f}, but the log loss is smaller at "
                f"about {grid[np.argmin(losses)]:.2f}. Search wide enough, also below 1, and "
                "minimise the log loss: not the ECE or the error rate, which never changes."
            )
    print("Right.")


def check_precision_at_k(function: Callable[..., Any]) -> None:
    """Check ``precision_at_k(features, labels, k)``.

    Parameters
    ----------
    function : callable
        Maps features ``(n, d)``, labels ``(n,)`` and k to the share of the k nearest other rows,
        by cosine similarity, that have the label of the query.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(5)
    labels = np.arange(120) % 3
    features = rng.normal(size=(120, 6)) + 1.2 * np.eye(6)[labels]
    features *= rng.uniform(0.2, 5, (120, 1))
    answer = number(call(function, features, labels, 4), _NOT_FINITE)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    cosine, inner = unit @ unit.T, features @ features.T
    squares = (features**2).sum(axis=1)
    euclidean = 2 * inner - squares[:, None] - squares
    slips = {
        "every row is its own nearest neighbour; leave it out": [
            _precision(cosine, labels, 4, own=True),
            _precision(euclidean, labels, 4, own=True),
        ],
        "this is with Euclidean distance; cosine similarity divides each row by its length": [
            _precision(euclidean, labels, 4)
        ],
        "the inner product is not yet the cosine: divide each row by its length": [
            _precision(inner, labels, 4),
            _precision(inner, labels, 4, own=True),
        ],
        "these are the farthest rows: similarity is sorted the wrong way round": [
            _precision(-cosine, labels, 4),
            _precision(-cosine, labels, 4, own=True),
        ],
        "you look at one neighbour too few": [_precision(cosine, labels, 3)],
        "count neighbours, not whether most of them agree": [
            _precision(cosine, labels, 4, vote=True)
        ],
    }
    recognise(answer, slips, rtol=1e-6)
    close(answer, _precision(cosine, labels, 4), "the share of 4 neighbours with the same label")
    print("Right.")


def _precision(similarity, labels, k, *, own=False, vote=False):
    """Return precision at k under a similarity, with or without the query itself."""
    similarity = similarity.copy()
    if not own:
        np.fill_diagonal(similarity, np.nan)  # NaN is sorted to the end
    near = np.argsort(-similarity, axis=1)[:, :k]
    same = labels[near] == labels[:, None]
    return float((same.mean(axis=1) > 0.5).mean() if vote else same.mean())


def _gaps(confidence, right, n_bins):
    """Return the share of answers in each bin that has any, and accuracy minus confidence."""
    which = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    members = [which == number for number in np.unique(which)]
    gaps = [right[rows].mean() - confidence[rows].mean() for rows in members]
    return np.array([rows.mean() for rows in members]), np.array(gaps)


def _log_loss(logits, labels):
    """Return the mean log loss."""
    return -log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean()
