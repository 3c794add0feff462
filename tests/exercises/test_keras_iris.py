"""Chapter 9's checks turn stubs and the usual wrong answers away."""

import numpy as np
import pytest

from tlcourse.exercises import Hint, check_fair_split, check_majority, check_standardise


def stub(*_):
    raise NotImplementedError


def fair(labels, per_class, seed):
    rng = np.random.default_rng(seed)
    train = np.concatenate(
        [rng.permutation(np.flatnonzero(labels == c))[:per_class] for c in np.unique(labels)]
    )
    return train, np.setdiff1d(np.arange(len(labels)), train)


def any_rows(labels, per_class, seed):
    rows = np.random.default_rng(seed).permutation(len(labels))
    return rows[: 3 * per_class], rows[3 * per_class :]


def first_rows(labels, per_class, seed):
    train = np.concatenate([np.flatnonzero(labels == c)[:per_class] for c in np.unique(labels)])
    return train, np.setdiff1d(np.arange(len(labels)), train)


def standardise(pool, rows, ddof=0):
    scale = pool.std(axis=0, ddof=ddof)
    return (rows - pool.mean(axis=0)) / np.where(scale == 0, 1, scale)


def without_guard(pool, rows):
    return (rows - pool.mean(axis=0)) / pool.std(axis=0)


def with_epsilon(pool, rows):
    return (rows - pool.mean(axis=0)) / (pool.std(axis=0) + 1e-9)


COUNT = iter(range(1000))
WRONG = [
    (check_fair_split, stub, "no answer yet"),
    (check_fair_split, lambda y, n, s: (np.arange(100), np.arange(100, 120)), "of each"),
    (check_fair_split, any_rows, "draw within each class"),
    (check_fair_split, first_rows, "first rows"),
    (check_fair_split, lambda y, n, s: (fair(y, n, s)[0], np.arange(len(y))), "in both parts"),
    (check_fair_split, lambda y, n, s: (fair(y, n, s)[0], fair(y, n, s)[1][:50]), "neither part"),
    (check_fair_split, lambda y, n, s: fair(y, n, next(COUNT)), "same seed"),
    (check_fair_split, lambda y, n, s: fair(y, n, s)[0], "two arrays"),
    (check_fair_split, lambda y, n, s: (y == 0, y == 1), "not masks"),
    (check_majority, stub, "no answer yet"),
    (check_majority, lambda a, b: np.bincount(b).max() / len(b), "choose it in training"),
    (check_majority, lambda a, b: np.bincount(a).max() / len(a), "measure on the test set"),
    (check_majority, lambda a, b: 1 / len(set(a)) - 0.01, "share of test labels"),
    (check_majority, lambda a, b: None, "returns nothing"),
    (check_majority, lambda a, b: b == 2, "one number"),
    (check_fair_split, lambda y, n, s: None, "returns nothing"),
    (check_standardise, stub, "no answer yet"),
    (check_standardise, lambda pool, rows: standardise(rows, rows), "the pool gives them"),
    (check_standardise, lambda pool, rows: (rows - pool.mean()) / pool.std(), "whole table"),
    (check_standardise, lambda pool, rows: rows - pool.mean(axis=0), "nothing is divided"),
    (check_standardise, lambda p, rows: (rows - p.mean(axis=0)) / p.var(axis=0), "variance"),
    (check_standardise, lambda p, rows: rows / p.std(axis=0) - p.mean(axis=0), "before"),
    (check_standardise, lambda pool, rows: 2 * standardise(pool, rows), "wanted is each column"),
    (check_standardise, without_guard, "divide it by 1"),
    (check_standardise, with_epsilon, "only shifted"),
    (check_standardise, lambda pool, rows: standardise(pool, rows)[0], "shape"),
]


@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_wrong_answers_get_the_right_hint(check, answer, hint):
    with pytest.raises(Hint, match=hint):
        check(answer)


def test_right_answers_pass():
    check_fair_split(fair)
    check_fair_split(lambda y, n, s: [part.tolist() for part in fair(y, n, s)])
    check_majority(lambda a, b: np.mean(b == np.bincount(a).argmax()))
    check_standardise(standardise)
    check_standardise(lambda pool, rows: standardise(pool, rows, ddof=1).tolist())
