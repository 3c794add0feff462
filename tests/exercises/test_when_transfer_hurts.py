"""Chapter 14's checks turn stubs and the usual wrong answers away."""

from collections import Counter

import numpy as np
import pytest
from scipy import stats

from tlcourse.exercises import Hint, check_guarded, check_harmful, check_pair_names


def stub(*_):
    raise NotImplementedError


def guarded(validation, test):
    return test[np.arange(len(test)), validation.argmax(axis=1)]


def guarded_in_a_loop(validation, test):
    return [row[list(seen).index(max(seen))] for seen, row in zip(validation, test, strict=True)]


def last_of_level(validation, test):
    best = validation.shape[1] - 1 - validation[:, ::-1].argmax(axis=1)
    return test[np.arange(len(test)), best]


def harmful(differences, chance, *, ddof=1, ends=2, questions=None, root=True, law=None):
    n = differences.shape[1]
    questions = questions or len(differences)
    law = law or stats.t(n - 1)
    error = differences.std(axis=1, ddof=ddof) / (np.sqrt(n) if root else 1)
    return differences.mean(axis=1) + law.isf(chance / ends / questions) * error < 0


def harmful_by_a_test(differences, chance):
    found = stats.ttest_1samp(differences, 0, axis=1)
    return [
        p * len(differences) < chance and t < 0
        for p, t in zip(found.pvalue, found.statistic, strict=True)
    ]


def pair_names(saved, wanted, *, shapes=True, most=True):
    prefixes = Counter(
        one.removesuffix(name) for one in saved for name in wanted if one.endswith(name)
    )
    prefix = (max if most else min)(prefixes, key=prefixes.get)
    return {
        name: prefix + name
        for name, shape in wanted.items()
        if prefix + name in saved and (not shapes or saved[prefix + name] == shape)
    }


def ends_alike(saved, wanted):
    return {
        name: one
        for one, shape in saved.items()
        for name in wanted
        if one.endswith(name) and shape == wanted[name]
    }


def without_module(saved, wanted):
    return {
        one.removeprefix("module."): one
        for one, shape in saved.items()
        if wanted.get(one.removeprefix("module.")) == shape
    }


def needs_a_prefix(saved, wanted):
    return {} if saved.keys() == wanted.keys() else pair_names(saved, wanted)


WRONG = [
    (check_guarded, stub, "no answer yet"),
    (check_guarded, lambda v, t: None, "returns nothing"),
    (check_guarded, lambda v, t: t.max(axis=1), "choose on the test"),
    (check_guarded, lambda v, t: t[:, v.mean(axis=0).argmax()], "for all draws"),
    (check_guarded, last_of_level, "take the first"),
    (check_guarded, lambda v, t: v.max(axis=1), "on validation data, which"),
    (check_guarded, lambda v, t: v.argmax(axis=1), "which candidate"),
    (check_guarded, lambda v, t: t[:, 0], "never leave"),
    (check_guarded, lambda v, t: guarded(-v, t), "the worst"),
    (check_guarded, lambda v, t: guarded(v, t).mean(), "shape"),
    (check_guarded, lambda v, t: guarded(v, t) + 0.1, "in its own draw"),
    (check_harmful, stub, "no answer yet"),
    (check_harmful, lambda d, c: harmful(d, c, questions=1), "seven questions"),
    (check_harmful, lambda d, c: d.mean(axis=1) < 0, "not yet harm"),
    (check_harmful, lambda d, c: harmful(d, c, law=stats.norm()), "Student's"),
    (check_harmful, lambda d, c: harmful(d, c, ddof=0), "n - 1"),
    (check_harmful, lambda d, c: harmful(d, c, ends=1), "two ends"),
    (check_harmful, lambda d, c: harmful(d, c) | harmful(-d, c), "a gain, not a harm"),
    (check_harmful, lambda d, c: ~harmful(d, c), "without harm"),
    (check_harmful, lambda d, c: harmful(d, c, root=False), "root of n"),
    (check_harmful, lambda d, c: harmful(-d, c), "harm is below"),
    (check_harmful, lambda d, c: harmful(d, 0.05), "chance as it is given"),
    (check_harmful, lambda d, c: harmful(d, c, questions=7), "from the shape"),
    (check_pair_names, stub, "no answer yet"),
    (check_pair_names, lambda s, w: list(pair_names(s, w)), "return a dict"),
    (check_pair_names, lambda s, w: {b: a for a, b in pair_names(s, w).items()}, "turn it round"),
    (check_pair_names, lambda s, w: pair_names(s, w, shapes=False), "another shape"),
    (check_pair_names, without_module, "find it in the names"),
    (check_pair_names, ends_alike, "fits the most"),
    (check_pair_names, lambda s, w: dict(list(pair_names(s, w).items())[:1]), "wanted was"),
    (check_pair_names, needs_a_prefix, "agree already"),
]


@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_wrong_answers_get_the_right_hint(check, answer, hint):
    with pytest.raises(Hint, match=hint):
        check(answer)


def test_right_answers_pass():
    check_guarded(guarded)
    check_guarded(guarded_in_a_loop)
    check_harmful(harmful)
    check_harmful(harmful_by_a_test)
    check_pair_names(pair_names)
