"""Chapter 12's checks turn stubs and the usual wrong answers away."""

import numpy as np
import pytest

from tlcourse.exercises import (
    Hint,
    check_confident_mistakes,
    check_leaked,
    check_recall_and_precision,
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


def measures(c, *, nan=np.nan):
    columns = c.sum(axis=0)
    return (np.diag(c) / c.sum(axis=1), np.where(columns, np.diag(c) / np.maximum(columns, 1), nan))


def mistakes(p, y, k, sign=-1):
    wrong = np.flatnonzero(p.argmax(axis=1) != y)
    return wrong[np.argsort(sign * p[wrong].max(axis=1))][:k]


def within(p, y, k):
    wrong = np.flatnonzero(p.argmax(axis=1) != y)
    return np.argsort(-p[wrong].max(axis=1))[:k]


WRONG = [
    (check_leaked, stub, "no answer yet"),
    (check_leaked, lambda a, b: sorted(set(a) & set(b)), "not names"),
    (check_leaked, lambda a, b: leaked(a, b, shapes=False), "another shape"),
    (check_leaked, lambda a, b: [], "under other names"),
    (check_leaked, lambda a, b: ["b.png"], "names in the test set"),
    (check_leaked, lambda a, b: leaked(a, b)[::-1], "sort"),
    (check_leaked, lambda a, b: ["z.png"], "wanted is"),
    (check_recall_and_precision, stub, "no answer yet"),
    (check_recall_and_precision, lambda c: measures(c)[0], "two arrays"),
    (check_recall_and_precision, lambda c: measures(c)[::-1], "exchanged"),
    (check_recall_and_precision, lambda c: (np.diag(c) / c.sum(), measures(c)[1]), "row sums"),
    (check_recall_and_precision, lambda c: measures(c, nan=0.0), "NaN"),
    (check_recall_and_precision, lambda c: (measures(c)[0], measures(c)[1] / 2), "column sums"),
    (check_confident_mistakes, stub, "no answer yet"),
    (check_confident_mistakes, lambda p, y, k: np.argsort(-p.max(axis=1))[:k], "wrong ones only"),
    (check_confident_mistakes, lambda p, y, k: mistakes(p, y, k, 1), "turn the order"),
    (check_confident_mistakes, lambda p, y, k: mistakes(p, y, 9), "k is 3"),
    (check_confident_mistakes, within, "whole set"),
    (check_confident_mistakes, lambda p, y, k: mistakes(p, y, k)[[1, 0, 2]], "wanted are"),
    (check_confident_mistakes, lambda p, y, k: mistakes(p, y, 3), "four mistakes only"),
]


@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_wrong_answers_get_the_right_hint(check, answer, hint):
    with pytest.raises(Hint, match=hint):
        check(answer)


def test_right_answers_pass():
    check_leaked(leaked)
    check_recall_and_precision(measures)
    check_confident_mistakes(mistakes)
