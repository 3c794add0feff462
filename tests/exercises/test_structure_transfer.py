"""Chapter 7's checks turn stubs and the usual wrong answers away."""

import numpy as np
import pytest
from scipy.special import log_softmax

from tlcourse.exercises import Hint, check_magnitude_mask, check_soft_loss, check_widen


def stub(*_):
    raise NotImplementedError


def mask_by(weights, sparsity, key=np.abs):
    values = np.sort(np.concatenate([key(w).ravel() for w in weights.values()]))
    limit = values[round(sparsity * len(values))]
    return {name: key(w) >= limit for name, w in weights.items()}


def by_layer(weights, sparsity):
    return {name: mask_by({name: w}, sparsity)[name] for name, w in weights.items()}


def soft(student, teacher, temperature, scale=None):
    p, q = log_softmax(teacher / temperature, 1), log_softmax(student / temperature, 1)
    return (temperature**2 if scale is None else scale) * (np.exp(p) * (p - q)).sum(1).mean()


def naive(student, teacher, temperature):
    p, q = (np.exp(x / temperature) for x in (teacher, student))
    p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
    return temperature**2 * (p * np.log(p / q)).sum(1).mean()


WRONG = [
    (check_widen, stub, "no answer yet"),
    (check_widen, lambda a, b, o: (a[o], b[:, o]), "counted twice"),
    (check_widen, lambda a, b, o: (a[o], b[:, o] / 2), "how often"),
    (check_widen, lambda a, b, o: (a[o] / 2, b[:, o]), "unchanged copy"),
    (check_widen, lambda a, b, o: (a[o], b), "six hidden units"),
    (check_widen, lambda a, b, o: a[o], "two matrices"),
    (check_magnitude_mask, stub, "no answer yet"),
    (check_magnitude_mask, by_layer, "every layer"),
    (
        check_magnitude_mask,
        lambda w, s: {name: ~keep for name, keep in mask_by(w, s).items()},
        "keep the small",
    ),
    (check_magnitude_mask, lambda w, s: mask_by(w, s, key=np.asarray), "nearest to zero"),
    (check_magnitude_mask, lambda w, s: mask_by(w, 0.5), "exactly 20"),
    (check_magnitude_mask, lambda w, s: {n: 1.0 * m for n, m in mask_by(w, s).items()}, "boolean"),
    (check_soft_loss, stub, "no answer yet"),
    (check_soft_loss, lambda s, t, c: soft(s, t, c, scale=1), r"temperature \*\* 2"),
    (check_soft_loss, lambda s, t, c: soft(t, s, c), "swapped"),
    (check_soft_loss, lambda s, t, c: soft(s, t, c) * len(s), "not the sum"),
    (check_soft_loss, lambda s, t, c: soft(s, t, 1, scale=c**2), "before the softmax"),
    (check_soft_loss, naive, "overflow"),
]


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value", "ignore:divide by zero")
@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_wrong_answers_get_the_right_hint(check, answer, hint):
    with pytest.raises(Hint, match=hint):
        check(answer)
