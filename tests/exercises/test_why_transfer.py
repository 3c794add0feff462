"""Chapter 1's checks turn stubs and the usual wrong answers away, and take right ones."""

import numpy as np
import pytest
import torch

from tlcourse.exercises import (
    Hint,
    check_is_finished,
    check_labels_needed,
    check_paired_interval,
    check_prototype_logits,
)


def stub(*_):
    raise NotImplementedError


def needed(budgets, accuracies, level):
    return min((b for b, a in zip(budgets, accuracies, strict=True) if a >= level), default=None)


def paired(a, b):
    return (a - b).mean(), (a - b).std(ddof=1) / len(a) ** 0.5


def unpaired(a, b):
    return (a - b).mean(), np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / len(a))


def distances(features, labels, queries, classes=None):
    classes = np.unique(labels) if classes is None else classes
    means = np.stack([features[labels == c].mean(axis=0) for c in classes])
    return ((queries[:, None] - means) ** 2).sum(axis=2)


def finished(once, twice):
    return abs(np.mean(twice) - np.mean(once)) < np.std(once, ddof=1)


WRONG = [
    (check_labels_needed, stub, "no answer yet"),
    (check_labels_needed, lambda b, a, v: b[[x > v for x in a].index(True)], ">="),
    (
        check_labels_needed,
        lambda b, a, v: next(x for x, y in zip(b, a, strict=True) if y >= v),
        "StopIteration",
    ),
    (
        check_labels_needed,
        lambda b, a, v: next((x for x, y in zip(b, a, strict=True) if y >= v), b[-1]),
        "None",
    ),
    (
        check_labels_needed,
        lambda b, a, v: next((x for x, y in zip(b, a, strict=True) if y >= v), None),
        "any order",
    ),
    (check_labels_needed, lambda b, a, v: None, "two labels are enough"),
    (check_paired_interval, stub, "no answer yet"),
    (check_paired_interval, lambda a, b: None, "returns nothing"),
    (check_paired_interval, lambda a, b: (a - b).mean(), "two numbers"),
    (check_paired_interval, lambda a, b: paired(b, a), "turned round"),
    (check_paired_interval, lambda a, b: (abs(a - b).mean(), 0.1), "leave the signs"),
    (check_paired_interval, unpaired, "take the differences first"),
    (check_paired_interval, lambda a, b: ((a - b).mean(), (a - b).std(ddof=1)), r"sqrt\(n\)"),
    (check_paired_interval, lambda a, b: ((a - b).mean(), (a - b).std() / 8**0.5), "ddof=1"),
    (check_paired_interval, lambda a, b: (paired(a, b)[0], paired(a, b)[1] ** 2), "its root"),
    (check_paired_interval, lambda a, b: (a.max() - b.max(), 0.1), "draw by draw"),
    (check_prototype_logits, stub, "no answer yet"),
    (check_prototype_logits, distances, "turn the sign round"),
    (check_prototype_logits, lambda f, y, q: -distances(f, y, q).T, r"\(50, 3\)"),
    (check_prototype_logits, lambda f, y, q: -distances(f[:, :1], y, q[:, :1]), "all features"),
    (check_prototype_logits, lambda f, y, q: -np.sqrt(distances(f, y, q)), "square the distances"),
    (check_prototype_logits, lambda f, y, q: -distances(f, y, q) / 4, "sum over all features"),
    (
        check_prototype_logits,
        lambda f, y, q: -distances(f, y, q, list(dict.fromkeys(y.tolist()))),
        "column c belongs to class c",
    ),
    (
        check_prototype_logits,
        lambda f, y, q: (q**2).sum(axis=1, keepdims=True) - distances(f, y, q),
        "query's own squares",
    ),
    (check_is_finished, stub, "no answer yet"),
    (check_is_finished, lambda a, b: abs(b.mean() - a.mean()), "True or False"),
    (check_is_finished, lambda a, b: b.mean() - a.mean() < a.std(ddof=1), "absolute value"),
    (check_is_finished, lambda a, b: abs(b.mean() - a.mean()) < a.std(), "ddof=1"),
    (check_is_finished, lambda a, b: abs(b.mean() - a.mean()) < b.std(ddof=1), "shorter run"),
    (check_is_finished, lambda a, b: max(abs(b - a)) < a.std(ddof=1), "single draws"),
    (
        check_is_finished,
        lambda a, b: abs(b.mean() - a.mean()) < max(a.std(ddof=1) / len(a) ** 0.5, 0.05),
        "not that of their mean|shorter run|ddof=1",
    ),
    (check_is_finished, lambda a, b: True, "more than the spread"),
]


@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_wrong_answers_get_the_right_hint(check, answer, hint):
    with pytest.raises(Hint, match=hint):
        check(answer)


def expanded(features, labels, queries):
    """Prototype logits from the expanded square, as a tensor."""
    features, queries = torch.tensor(features), torch.tensor(queries)
    means = torch.stack([features[torch.tensor(labels) == c].mean(0) for c in range(3)])
    cross = queries @ means.T
    return 2 * cross - (queries**2).sum(1, keepdim=True) - (means**2).sum(1)


def in_place(strategy, baseline):
    strategy -= baseline
    return [strategy.mean(), strategy.std(ddof=1) / np.sqrt(strategy.size)]


RIGHT = [
    (check_labels_needed, needed),
    (check_paired_interval, paired),
    (check_paired_interval, in_place),
    (check_paired_interval, lambda a, b: np.array(paired(a, b))),
    (check_prototype_logits, lambda f, y, q: -distances(f, y, q)),
    (check_prototype_logits, expanded),
    (check_prototype_logits, lambda f, y, q: (-distances(f, y, q)).tolist()),
    (check_is_finished, finished),
    (check_is_finished, lambda a, b: bool(finished(a, b))),
]


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_right_answers_pass_however_they_are_written(check, answer, capsys):
    check(answer)
    assert capsys.readouterr().out == "Right.\n"
