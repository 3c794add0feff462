"""Chapter 7's checks turn stubs and the usual wrong answers away."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from tlcourse.exercises import Hint, check_magnitude_mask, check_soft_loss, check_widen


def stub(*_):
    raise NotImplementedError


def uneven(first, second, origin):
    rank = np.array([(origin[: j + 1] == unit).sum() for j, unit in enumerate(origin)])
    return first[origin], second[:, origin] * rank / np.bincount(origin, rank)[origin]


def even(first, second, origin):
    return first[origin], (second / np.bincount(origin))[:, origin]


def padded(first, second, origin):
    return first[origin], np.hstack([second, np.zeros((2, 3))])


def only_first(first, second, origin):
    is_first = [unit not in origin[:j] for j, unit in enumerate(origin)]
    return first[origin], second[:, origin] * is_first


def turned(first, second, origin):
    wide, read = uneven(first, second, origin[::-1])
    return wide[::-1], read[:, ::-1]


def mask_by(weights, sparsity, least=0, key=np.abs, protect=True):
    """Prune by one order of all weights, those that a layer may keep last."""
    order = []
    for name, weight in weights.items():
        sizes = key(weight).ravel()
        floor = np.argsort(sizes)[len(sizes) - int(np.ceil(least * len(sizes))) :]
        kept = set(floor.tolist()) if protect else set()
        order += [(row in kept, size, name, row) for row, size in enumerate(sizes)]
    mask = {name: np.ones(weight.size, bool) for name, weight in weights.items()}
    for _, _, name, row in sorted(order)[: round(sparsity * len(order))]:
        mask[name][row] = False
    return {name: keep.reshape(weights[name].shape) for name, keep in mask.items()}


def by_layer(weights, sparsity, least):
    return {name: mask_by({name: w}, sparsity)[name] for name, w in weights.items()}


def too_few(weights, sparsity, least):
    plain = mask_by(weights, sparsity)
    floors = by_layer(weights, 1 - least, least)
    return {name: plain[name] | floors[name] for name in weights}


def soft(student, teacher, temperature, scale=None):
    p, q = log_softmax(teacher / temperature, 1), log_softmax(student / temperature, 1)
    return (temperature**2 if scale is None else scale) * (np.exp(p) * (p - q)).sum(1).mean()


def from_probabilities(p, q, temperature):
    return temperature**2 * (p * np.log(p / q)).sum(1).mean()


def naive(student, teacher, temperature):
    p, q = (np.exp(x / temperature) for x in (teacher, student))
    p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
    return from_probabilities(p, q, temperature)


def shifted(student, teacher, temperature, added=0.0):
    """Subtract the largest, but take the logarithm of a softmax that may be 0."""
    p, q = (np.exp(log_softmax(x / temperature, 1)) for x in (teacher, student))
    return temperature**2 * (p * (np.log(p + added) - np.log(q + added))).sum(1).mean()


WRONG = [
    (check_widen, stub, "no answer yet"),
    (check_widen, lambda a, b, o: (a[o], b[:, o]), "counted twice"),
    (check_widen, lambda a, b, o: (a[o], b[:, o] / 2), "add up to 1"),
    (check_widen, lambda a, b, o: (a[o] / 2, b[:, o]), "unchanged copy"),
    (check_widen, lambda a, b, o: (a[o], b), r"of shape \(2, 6\)"),
    (check_widen, lambda a, b, o: a[o], "two matrices"),
    (check_widen, lambda a, b, o: None, "does it end with `return"),
    (check_widen, padded, "something else"),
    (check_widen, only_first, "not read at all"),
    (check_widen, even, "stay copies"),
    (check_widen, turned, "1/6, 2/6 and 3/6"),
    (check_magnitude_mask, stub, "no answer yet"),
    (check_magnitude_mask, lambda w, s, k: None, "does it end with `return"),
    (check_magnitude_mask, lambda w, s, k: [*mask_by(w, s, k).values()], "return a dict"),
    (check_magnitude_mask, lambda w, s, k: mask_by(w, s, k)["small"], "return a dict"),
    (check_magnitude_mask, by_layer, "every layer"),
    (check_magnitude_mask, lambda w, s, k: mask_by(w, s), "keeps only"),
    (check_magnitude_mask, too_few, "exactly 20 go"),
    (
        check_magnitude_mask,
        lambda w, s, k: {name: ~keep for name, keep in mask_by(w, s, k).items()},
        "keep the small",
    ),
    (check_magnitude_mask, lambda w, s, k: mask_by(w, s, k, key=np.asarray), "nearest to zero"),
    (check_magnitude_mask, lambda w, s, k: mask_by(w, 0.5, 0.3), "exactly 20"),
    (check_magnitude_mask, lambda w, s, k: mask_by(w, s, 0.5), "'small' loses 15"),
    (
        check_magnitude_mask,
        lambda w, s, k: {n: 1.0 * m for n, m in mask_by(w, s, k).items()},
        "boolean",
    ),
    (check_soft_loss, stub, "no answer yet"),
    (check_soft_loss, lambda s, t, c: None, "does it end with `return"),
    (check_soft_loss, lambda s, t, c: soft(s, t, c) * np.ones(6), "one number"),
    (check_soft_loss, lambda s, t, c: soft(s, t, c, scale=1), r"temperature \*\* 2"),
    (check_soft_loss, lambda s, t, c: soft(t, s, c), "swapped"),
    (check_soft_loss, lambda s, t, c: soft(s, t, c) * len(s), "not the sum"),
    (check_soft_loss, lambda s, t, c: soft(s, t, 1, scale=c**2), "before the softmax"),
    (check_soft_loss, lambda s, t, c: soft(s, t, c) + 1, "wanted is"),
    (check_soft_loss, naive, "subtract the largest of each row first"),
    (check_soft_loss, shifted, "Take the logarithm by hand"),
    (check_soft_loss, lambda s, t, c: shifted(s, t, c, 1e-12), "small number added inside"),
]


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value", "ignore:divide by zero")
@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_wrong_answers_get_the_right_hint(check, answer, hint):
    with pytest.raises(Hint, match=hint):
        check(answer)


def widen_by_a_matrix(first, second, origin):
    """Write the copies as one sparse matrix, in PyTorch."""
    copies = torch.zeros(len(origin), len(first), dtype=torch.float64)
    seen = [0] * len(first)
    for row, unit in enumerate(origin):
        seen[unit] += 1
        copies[row, unit] = seen[unit]
    shares = copies / copies.sum(0)
    return [(copies > 0).double() @ torch.from_numpy(first), torch.from_numpy(second) @ shares.T]


def soft_in_torch(student, teacher, temperature):
    q, p = (torch.from_numpy(x / temperature).log_softmax(1) for x in (student, teacher))
    soft = torch.nn.functional.kl_div(q, p, log_target=True, reduction="batchmean")
    return temperature**2 * soft


RIGHT = [
    (check_widen, uneven),
    (check_widen, widen_by_a_matrix),
    (check_magnitude_mask, mask_by),
    (
        check_magnitude_mask,
        lambda w, s, k: {n: m.tolist() for n, m in reversed(mask_by(w, s, k).items())},
    ),
    (check_soft_loss, soft),
    (check_soft_loss, soft_in_torch),
]


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_right_answers_pass_however_they_are_written(check, answer, capsys):
    check(answer)
    assert capsys.readouterr().out == "Right.\n"
