"""Chapter 6's checks turn stubs and the usual wrong answers away."""

import numpy as np
import pytest
import torch
from scipy.linalg import cholesky, fractional_matrix_power
from scipy.spatial.distance import cdist
from torch import nn
from torch.nn import functional as F

import tlcourse.torch as tl
from tlcourse.align import CORAL
from tlcourse.exercises import (
    Hint,
    check_adaptation_step,
    check_coral,
    check_importance_weights,
    check_information,
    check_mmd,
    check_reverse_gradient,
)


def stub(*_):
    raise NotImplementedError


def mmd(x, y, width, cross=2, scale=None, own=True):
    def kernel(a, b, without=0):
        values = np.exp(-cdist(a, b, "sqeuclidean") / (scale or 2 * width**2))
        return (values.sum() - without) / (values.size - without)

    within = sum(kernel(a, a, 0 if own else len(a)) for a in (x, y))
    return within - cross * kernel(x, y)


def power(matrix, exponent):
    values, vectors = np.linalg.eigh(matrix)
    kept = values > 1e-12 * values[-1]
    return vectors[:, kept] @ np.diag(values[kept] ** exponent) @ vectors[:, kept].T


def whiten(source, centre=True):
    return (source - centre * source.mean(axis=0)) @ power(np.cov(source.T), -0.5)


def coral(source, target):
    return whiten(source) @ power(np.cov(target.T), 0.5) + target.mean(axis=0)


def coral_in_place(source, target):
    mean = target.mean(0)
    source -= source.mean(0)
    target -= target.mean(0)
    root = fractional_matrix_power(np.cov(target.T, ddof=0), 0.5)
    return [list(row) for row in source @ power(np.cov(source.T, ddof=0), -0.5) @ root + mean]


def naive(source, target):
    values, vectors = np.linalg.eigh(np.cov(source.T))
    with np.errstate(all="ignore"):
        root = vectors @ np.diag(values**-0.5) @ vectors.T
        moved = (source - source.mean(axis=0)) @ root
        return moved @ power(np.cov(target.T), 0.5) + target.mean(axis=0)


def shifted_where_flat(source, target):
    """Answer rightly where all features vary, and shift a flat one's answer."""
    return coral(source, target) + 0.5 * (np.ptp(source, axis=0) == 0)


def rotated(source, target):
    angle = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    return whiten(source) @ angle @ power(np.cov(target.T), 0.5) + target.mean(axis=0)


def cholesky_map(source, target):
    whitened = (source - source.mean(0)) @ np.linalg.inv(cholesky(np.cov(source.T)))
    return whitened @ cholesky(np.cov(target.T)) + target.mean(0)


def noise(source, target):
    rows = np.random.default_rng(0).normal(size=(len(source), 3))
    return whiten(rows) @ power(np.cov(target.T), 0.5) + target.mean(axis=0)


def odds(p, n_s, n_t):
    return p / (1 - p)


WRONG = [
    (check_importance_weights, stub, "no answer yet"),
    (check_importance_weights, lambda p, n, m: (1 - p) / p, "upside down"),
    (check_importance_weights, odds, "these are the odds"),
    (check_importance_weights, lambda p, n, m: odds(p, n, m) * m / n, "ratio of the numbers"),
    (check_importance_weights, lambda p, n, m: p * n / m, "no ratio"),
    (
        check_importance_weights,
        lambda p, n, m: odds(p, n, m) / odds(p, n, m).sum(),
        "as they are",
    ),
    (check_importance_weights, lambda p, n, m: p[:2], "shape"),
    (check_mmd, stub, "no answer yet"),
    (check_mmd, lambda x, y, w: mmd(x, y, w, cross=1), "counts twice"),
    (check_mmd, lambda x, y, w: mmd(x, y, w, scale=w**2), "2 width"),
    (check_mmd, lambda x, y, w: mmd(x, y, w) ** 0.5, "no root"),
    (check_mmd, lambda x, y, w: mmd(x, y, w, own=False), "leaves a row's pair"),
    (check_mmd, lambda x, y, w: np.linalg.norm(x.mean(0) - y.mean(0)), "all pairs"),
    (check_coral, stub, "no answer yet"),
    (check_coral, lambda s, t: None, "returns nothing"),
    (check_coral, lambda s, t: whiten(s), "you whiten"),
    (check_coral, lambda s, t: whiten(s) * t.std(axis=0), "not enough"),
    (check_coral, lambda s, t: s, "as it went in"),
    (check_coral, lambda s, t: s[:, :2], "shape"),
    (check_coral, lambda s, t: whiten(s) @ np.cov(t.T), "matrix roots"),
    (check_coral, lambda s, t: coral(s, t) - t.mean(axis=0), "its place is not"),
    (check_coral, lambda s, t: whiten(s, centre=False) @ power(np.cov(t.T), 0.5), "place is not"),
    (check_coral, lambda s, t: 2 * t.mean(axis=0) - coral(s, t), "mirrored"),
    (check_coral, lambda s, t: coral(s, t)[::-1], "lost their order"),
    (check_coral, rotated, "many maps"),
    (check_coral, cholesky_map, "many maps"),
    (check_coral, noise, "do not come from"),
    (check_coral, naive, "never varies"),
    (check_coral, shifted_where_flat, "nothing else"),
]


def information(p, q, *, first=1.0, second=1.0, total=False, of_mean=False, turned=False):
    entropies = -(p * np.log(p, where=p > 0, out=np.zeros_like(p))).sum(axis=1)
    mean = p.mean(axis=0)
    sure = entropies.sum() if total else entropies.mean()
    if of_mean:
        sure = -(mean * np.log(mean)).sum()
    apart = (q * np.log(q / mean)).sum() if turned else (mean * np.log(mean / q)).sum()
    return first * sure + second * apart


def careless(p, q):
    """Answer rightly, and NaN where a probability is 0."""
    with np.errstate(all="ignore"):
        mean = p.mean(axis=0)
        return -(p * np.log(p)).sum(axis=1).mean() + (mean * np.log(mean / q)).sum()


def clipped(p, q):
    p = torch.tensor(p).clamp(min=1e-9)
    mean = p.mean(0)
    return -(p * p.log()).sum(1).mean() + (mean * (mean / torch.tensor(q)).log()).sum()


WRONG += [
    (check_information, stub, "no answer yet"),
    (check_information, lambda p, q: p, "one number"),
    (check_information, lambda p, q: information(p, q, second=0), "second sum is missing"),
    (check_information, lambda p, q: information(p, q, first=0), "first sum is missing"),
    (check_information, lambda p, q: information(p, q, total=True), "not their sum"),
    (check_information, lambda p, q: information(p, q, of_mean=True), "entropy of the mean"),
    (check_information, lambda p, q: information(p, q, turned=True), "wrong way round"),
    (check_information, lambda p, q: information(p, 0 * q + 1 / len(q)), "not used"),
    (check_information, lambda p, q: information(p, q, first=-1), "mind the signs"),
    (check_information, lambda p, q: information(p, q, second=-1), "mind the signs"),
    (check_information, lambda p, q: information(p, q) / np.log(2), "yours is"),
    (check_information, careless, "0 log 0"),
]


@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_wrong_answers_get_the_right_hint(check, answer, hint):
    with pytest.raises(Hint, match=hint):
        check(answer)


RIGHT = [
    (check_importance_weights, lambda p, n, m: odds(p, n, m) * n / m),
    (check_importance_weights, lambda p, n, m: [n / m / (1 / q - 1) for q in p]),
    (check_mmd, mmd),
    (check_mmd, lambda x, y, w: torch.tensor(mmd(x, y, w))),
    (check_information, information),
    (check_information, clipped),
    (check_coral, coral),
    (check_coral, coral_in_place),
    (check_coral, lambda s, t: CORAL(reg=0).fit_transform(s, target=t)),
]


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_right_answers_pass_however_they_are_written(check, answer):
    check(answer)


FEATURES = torch.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (stub, "no answer yet"),
        (lambda x, rho: None, "returns nothing"),
        (lambda x, rho: x, "nothing is reversed"),
        (lambda x, rho: x + 0, "nothing is reversed"),
        (lambda x, rho: -rho * x, "pass unchanged"),
        (lambda x, rho: x.detach(), "detached"),
        (lambda x, rho: 2 * x.detach() - x, "not scaled"),
        (lambda x, rho: (1 - rho) * x.detach() + rho * x, "not turned round"),
        (lambda x, rho: rho * x.detach() + (1 - rho) * x, "undetached"),
        (lambda x, rho: (1 - 7 * rho) * x.detach() + 7 * rho * x, "does not"),
    ],
)
def test_a_gradient_that_is_not_reversed_is_recognised(answer, hint):
    with pytest.raises(Hint, match=hint):
        check_reverse_gradient(answer, FEATURES)


@pytest.mark.parametrize(
    "answer", [tl.reverse_gradient, lambda x, rho: (1 + rho) * x.detach() - rho * x]
)
def test_both_ways_to_reverse_a_gradient_pass(answer):
    check_reverse_gradient(answer, FEATURES)


def make():
    model = nn.Sequential()
    model.backbone, model.head = nn.Linear(3, 3), nn.Linear(3, 2)
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


def step(model, optimiser, source, labels, target, distance, rho, *, zero=True, detach=(), **how):
    z = [model.backbone(rows) for rows in (source, target)]
    loss = F.cross_entropy(model.head(z[0]), labels)
    z = [rows.detach() if place in detach else rows for place, rows in enumerate(z)]
    if how.get("logits"):
        z = [model.head(rows) for rows in z]
    if zero:
        optimiser.zero_grad()
    (loss + how.get("weight", rho) * distance(*z)).backward()
    optimiser.step()


def in_one_batch(model, optimiser, source, labels, target, distance, rho):
    optimiser.zero_grad()
    z = model.backbone(torch.cat([source, target]))
    near, far = z[: len(source)], z[len(source) :]
    (rho * distance(near, far)).backward(retain_graph=True)
    loss = F.cross_entropy(model.head(near), labels)
    loss.backward()
    optimiser.step()
    return loss.item()


@pytest.mark.parametrize("answer", [step, in_one_batch])
def test_both_ways_to_make_a_step_pass(answer):
    check_adaptation_step(answer, make)


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"weight": 0}, "distance is missing"),
        ({"weight": 1}, "rho is missing"),
        ({"weight": -0.7}, "distance grows"),
        ({"detach": (1,)}, "target's features are detached"),
        ({"detach": (0,)}, "source's features are detached"),
        ({"logits": True}, "not between logits"),
        ({"zero": False}, "old gradients"),
        ({"weight": 3}, "one step on L"),
    ],
)
def test_a_wrong_step_gets_the_right_hint(options, hint):
    with pytest.raises(Hint, match=hint):
        check_adaptation_step(lambda *arguments: step(*arguments, **options), make)


@pytest.mark.parametrize(
    ("answer", "hint"), [(stub, "no answer yet"), (lambda *_: None, "no parameter has moved")]
)
def test_no_step_is_recognised(answer, hint):
    with pytest.raises(Hint, match=hint):
        check_adaptation_step(answer, make)
