"""Chapter 3's checks turn stubs and the usual wrong answers away."""

import numpy as np
import pytest
from scipy.special import softmax

from tlcourse.exercises import Hint, check_gradient, check_nearest, check_pull


def stub(*_):
    raise NotImplementedError


def gradient(z, y):
    return (softmax(z, axis=1) - np.eye(z.shape[1])[y]) / len(z)


def naive(z, y):
    odds = np.exp(z)
    return (odds / odds.sum(axis=1, keepdims=True) - np.eye(z.shape[1])[y]) / len(z)


def pull(X, y, w, a, n=None, center=1.0):
    n = len(X) if n is None else n
    return np.linalg.solve(X.T @ X / n + a * np.eye(len(w)), X.T @ y / n + center * a * w)


WRONG = [
    (check_gradient, stub, "no answer yet"),
    (check_gradient, lambda z, y: gradient(z, y) * len(z), "divide by their number"),
    (check_gradient, lambda z, y: -gradient(z, y), "uphill"),
    (check_gradient, lambda z, y: softmax(z, axis=0), "finite differences disagree"),
    (check_gradient, lambda z, y: gradient(z, y).sum(axis=1), "shape"),
    (check_gradient, naive, "overflow"),
    (check_nearest, stub, "no answer yet"),
    (check_nearest, lambda X, y, w: np.linalg.pinv(X) @ y, "nearest to zero"),
    (check_nearest, lambda X, y, w: w + np.linalg.pinv(X) @ y, "what is left"),
    (check_nearest, lambda X, y, w: w, "does not fit"),
    (check_nearest, lambda X, y, w: X @ w, "six entries"),
    (
        check_nearest,
        lambda X, y, w: np.append(np.linalg.solve(X[:, :3], y - X[:, 3:] @ w[3:]), w[3:]),
        "not the nearest",
    ),
    (check_pull, stub, "no answer yet"),
    (check_pull, lambda X, y, w, a: pull(X, y, w, a, center=0), "pulls toward zero"),
    (check_pull, lambda X, y, w, a: pull(X, y, w, a, n=1), "is a mean"),
    (check_pull, lambda X, y, w, a: pull(X, y, w, a, center=-1), "turned round"),
    (check_pull, lambda X, y, w, a: pull(X, y, w, a, center=1 / a), "multiplied by alpha"),
    (check_pull, lambda X, y, w, a: w, "not zero at your answer"),
    (check_pull, lambda X, y, w, a: X @ w, "four entries"),
]


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_wrong_answers_get_the_right_hint(check, answer, hint):
    with pytest.raises(Hint, match=hint):
        check(answer)
