"""Chapter 16's checks turn stubs and the usual wrong answers away."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from tlcourse.exercises import Hint, check_ece, check_precision_at_k, check_temperature


def stub(*_):
    raise NotImplementedError


def make_ece(*, gap=abs, weigh=True, of_true=False, top=False, combine=sum):
    def ece(probabilities, labels, n_bins):
        confidence = probabilities.max(axis=1)
        right = probabilities.argmax(axis=1) == labels
        if of_true:
            confidence = probabilities[np.arange(len(labels)), labels]
        which = (confidence * n_bins).astype(int)
        if not top:
            which = np.minimum(which, n_bins - 1)
        found = []
        for one in range(n_bins):
            rows = which == one
            if rows.any():
                share = rows.mean() if weigh else 1
                found.append(share * gap(right[rows].mean() - confidence[rows].mean()))
        return combine(found)

    return ece


def with_empty_bins(probabilities, labels, n_bins):
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    which = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    total = 0
    for one in range(n_bins):
        rows = which == one
        size = rows.sum()
        total += rows.mean() * abs(
            np.divide(right[rows].sum() - confidence[rows].sum(), size) if size else np.nan
        )
    return total


def make_temperature(*, low=-4.0, high=4.0, loss=None, result=np.exp):
    def log_loss(logits, labels):
        return -log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean()

    def temperature(logits, labels):
        found = minimize_scalar(
            lambda u: (loss or log_loss)(logits / np.exp(u), labels),
            bounds=(low, high),
            method="bounded",
        )
        return float(result(found.x))

    return temperature


def make_precision(*, unit=True, own=False, sign=-1, k_less=0, vote=False, euclidean=False):
    def precision(features, labels, k):
        if unit:
            features = features / np.linalg.norm(features, axis=1, keepdims=True)
        similarity = features @ features.T
        if euclidean:
            similarity = -((features[:, None] - features) ** 2).sum(axis=2)
        if not own:
            np.fill_diagonal(similarity, sign * np.inf)
        near = np.argsort(sign * similarity, axis=1)[:, : k - k_less]
        same = labels[near] == labels[:, None]
        return (same.mean(axis=1) > 0.5).mean() if vote else same.mean()

    return precision


WRONG = [
    (check_ece, stub, "no answer yet"),
    (check_ece, make_ece(gap=float), "absolute value"),
    (check_ece, make_ece(gap=float, combine=lambda gaps: abs(sum(gaps))), "absolute value"),
    (check_ece, make_ece(weigh=False, combine=np.mean), "counts the same"),
    (check_ece, make_ece(weigh=False), "weighted by share"),
    (check_ece, make_ece(weigh=False, combine=max), "largest gap"),
    (check_ece, make_ece(gap=np.square), "square"),
    (check_ece, make_ece(of_true=True), "true class"),
    (check_ece, make_ece(top=True), "exactly 1"),
    (check_ece, with_empty_bins, "empty bin"),
    (check_ece, lambda p, y, n: [0.1, 0.2], "one number"),
    (check_ece, lambda p, y, n: 0.5, "weighted mean of the gaps"),
    (check_temperature, stub, "no answer yet"),
    (check_temperature, make_temperature(result=lambda u: np.exp(-u)), "1 / T"),
    (check_temperature, make_temperature(result=float), "log loss is smaller|positive"),
    (check_temperature, make_temperature(low=0.0), "not sure enough"),
    (
        check_temperature,
        make_temperature(loss=lambda z, y: np.mean(z.argmax(1) != y)),
        "error rate",
    ),
    (check_temperature, lambda z, y: 1.0, "changes nothing"),
    (check_temperature, lambda z, y: -2.0, "positive"),
    (check_temperature, lambda z, y: None, "returns nothing"),
    (check_precision_at_k, stub, "no answer yet"),
    (check_precision_at_k, make_precision(own=True), "its own nearest"),
    (check_precision_at_k, make_precision(unit=False, euclidean=True), "Euclidean"),
    (check_precision_at_k, make_precision(unit=False), "inner product"),
    (check_precision_at_k, make_precision(sign=1), "farthest"),
    (check_precision_at_k, make_precision(k_less=1), "too few"),
    (check_precision_at_k, make_precision(vote=True), "most of them"),
    (check_precision_at_k, lambda f, y, k: 0.5, "same label"),
]


@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_wrong_answers_get_the_right_hint(check, answer, hint):
    with pytest.raises(Hint, match=hint):
        check(answer)


def test_right_answers_pass():
    check_ece(make_ece())
    check_temperature(make_temperature())
    check_precision_at_k(make_precision())
    check_precision_at_k(make_precision(euclidean=True))  # unit rows: the same order
