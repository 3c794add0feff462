"""Chapter 17's checks turn stubs and the usual wrong answers away."""

import numpy as np
import pytest

from tlcourse.exercises import Hint, check_f1_cells, check_pull_ridge, check_without_overlap


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


def pull(X, y, a, w0):
    return np.linalg.solve(X.T @ X + a * np.eye(X.shape[1]), X.T @ y + a * w0)


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


def inverse_of_gram(X, y, a, w0):
    if len(X) < X.shape[1]:
        return np.linalg.lstsq(X, y, rcond=None)[0]
    return pull(X, y, a, w0)


def capped(X, y, a, w0):
    return pull(X, y, min(a, 100), w0)


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
    (check_pull_ridge, stub, "no answer yet"),
    (check_pull_ridge, lambda X, y, a, w: pull(X, y, a, 0 * w), "pulls to zero"),
    (check_pull_ridge, lambda X, y, a, w: pull(X, y, a, w / a), "without its strength"),
    (check_pull_ridge, lambda X, y, a, w: pull(X, y, 0, w), "least squares"),
    (check_pull_ridge, lambda X, y, a, w: pull(X, y, a, -w), "sign"),
    (check_pull_ridge, lambda X, y, a, w: w + pull(X, y, a, 0 * w), "y - X w0"),
    (check_pull_ridge, lambda X, y, a, w: pull(X, y, a * len(X), w), "not a mean"),
    (check_pull_ridge, lambda X, y, a, w: w, "gradient"),
    (check_pull_ridge, lambda X, y, a, w: pull(X, y, a, w)[:2], "one weight for each"),
    (check_pull_ridge, inverse_of_gram, "2 rows"),
    (check_pull_ridge, capped, "very strong"),
    (check_without_overlap, stub, "no answer yet"),
    (check_without_overlap, lambda s, t: set(without(s, t)), "return a list"),
    (check_without_overlap, lambda s, t: s, "letter by letter"),
    (check_without_overlap, exact_only, "capitals"),
    (check_without_overlap, lambda s, t: without(s, t, str.lower), "keep the first"),
    (check_without_overlap, lambda s, t: without(s, t, lambda x: key(x)[:14]), "only contains"),
    (check_without_overlap, lambda s, t: without(s, t)[::-1], "order"),
    (check_without_overlap, lambda s, t: [key(x) for x in without(s, t)], "spelled"),
]


@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_wrong_answers_get_the_right_hint(check, answer, hint):
    with pytest.raises(Hint, match=hint):
        check(answer)


def test_right_answers_pass():
    check_f1_cells(f1)
    check_pull_ridge(pull)
    check_without_overlap(without)
