"""Chapter 16's checks turn stubs and the usual wrong answers away."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from tlcourse.exercises import (
    Hint,
    check_equal_bins_error,
    check_occlusion,
    check_precision_across,
    check_sureness_slope,
)


def stub(*_):
    raise NotImplementedError


def make_error(*, order="both", of_true=False, gap=abs, combine=np.mean, wide=False):
    def error(probabilities, labels, n_bins):
        confidence = probabilities.max(axis=1)
        right = probabilities.argmax(axis=1) == labels
        if of_true:
            confidence = probabilities[np.arange(len(labels)), labels]
        rows = np.argsort(confidence)
        if order == "both":
            confidence, right = confidence[rows], right[rows]
        elif order == "confidence":
            confidence = confidence[rows]
        parts = np.array_split(np.arange(len(labels)), n_bins)
        if wide:
            which = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
            parts = [np.flatnonzero(which == b) for b in np.unique(which)]
            shares = [len(part) / len(labels) for part in parts]
            return sum(
                share * abs(right[part].mean() - confidence[part].mean())
                for share, part in zip(shares, parts, strict=True)
            )
        return combine([gap(right[part].mean() - confidence[part].mean()) for part in parts])

    return error


def error_by_quantiles(probabilities, labels, n_bins):
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    edges = np.quantile(confidence, np.linspace(0, 1, n_bins + 1)[1:-1])
    which = np.searchsorted(edges, confidence)
    return sum(
        np.mean(which == b) * abs(right[which == b].mean() - confidence[which == b].mean())
        for b in range(n_bins)
    )


def slope(logits, labels, u):
    p = softmax(u * logits, axis=1)
    return np.mean((p * logits).sum(axis=1) - logits[np.arange(len(labels)), labels])


def log_loss(logits, labels, u):
    return -log_softmax(u * logits, axis=1)[np.arange(len(labels)), labels].mean()


def slope_by_difference(logits, labels, u):
    return (log_loss(logits, labels, u + 1e-5) - log_loss(logits, labels, u - 1e-5)) / 2e-5


def own_logit(logits, labels):
    return logits[np.arange(len(labels)), labels]


def make_precision(*, unit=True, sign=-1, k_less=0, euclidean=False, out="group", filtered=False):
    def precision(features, labels, groups, k):
        if unit:
            features = features / np.linalg.norm(features, axis=1, keepdims=True)
        similarity = features @ features.T
        if euclidean:
            similarity = -((features[:, None] - features) ** 2).sum(axis=2)
        same = groups[:, None] == groups
        own = np.eye(len(labels), dtype=bool)
        similarity[{"group": same, "own": own, "others": ~same | own}[out]] = sign * np.inf
        near = np.argsort(sign * similarity, axis=1)[:, : k - k_less]
        hits = labels[near] == labels[:, None]
        if filtered:
            return hits[groups[near] != groups[:, None]].mean()
        return hits.mean()

    return precision


def make_occlusion(*, fill=None, left=False, sign=1, only=False, stay=False, shift=0):
    def occlusion(logit, image, bare, patch):
        rows, columns = np.array(image.shape) // patch
        drops = np.empty((rows, columns))
        ground = bare if fill is None else np.full_like(bare, fill(image))
        covered = image.copy()
        for i, j in np.ndindex(rows, columns):
            place = tuple(slice(patch * n, patch * n + patch - shift) for n in (i, j))
            if not stay:
                covered = ground.copy() if only else image.copy()
            covered[place] = image[place] if only else ground[place]
            drops[i, j] = logit(covered[None])[0]
        return drops if left else sign * (logit(image[None])[0] - drops)

    return occlusion


def occlusion_at_once(logit, image, bare, patch):
    rows, columns = np.array(image.shape) // patch
    covers = np.kron(np.eye(rows * columns), np.ones(1)).reshape(-1, rows, columns)
    covers = covers.repeat(patch, axis=1).repeat(patch, axis=2)
    left = logit(np.where(covers > 0, bare, image))
    return (logit(image[None]) - left).reshape(rows, columns).tolist()


WRONG = [
    (check_equal_bins_error, stub, "no answer yet"),
    (check_equal_bins_error, lambda p, y, n: None, "returns nothing"),
    (check_equal_bins_error, make_error(wide=True), "equally wide"),
    (check_equal_bins_error, make_error(order="none"), "sort the answers"),
    (check_equal_bins_error, make_error(order="confidence"), "torn apart"),
    (check_equal_bins_error, make_error(gap=float), "absolute value"),
    (check_equal_bins_error, make_error(gap=float, combine=lambda g: abs(np.mean(g))), "absolute"),
    (check_equal_bins_error, make_error(combine=sum), "sum of the gaps"),
    (check_equal_bins_error, make_error(combine=max), "largest gap"),
    (check_equal_bins_error, make_error(gap=np.square), "square"),
    (check_equal_bins_error, make_error(of_true=True), "true class"),
    (check_equal_bins_error, lambda p, y, n: [0.1, 0.2], "one number"),
    (check_equal_bins_error, lambda p, y, n: 0.5, "40 answers each"),
    (check_equal_bins_error, lambda p, y, n: make_error()(p, y, 8), "80 answers each"),
    (check_sureness_slope, stub, "no answer yet"),
    (check_sureness_slope, lambda o, y, u: -slope(o, y, u), "sign is turned"),
    (check_sureness_slope, lambda o, y, u: len(y) * slope(o, y, u), "sum over the rows"),
    (check_sureness_slope, lambda o, y, u: slope(o, y, 1), "those of u"),
    (check_sureness_slope, lambda o, y, u: slope(o, y, 1 / u), "not divided"),
    (check_sureness_slope, lambda o, y, u: -(u**2) * slope(o, y, u), "by the temperature"),
    (check_sureness_slope, lambda o, y, u: u * slope(o, y, u), "inner derivative"),
    (check_sureness_slope, lambda o, y, u: -own_logit(o, y).mean(), "mean logit"),
    (check_sureness_slope, log_loss, "loss itself"),
    (check_sureness_slope, lambda o, y, u: 0.123, "derivative of the mean"),
    (check_precision_across, stub, "no answer yet"),
    (check_precision_across, make_precision(out="own"), "own group are still"),
    (check_precision_across, make_precision(out="others"), "leave the others out"),
    (check_precision_across, make_precision(out="own", filtered=True), "fewer than k"),
    (check_precision_across, make_precision(unit=False, euclidean=True), "Euclidean"),
    (check_precision_across, make_precision(unit=False), "inner product"),
    (check_precision_across, make_precision(sign=1), "farthest"),
    (check_precision_across, make_precision(k_less=1), "too few"),
    (check_precision_across, lambda f, y, g, k: 0.5, "in other groups"),
    (check_precision_across, lambda f, y, g, k: make_precision()(f, y, g, 4), "9 neighbours"),
    (check_occlusion, stub, "no answer yet"),
    (check_occlusion, make_occlusion(sign=-1), "sign is turned"),
    (check_occlusion, make_occlusion(left=True), "logit that is left"),
    (check_occlusion, make_occlusion(fill=lambda image: 0), "not with black"),
    (check_occlusion, make_occlusion(fill=np.mean), "picture's mean"),
    (check_occlusion, make_occlusion(only=True), "only the patch"),
    (check_occlusion, make_occlusion(stay=True), "stay covered"),
    (check_occlusion, make_occlusion(shift=1), "some drop is wrong"),
    (check_occlusion, lambda f, x, b, p: occlusion_at_once(f, x, b, 1), "shape"),
]


@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_wrong_answers_get_the_right_hint(check, answer, hint):
    with pytest.raises(Hint, match=hint):
        check(answer)


def test_right_answers_pass():
    check_equal_bins_error(make_error())
    check_equal_bins_error(error_by_quantiles)
    check_sureness_slope(slope)
    check_sureness_slope(slope_by_difference)
    check_precision_across(make_precision())
    check_precision_across(make_precision(euclidean=True))  # unit rows: the same order
    check_occlusion(make_occlusion())
    check_occlusion(occlusion_at_once)
