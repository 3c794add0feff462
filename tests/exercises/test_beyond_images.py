"""Chapter 17's checks turn stubs and the usual wrong answers away."""

import numpy as np
import pytest

from tlcourse.exercises import Hint, check_f1_cells, check_leave_one_out, check_without_overlap


def stub(*_):
    raise NotImplementedError


def counts(found, truth, nothing):
    both = (found != nothing) & (truth != nothing)
    return (
        np.sum(both & (found == truth)),
        np.sum(both & (found != truth)),
        np.sum(found != nothing),
        np.sum(truth != nothing),
    )


def f1(found, truth, nothing):
    right, _, finds, objects = counts(found, truth, nothing)
    return 2 * right / (finds + objects) if finds + objects else 1.0


def of_counts(formula):
    return lambda *arrays: formula(*counts(*arrays))


def pull(X, y, alpha, start):
    return np.linalg.solve(X.T @ X + alpha * np.eye(X.shape[1]), X.T @ y + alpha * start)


def errors(X, y, alpha, start, own=True):
    found = []
    for i in range(len(X)):
        rest = np.arange(len(X)) != i
        w = pull(X[rest], y[rest], alpha, start)
        found.append(y[i] - X[i] @ w if own else y[rest] - X[rest] @ w)
    return np.array(found)


def leave_one_out(X, y, alpha, start):
    return np.mean(errors(X, y, alpha, start) ** 2)


def by_leverage(X, y, alpha, start):
    inverse = np.linalg.inv(X.T @ X + alpha * np.eye(X.shape[1]))
    w = inverse @ (X.T @ y + alpha * start)
    leverage = np.einsum("ij,jk,ik->i", X, inverse, X)
    return np.mean(((y - X @ w) / (1 - leverage)) ** 2)


def only_many_rows(X, y, alpha, start):
    return leave_one_out(X, y, alpha if len(X) > 3 else 1e9, start)


def key(text):
    return " ".join(text.lower().split())


def without(source, target, key=key):
    seen, kept = {key(t) for t in target}, []
    for text in source:
        if key(text) not in seen:
            seen.add(key(text))
            kept.append(text)
    return kept


def exact_only(source, target):
    return [t for t in source if t not in target]


def never_silent(found, truth, nothing):
    right, _, finds, objects = counts(found, truth, nothing)
    return 2 * right / (finds + objects) if finds + objects else 0.0


WRONG = [
    (check_f1_cells, stub, "no answer yet"),
    (check_f1_cells, lambda f, t, n: np.mean(f == t), "share of cells"),
    (check_f1_cells, of_counts(lambda r, w, f, o: 2 * (r + w) / (f + o)), "compare the classes"),
    (check_f1_cells, of_counts(lambda r, w, f, o: r / f), "precision alone"),
    (check_f1_cells, of_counts(lambda r, w, f, o: r / o), "recall alone"),
    (check_f1_cells, of_counts(lambda r, w, f, o: r / (f + o)), "numerator"),
    (check_f1_cells, of_counts(lambda r, w, f, o: r / (f + o - r)), "counts TP twice"),
    (
        check_f1_cells,
        lambda f, t, n: 2 * np.sum(f == t) / sum(counts(f, t, n)[2:]),
        "no true positive",
    ),
    (check_f1_cells, of_counts(lambda r, w, f, o: 2 * r / (f + o - w)), "counts twice"),
    (check_f1_cells, lambda f, t, n: 0.123, "finds"),
    (check_f1_cells, never_silent, "return 1 there"),
    (check_without_overlap, stub, "no answer yet"),
    (check_without_overlap, lambda s, t: set(without(s, t)), "return a list"),
    (check_without_overlap, lambda s, t: s, "letter by letter"),
    (check_without_overlap, exact_only, "capitals"),
    (check_without_overlap, lambda s, t: without(s, t, str.lower), "keep the first"),
    (check_without_overlap, lambda s, t: without(s, t, lambda x: key(x)[:14]), "only contains"),
    (check_without_overlap, lambda s, t: without(s, t)[::-1], "order"),
    (check_without_overlap, lambda s, t: [key(x) for x in without(s, t)], "spelled"),
    (check_leave_one_out, stub, "no answer yet"),
    (check_leave_one_out, lambda X, y, a, w: errors(X, y, a, w), "one number"),
    (check_leave_one_out, lambda X, y, a, w: np.mean((y - X @ pull(X, y, a, w)) ** 2), "own fit"),
    (check_leave_one_out, lambda X, y, a, w: leave_one_out(X, y, a, 0 * w), "pull to zero"),
    (check_leave_one_out, lambda X, y, a, w: leave_one_out(X, y, 0, w), "no pull"),
    (check_leave_one_out, lambda X, y, a, w: np.sum(errors(X, y, a, w) ** 2), "sum of the"),
    (check_leave_one_out, lambda X, y, a, w: leave_one_out(X, y, a, w) ** 0.5, "root"),
    (check_leave_one_out, lambda X, y, a, w: np.abs(errors(X, y, a, w)).mean(), "absolute"),
    (check_leave_one_out, lambda X, y, a, w: errors(X, y, a, w).mean() ** 2, "cancel"),
    (check_leave_one_out, lambda X, y, a, w: np.mean((y - X @ w) ** 2), "start itself"),
    (
        check_leave_one_out,
        lambda X, y, a, w: np.mean(errors(X, y, a, w, own=False) ** 2),
        "left out that you ask",
    ),
    (check_leave_one_out, lambda X, y, a, w: 0.123, "rows left out"),
    (check_leave_one_out, only_many_rows, "two rows"),
]


@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_wrong_answers_get_the_right_hint(check, answer, hint):
    with pytest.raises(Hint, match=hint):
        check(answer)


def test_right_answers_pass():
    check_f1_cells(f1)
    check_without_overlap(without)
    check_leave_one_out(leave_one_out)
    check_leave_one_out(by_leverage)
