"""Checks of chapter 16's exercises: calibration, temperature, neighbours, occlusion.

Design choices
--------------
- Inputs are made so that each usual slip gives a number of its own, and is known by it.
- The calibration check has as many answers as fill all bins alike, so every way of making such
  bins is right.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import softmax

from tlcourse.exercises.hints import Hint, array, call, close, number, recognise

_NOT_FINITE = "is there a division by an empty bin or a zero?"


def check_equal_bins_error(function: Callable[..., Any]) -> None:
    """Check ``equal_bins_error(probabilities, labels, n_bins)``.

    Parameters
    ----------
    function : callable
        Maps probabilities ``(n, C)``, labels ``(n,)`` and a number of bins to the mean gap between
        confidence and accuracy in bins of equally many answers.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(3)
    probabilities = softmax(rng.normal(size=(320, 4)) * rng.uniform(0.5, 5, (320, 1)), axis=1)
    sure = 0.65 + 0.4 * np.sin(25 * probabilities.max(axis=1))  # gaps of both signs in turn
    labels = np.where(rng.random(320) < sure, probabilities.argmax(axis=1), rng.integers(0, 4, 320))
    answer = number(call(function, probabilities, labels, 8), _NOT_FINITE)
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    of_true = probabilities[np.arange(320), labels]
    gaps = _gaps(confidence, right, np.argsort(confidence), 8)
    slips = {
        "these bins are equally wide; wanted are bins with equally many answers": [
            _wide_error(confidence, right, 8)
        ],
        "sort the answers by confidence before you cut them into bins": [
            np.abs(_gaps(confidence, right, np.arange(320), 8)).mean()
        ],
        "sort what is right along with the confidence, or the pairs are torn apart": [
            np.abs(_gaps(np.sort(confidence), right, np.arange(320), 8)).mean()
        ],
        "the gaps cancel: take the absolute value within each bin, before the mean": [
            gaps.mean(),
            -gaps.mean(),
            abs(gaps.mean()),
        ],
        "this is the sum of the gaps; take their mean": [np.abs(gaps).sum()],
        "this is the largest gap; wanted is the mean": [np.abs(gaps).max()],
        "do not square the gaps": [np.square(gaps).mean(), np.sqrt(np.square(gaps).mean())],
        "confidence is the largest probability of a row, not that of the true class": [
            np.abs(_gaps(of_true, right, np.argsort(of_true), 8)).mean()
        ],
    }
    recognise(answer, slips, rtol=1e-6)
    close(answer, np.abs(gaps).mean(), "the mean gap in 8 bins of 40 answers each")
    few = _gaps(confidence, right, np.argsort(confidence), 4)
    answer = number(call(function, probabilities, labels, 4), _NOT_FINITE)
    close(answer, np.abs(few).mean(), "the mean gap in 4 bins of 80 answers each")
    print("Right.")


def check_sureness_slope(function: Callable[..., Any]) -> None:
    """Check ``slope(logits, labels, u)``.

    Parameters
    ----------
    function : callable
        Maps logits ``(n, C)``, labels ``(n,)`` and u, one over the temperature, to the derivative
        of the mean log loss of ``softmax(u * logits)`` by u.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(7)
    logits = 2 * rng.normal(size=(200, 5))
    labels = np.array([rng.choice(5, p=p) for p in softmax(logits / 2, axis=1)])
    for u in (1.7, 0.4):
        answer = number(call(function, logits, labels, u), _NOT_FINITE)
        p, own = softmax(u * logits, axis=1), logits[np.arange(200), labels]
        expected = np.mean((p * logits).sum(axis=1) - own)
        cold = np.mean((softmax(logits, axis=1) * logits).sum(axis=1) - own)
        loss = np.mean(-np.log(p[np.arange(200), labels]))
        slips = {
            "the sign is turned: the loss is minus the logarithm of a probability": -expected,
            "this is the sum over the rows; the loss is a mean": 200 * expected,
            "the probabilities are those of u * logits": cold,
            "logits are multiplied by u = 1 / tau here, not divided by it": np.mean(
                (softmax(logits / u, axis=1) * logits).sum(axis=1) - own
            ),
            "this is the derivative by the temperature; by u there is no factor u squared": (
                -(u**2) * expected
            ),
            "the inner derivative of u * o by u is o, without u": u * expected,
            "the logarithm of the sum of exponentials has a derivative too: the mean logit under "
            "the net's own probabilities": -own.mean(),
            "this is the loss itself; wanted is its derivative": loss,
        }
        recognise(answer, slips, rtol=1e-6)
        close(answer, expected, f"the derivative of the mean log loss at u = {u}")
    print("Right.")


def check_precision_across(function: Callable[..., Any]) -> None:
    """Check ``precision_across(features, labels, groups, k)``.

    Parameters
    ----------
    function : callable
        Maps features ``(n, d)``, labels and groups ``(n,)`` and k to the share of the k nearest
        rows of *other* groups, by cosine similarity, that have the label of the query.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(5)
    labels, groups = np.arange(120) % 3, np.arange(120) // 24
    features = rng.normal(size=(120, 6)) + 1.2 * np.eye(6)[labels] + 0.8 * np.eye(6)[groups]
    features *= rng.uniform(0.2, 5, (120, 1))
    answer = number(call(function, features, labels, groups, 4), _NOT_FINITE)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    cosine, inner = unit @ unit.T, features @ features.T
    squares = (features**2).sum(axis=1)
    euclidean = 2 * inner - squares[:, None] - squares
    same = groups[:, None] == groups
    slips = {
        "rows of the query's own group are still among its neighbours": [
            _precision(cosine, labels, np.eye(120, dtype=bool), 4),
            _precision(cosine, labels, np.zeros((120, 120), dtype=bool), 4),
        ],
        "you keep the query's own group and leave the others out": [
            _precision(cosine, labels, ~same | np.eye(120, dtype=bool), 4),
            _precision(cosine, labels, ~same, 4),
        ],
        "choose the neighbours among the other groups; leaving those of the own group out of the "
        "k nearest keeps fewer than k": [_left_over(cosine, labels, same, 4)],
        "this is with Euclidean distance; cosine similarity divides each row by its length": [
            _precision(euclidean, labels, same, 4)
        ],
        "the inner product is not yet the cosine: divide each row by its length": [
            _precision(inner, labels, same, 4)
        ],
        "these are the farthest rows: similarity is sorted the wrong way round": [
            _precision(-cosine, labels, same, 4)
        ],
        "you look at one neighbour too few": [_precision(cosine, labels, same, 3)],
    }
    recognise(answer, slips, rtol=1e-6)
    close(answer, _precision(cosine, labels, same, 4), "the share of 4 neighbours in other groups")
    answer = number(call(function, features, labels, groups, 9), _NOT_FINITE)
    close(answer, _precision(cosine, labels, same, 9), "the share of 9 neighbours in other groups")
    print("Right.")


def check_occlusion(function: Callable[..., Any]) -> None:
    """Check ``occlusion(logit, image, bare, patch)``.

    Parameters
    ----------
    function : callable
        Maps a function from pictures ``(n, h, w)`` to logits ``(n,)``, a picture and its bare
        ground ``(h, w)``, and the side of a patch to the drop of the logit for each patch that is
        covered by the ground, ``(h / patch, w / patch)``.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(1)
    image, bare, first = rng.random((3, 6, 9))
    second = rng.normal(size=(6, 9))

    def logit(pictures):
        pictures = np.asarray(pictures, dtype=float)
        if pictures.ndim != 3:
            raise ValueError(f"pictures have shape {pictures.shape}; wanted is (n, 6, 9)")
        return (pictures * first).sum(axis=(1, 2)) ** 2 + (pictures * second).sum(axis=(1, 2))

    answer = array(call(function, logit, image, bare, 3), 2, 3)
    wanted = _occluded(logit, image, bare)
    slips = {
        "the sign is turned: wanted is how much the logit falls": [-wanted],
        "this is the logit that is left; subtract it from that of the whole picture": [
            logit(image[None])[0] - wanted
        ],
        "cover the patch with the bare ground, not with black": [
            _occluded(logit, image, np.zeros_like(bare))
        ],
        "cover the patch with the bare ground, not with the picture's mean": [
            _occluded(logit, image, np.full_like(bare, image.mean()))
        ],
        "this is the picture in which only the patch is left": [
            _occluded(logit, image, bare, only=True)
        ],
        "patches stay covered: start from the whole picture for each": [
            _occluded(logit, image, bare, stay=True)
        ],
    }
    recognise(answer, slips)
    if not np.allclose(answer, wanted):
        raise Hint(
            "some drop is wrong: for the patch in row i and column j cover image[3 * i:3 * i + 3, "
            "3 * j:3 * j + 3] alone, and compare with the whole picture."
        )
    print("Right.")


def _occluded(logit, image, bare, *, only=False, stay=False):
    """Return the drop of the logit for patches of 3 x 3."""
    whole, covered = logit(image[None])[0], image.copy()
    drops = np.empty((2, 3))
    for i, j in np.ndindex(2, 3):
        place = slice(3 * i, 3 * i + 3), slice(3 * j, 3 * j + 3)
        if not stay:
            covered = bare.copy() if only else image.copy()
        covered[place] = image[place] if only else bare[place]
        drops[i, j] = whole - logit(covered[None])[0]
    return drops


def _precision(similarity, labels, left_out, k):
    """Return precision at k under a similarity, where some pairs do not count."""
    similarity = np.where(left_out, np.nan, similarity)  # NaN is sorted to the end
    near = np.argsort(-similarity, axis=1)[:, :k]
    return float(np.mean(labels[near] == labels[:, None]))


def _left_over(similarity, labels, same_group, k):
    """Return the precision of those of the k nearest that are of another group."""
    similarity = similarity.copy()
    np.fill_diagonal(similarity, -np.inf)
    near = np.argsort(-similarity, axis=1)[:, :k]
    counts = ~np.take_along_axis(same_group, near, axis=1)
    return float((labels[near] == labels[:, None])[counts].mean())


def _gaps(confidence, right, order, n_bins):
    """Return accuracy minus confidence in bins of equally many answers, in this order."""
    return (right - confidence)[order].reshape(n_bins, -1).mean(axis=1)


def _wide_error(confidence, right, n_bins):
    """Return the expected calibration error with bins of equal width."""
    which = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    members = [which == number for number in np.unique(which)]
    return sum(rows.mean() * abs((right - confidence)[rows].mean()) for rows in members)
