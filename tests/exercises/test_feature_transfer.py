"""Chapter 5's checks turn stubs and the usual wrong answers away."""

import numpy as np
import pytest

from tlcourse import scores
from tlcourse.exercises import Hint, check_denoising_loss, check_linear_cka, check_saving


def stub(*_):
    raise NotImplementedError


def cka(x, y):
    norm = np.linalg.norm
    return norm(y.T @ x) ** 2 / (norm(x.T @ x) * norm(y.T @ y))


def centred(x):
    return x - x.mean(axis=0)


def saving(epochs, versions, net, head, *, passes=True, rows=False):
    once = versions if passes else 1
    return epochs * (net + head) / (once * net + (versions if rows else 1) * epochs * head)


def denoising(restore, x, kept):
    return ((restore(x * kept) - x) ** 2).sum(axis=1).mean()


def in_place(restore, x, kept):
    damaged = x.copy()
    damaged[kept == 0] = 0
    x -= restore(damaged)
    return np.mean([row @ row for row in x])


def centred_in_place(x, y):
    x -= x.mean(0)
    y -= y.mean(0)
    return cka(x, y)


WRONG = [
    (check_saving, stub, "no answer yet"),
    (check_saving, lambda e, v, n, h: None, "returns nothing"),
    (check_saving, lambda e, v, n, h: saving(e, v, n, h, passes=False), "passes through the net"),
    (check_saving, lambda e, v, n, h: saving(e, v, n, h, rows=True), "one an epoch"),
    (check_saving, lambda e, v, n, h: e / v * (n + h) / n, "every epoch, both ways"),
    (check_saving, lambda e, v, n, h: 1 / saving(e, v, n, h), "other way round"),
    (check_saving, lambda e, v, n, h: e * (n + h) - (v * n + e * h), "not a difference"),
    (check_saving, lambda e, v, n, h: max(1, saving(e, v, n, h)), "below one"),
    (check_linear_cka, stub, "no answer yet"),
    (check_linear_cka, cka, "subtract the mean"),
    (check_linear_cka, lambda x, y: cka(centred(x), centred(y)) ** 0.5, "mind the squares"),
    (check_linear_cka, lambda x, y: np.linalg.norm(centred(y).T @ centred(x)) ** 2, "yours is"),
    (check_linear_cka, lambda x, y: x, "one number"),
    (check_denoising_loss, stub, "no answer yet"),
    (check_denoising_loss, lambda r, x, k: ((r(x) - x) ** 2).sum() / 6, "must see the damaged"),
    (check_denoising_loss, lambda r, x, k: ((r(x * k) - x * k) ** 2).sum() / 6, "with the clean"),
    (check_denoising_loss, lambda r, x, k: denoising(r, x, 1 - k), "where a pixel stays"),
    (check_denoising_loss, lambda r, x, k: ((r(x * k) - x) ** 2).mean(), "sum the squares"),
    (check_denoising_loss, lambda r, x, k: ((x * k - x) ** 2).sum() / 6, "restore it first"),
]


@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_wrong_answers_get_the_right_hint(check, answer, hint):
    with pytest.raises(Hint, match=hint):
        check(answer)


RIGHT = [
    (check_saving, saving),
    (check_saving, lambda e, v, n, h: (n + h) / (v * n / e + h)),
    (check_linear_cka, scores.linear_cka),
    (check_linear_cka, centred_in_place),
    (check_denoising_loss, denoising),
    (check_denoising_loss, in_place),
]


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_right_answers_pass_however_they_are_written(check, answer):
    check(answer)
