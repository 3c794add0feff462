"""Chapter 5's checks turn stubs and the usual wrong answers away."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from tlcourse import scores
from tlcourse.align import CORAL
from tlcourse.exercises import Hint, check_coral, check_linear_cka, check_mmd


def stub(*_):
    raise NotImplementedError


def cka(x, y):
    norm = np.linalg.norm
    return norm(y.T @ x) ** 2 / (norm(x.T @ x) * norm(y.T @ y))


def centred(x):
    return x - x.mean(axis=0)


def mmd(x, y, width, cross=2, scale=None):
    def kernel(a, b):
        return np.exp(-cdist(a, b, "sqeuclidean") / (scale or 2 * width**2)).mean()

    return kernel(x, x) + kernel(y, y) - cross * kernel(x, y)


def whiten(source):
    values, vectors = np.linalg.eigh(np.cov(source.T))
    return centred(source) @ vectors @ np.diag(values**-0.5) @ vectors.T


WRONG = [
    (check_linear_cka, stub, "no answer yet"),
    (check_linear_cka, cka, "subtract the mean"),
    (check_linear_cka, lambda x, y: cka(centred(x), centred(y)) ** 0.5, "mind the squares"),
    (check_linear_cka, lambda x, y: np.linalg.norm(centred(y).T @ centred(x)) ** 2, "yours is"),
    (check_linear_cka, lambda x, y: x, "one number"),
    (check_mmd, stub, "no answer yet"),
    (check_mmd, lambda x, y, w: mmd(x, y, w, cross=1), "counts twice"),
    (check_mmd, lambda x, y, w: mmd(x, y, w, scale=w**2), "2 width"),
    (check_mmd, lambda x, y, w: mmd(x, y, w) ** 0.5, "no root"),
    (check_mmd, lambda x, y, w: np.linalg.norm(x.mean(0) - y.mean(0)), "all pairs"),
    (check_coral, stub, "no answer yet"),
    (check_coral, lambda s, t: whiten(s), "you whiten"),
    (check_coral, lambda s, t: whiten(s) * t.std(axis=0), "not enough"),
    (check_coral, lambda s, t: s, "as it went in"),
    (check_coral, lambda s, t: s[:, :2], "shape"),
    (check_coral, lambda s, t: whiten(s) @ np.cov(t.T), "matrix roots"),
]


@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_wrong_answers_get_the_right_hint(check, answer, hint):
    with pytest.raises(Hint, match=hint):
        check(answer)


def test_the_package_s_own_functions_pass():
    check_linear_cka(scores.linear_cka)
    check_coral(lambda s, t: CORAL(reg=0).fit_transform(s, target=t))
