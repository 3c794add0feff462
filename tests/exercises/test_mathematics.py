"""Chapter 3's checks pass right answers and turn stubs and the usual wrong ones away."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from tlcourse.exercises import Hint, check_gradient, check_kept, check_pull, check_twins


def stub(*_):
    raise NotImplementedError


def gradient(o, q):
    return (softmax(o, axis=1) - q) / len(o)


def gradient_in_place(o, q):
    o -= o.max(axis=1, keepdims=True)
    np.exp(o, out=o)
    o /= o.sum(axis=1, keepdims=True)
    o -= q
    return (o / len(o)).tolist()


def naive(o, q):
    odds = np.exp(o)
    return (odds / odds.sum(axis=1, keepdims=True) - q) / len(o)


def cut_short(o, q):
    return gradient(np.clip(o, -700, 700), q)


def sizes_written_in(o, q):
    return (np.exp(log_softmax(o, axis=1)) - q) / 5


def one_class(o, q):
    return gradient(o, np.eye(o.shape[1])[q.argmax(axis=1)])


def kept(X, w):
    return w - np.linalg.pinv(X) @ X @ w


def kept_by_axes(X, w):
    _, lengths, axes = np.linalg.svd(X, full_matrices=True)
    left = axes[(lengths > 1e-10).sum() :]
    return list(left.T @ left @ w)


def half_of_it(X, w):
    return kept(X, w) / 2


def only_three_examples(X, w):
    return w - X[:3].T @ np.linalg.solve(X[:3] @ X[:3].T, X[:3] @ w)


def pull(X, y, w, a, scale=None, center=1.0):
    scale = 2 / len(X) if scale is None else scale
    return np.linalg.solve(scale * X.T @ X + np.diag(a), scale * X.T @ y + center * a * w)


def pull_from_the_start(X, y, w, a):
    rest = np.linalg.solve(X.T @ X / len(X) + np.diag(a) / 2, X.T @ (y - X @ w) / len(X))
    return tuple(w + rest)


def whitened(cloud):
    cloud = cloud - cloud.mean(axis=0)
    axes, values, _ = np.linalg.svd(np.cov(cloud, rowvar=False))
    return cloud @ axes / np.sqrt(values)


def clouds(kind, n=300):
    rng = np.random.default_rng(5)
    heap = rng.normal(size=(n, 2))
    angle = rng.uniform(0, 2 * np.pi, n)
    shapes = {
        "ring": np.column_stack([np.cos(angle), np.sin(angle)]),
        "corners": rng.choice([-1, 1], size=(n, 2)) + 0.1 * rng.normal(size=(n, 2)),
        "heap": rng.normal(size=(n, 2)),
    }
    return heap, shapes[kind]


def twins(kind, n=300):
    return tuple(whitened(cloud) for cloud in clouds(kind, n))


RIGHT = [
    (check_gradient, gradient),
    (check_gradient, gradient_in_place),
    (check_kept, kept),
    (check_kept, kept_by_axes),
    (check_pull, pull),
    (check_pull, pull_from_the_start),
    (check_twins, lambda: twins("ring")),
    (check_twins, lambda: [cloud.tolist() for cloud in twins("corners")]),
]


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_differently_written_right_answers_pass(check, answer, capsys):
    check(answer)
    assert capsys.readouterr().out.startswith("Right.")


WRONG = [
    (check_gradient, stub, "no answer yet"),
    (check_gradient, lambda o, q: None, "returns nothing"),
    (check_gradient, lambda o, q: gradient(o, q) * len(o), "divide by their number"),
    (check_gradient, lambda o, q: -gradient(o, q), "uphill"),
    (check_gradient, lambda o, q: softmax(o, axis=0), "finite differences disagree"),
    (check_gradient, lambda o, q: gradient(o, q) / o.shape[1], "divide by n only"),
    (check_gradient, lambda o, q: gradient(o, q).sum(axis=1), "shape"),
    (check_gradient, sizes_written_in, "take the sizes from logits.shape"),
    (check_gradient, one_class, "most probable class"),
    (check_gradient, naive, "overflow"),
    (check_gradient, cut_short, "overflow"),
    (check_kept, stub, "no answer yet"),
    (check_kept, lambda X, w: w, "whole start"),
    (check_kept, lambda X, w: np.linalg.pinv(X) @ X @ w, "labels replace"),
    (check_kept, lambda X, w: -kept(X, w), "turned round"),
    (check_kept, lambda X, w: X @ w, r"\(6,\)"),
    (check_kept, lambda X, w: np.append(w[:1], 0 * w[1:]), "not zero"),
    (check_kept, half_of_it, "more of the start"),
    (check_kept, only_three_examples, "nothing is left open"),
    (check_pull, stub, "no answer yet"),
    (check_pull, lambda X, y, w, a: pull(X, y, w, a, center=0), "pulls toward zero"),
    (check_pull, lambda X, y, w, a: pull(X, y, w, a, scale=2), "is a mean"),
    (check_pull, lambda X, y, w, a: pull(X, y, w, a, scale=1), "is a mean"),
    (check_pull, lambda X, y, w, a: pull(X, y, w, a, scale=1 / len(X)), "factor 2"),
    (check_pull, lambda X, y, w, a: pull(X, y, w, a, scale=1 / 4), "sizes"),
    (check_pull, lambda X, y, w, a: pull(X, y, w, a, center=-1), "turned round"),
    (check_pull, lambda X, y, w, a: pull(X, y, w / a, a), "multiplied by its strength"),
    (check_pull, lambda X, y, w, a: pull(X, y, w, 0 * a + a.mean()), "strength of its own"),
    (check_pull, lambda X, y, w, a: w, "not zero there"),
    (check_pull, lambda X, y, w, a: X @ w, r"\(4,\)"),
    (check_twins, stub, "no answer yet"),
    (check_twins, lambda: np.zeros(3), "two arrays"),
    (check_twins, lambda: (1, 2), "array of rows"),
    (check_twins, lambda: twins("ring", 100), "200 rows"),
    (check_twins, lambda: [cloud[:, :1] for cloud in twins("ring")], r"\(300, 2\)"),
    (check_twins, lambda: [cloud * np.nan for cloud in twins("ring")], "finite"),
    (check_twins, lambda: clouds("ring"), "means differ"),
    (check_twins, lambda: [c - c.mean(axis=0) for c in clouds("ring")], "covariances differ"),
    (check_twins, lambda: (np.zeros((200, 2)), np.zeros((200, 2))), "both directions"),
    (check_twins, lambda: twins("heap"), "different shapes"),
]


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_wrong_answers_get_the_right_hint(check, answer, hint):
    with pytest.raises(Hint, match=hint):
        check(answer)
