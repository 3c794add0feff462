"""Chapter 12's checks turn stubs and the usual wrong answers away."""

import numpy as np
import pytest

from tlcourse.exercises import (
    Hint,
    check_confident_mistakes,
    check_leaked,
    check_recall_and_precision,
    check_validation_rows,
)


def stub(*_):
    raise NotImplementedError


def leaked(train, test, shapes=True, swapped=False):
    def key(x):
        return (x.shape if shapes else (), x.tobytes())

    if swapped:
        train, test = test, train
    seen = {key(x) for x in train.values()}
    return sorted(name for name, x in test.items() if key(x) in seen)


def by(train, test, key):
    seen = [key(x) for x in train.values()]
    return sorted(name for name, x in test.items() if key(x) in seen)


def slowly_leaked(train, test):
    return tuple(
        name
        for name in sorted(test)
        if any(np.array_equal(test[name], picture) for picture in train.values())
    )


def measures(c, *, nan=np.nan):
    columns = c.sum(axis=0)
    return (np.diag(c) / c.sum(axis=1), np.where(columns, np.diag(c) / np.maximum(columns, 1), nan))


def mistakes(p, y, k, key=lambda p, y: -p.max(axis=1)):
    wrong = np.flatnonzero(p.argmax(axis=1) != y)
    return wrong[np.argsort(key(p[wrong], y[wrong]))][:k]


def within(p, y, k):
    wrong = np.flatnonzero(p.argmax(axis=1) != y)
    return np.argsort(-p[wrong].max(axis=1))[:k]


def true_class(p, y):
    return p[np.arange(len(y)), y]


def sure(p, y):
    return p.max(axis=1)


def lead(p, y):
    ordered = np.sort(p, axis=1)
    return ordered[:, -2] - ordered[:, -1]


def chapters_old_trick(p, y, k):
    return np.argsort(-p.max(axis=1) - 9 * (p.argmax(axis=1) != y))[:k]


def rows_of_films(films, share, seed):
    names = np.unique(films)
    chosen = np.random.default_rng(seed).permutation(names)[: max(1, round(share * len(names)))]
    return np.isin(films, chosen)


def rows_of_pictures(films, share, seed):
    return np.random.default_rng(seed).random(len(films)) < share


def first_films(films, share, seed):
    return np.isin(films, sorted(set(films))[: max(1, round(share * len(set(films))))])


def until_enough_pictures(films, share, seed):
    mask = np.zeros(len(films), bool)
    for film in np.random.default_rng(seed).permutation(sorted(set(films))):
        if mask.mean() < share:
            mask |= films == film
    return mask


WRONG = [
    (check_leaked, stub, "no answer yet"),
    (check_leaked, lambda a, b: 3, "in a list"),
    (check_leaked, lambda a, b: sorted(set(a) & set(b)), "not names"),
    (check_leaked, lambda a, b: leaked(a, b, shapes=False), "another shape"),
    (check_leaked, lambda a, b: by(a, b, lambda x: tuple(x[0, 0])), "all pixels"),
    (check_leaked, lambda a, b: by(a, b, lambda x: (x.shape, x.mean())), "place by place"),
    (check_leaked, lambda a, b: [], "under other names"),
    (check_leaked, lambda a, b: ["b.png"], "names in the test set"),
    (check_leaked, lambda a, b: leaked(a, b)[1:], "every copy"),
    (check_leaked, lambda a, b: leaked(a, b)[::-1], "sort"),
    (check_leaked, lambda a, b: ["z.png"], "wanted is"),
    (check_validation_rows, stub, "no answer yet"),
    (check_validation_rows, rows_of_pictures, "both sides"),
    (check_validation_rows, lambda f, p, s: np.flatnonzero(rows_of_films(f, p, s)), "a mask"),
    (check_validation_rows, lambda f, p, s: rows_of_films(f, 1 - p, s), "are 2 films; 3"),
    (check_validation_rows, until_enough_pictures, "Choose among films"),
    (check_validation_rows, first_films, "by chance"),
    (check_validation_rows, lambda f, p, s: rows_of_films(f, p, None), "seed the generator"),
    (
        check_validation_rows,
        lambda f, p, s: rows_of_films(f, p, s) & (p > 0.1),
        "one film that validates",
    ),
    (check_recall_and_precision, stub, "no answer yet"),
    (check_recall_and_precision, lambda c: measures(c)[0], "two arrays"),
    (check_recall_and_precision, lambda c: 0.5, "two arrays"),
    (check_recall_and_precision, lambda c: measures(c)[::-1], "exchanged"),
    (check_recall_and_precision, lambda c: (np.diag(c) / c.sum(), measures(c)[1]), "row sums"),
    (check_recall_and_precision, lambda c: measures(c, nan=0.0), "NaN"),
    (check_recall_and_precision, lambda c: (measures(c)[0], measures(c)[1] / 2), "column sums"),
    (check_confident_mistakes, stub, "no answer yet"),
    (check_confident_mistakes, lambda p, y, k: np.argsort(-p.max(axis=1))[:k], "wrong ones only"),
    (check_confident_mistakes, lambda p, y, k: mistakes(p, y, k, sure), "turn the order"),
    (check_confident_mistakes, lambda p, y, k: mistakes(p, y, k, true_class), "true class gets"),
    (check_confident_mistakes, lambda p, y, k: mistakes(p, y, k, lead), "second class"),
    (
        check_confident_mistakes,
        lambda p, y, k: np.flatnonzero(p.argmax(axis=1) != y)[:k],
        "not at all",
    ),
    (check_confident_mistakes, lambda p, y, k: mistakes(p, y, 9), "k is 3"),
    (check_confident_mistakes, within, "whole set"),
    (check_confident_mistakes, lambda p, y, k: mistakes(p, y, k)[[1, 0, 2]], "wanted are"),
    (check_confident_mistakes, lambda p, y, k: mistakes(p, y, 3), "four mistakes only"),
    (check_confident_mistakes, chapters_old_trick, "four mistakes only"),
]


@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_wrong_answers_get_the_right_hint(check, answer, hint):
    with pytest.raises(Hint, match=hint):
        check(answer)


def plain_division(c):
    return [np.diag(c) / c.sum(axis=1), np.diag(c) / c.sum(axis=0)]


def one_by_one(p, y, k):
    wrong = [row for row in range(len(y)) if p[row].argmax() != y[row]]
    return sorted(wrong, key=lambda row: p[row].max(), reverse=True)[:k]


def film_by_film(films, share, seed):
    names = sorted(set(films))
    n = max(1, round(share * len(names)))
    chosen = np.random.default_rng(seed).choice(names, n, replace=False)
    return [film in chosen for film in films]


@pytest.mark.filterwarnings("error")
def test_right_answers_pass_however_they_are_written():
    for answer in (leaked, slowly_leaked):
        check_leaked(answer)
    for answer in (rows_of_films, film_by_film):
        check_validation_rows(answer)
    for answer in (measures, plain_division):
        check_recall_and_precision(answer)
    for answer in (mistakes, one_by_one):
        check_confident_mistakes(answer)
