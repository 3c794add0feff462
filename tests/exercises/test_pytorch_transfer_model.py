"""Chapter 11's checks turn stubs and the usual wrong answers away."""

import copy
import math

import pytest
from torch import nn

from tlcourse.exercises import (
    Hint,
    check_output_size,
    check_rehead,
    check_share_copied,
    check_two_rates,
)


def stub(*_):
    raise NotImplementedError


def try_rehead(answer):
    check_rehead(answer, nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4)))


def try_two_rates(answer):
    model = nn.ModuleDict({"backbone": nn.Linear(6, 5), "head": nn.Linear(5, 4)})
    model.backbone, model.head = model["backbone"], model["head"]
    check_two_rates(answer, model)


def groups(model, extractor_rate, head_rate):
    return [
        {"params": model.backbone.parameters(), "lr": extractor_rate},
        {"params": list(model.head.parameters()), "lr": head_rate},
    ]


def size(n, kernel, stride=1, padding=0):
    return (n + 2 * padding - kernel) // stride + 1


def rehead(model, k):
    new = copy.deepcopy(model)
    new[-1] = nn.Linear(model[-1].in_features, k)
    return new


def in_place(model, k):
    model[-1] = nn.Linear(5, k)
    return model


def fits(source, target, shape=True):
    return [
        name
        for name, array in target.items()
        if name in source and (not shape or source[name].shape == array.shape)
    ]


def share(source, target):
    return sum(target[n].size for n in fits(source, target)) / sum(a.size for a in target.values())


def of_names(source, target):
    found = fits(source, target, shape=False)
    return sum(target[n].size for n in found) / sum(a.size for a in target.values())


WRONG = [
    (check_output_size, stub, "no answer yet"),
    (check_output_size, lambda n, k, s=1, p=0: (n + p - k) // s + 1, "both sides"),
    (check_output_size, lambda n, k, s=1, p=0: (n + 2 * p - k) // s, "padding 1 keeps"),
    (check_output_size, lambda n, k, s=1, p=0: math.ceil((n + 2 * p - k) / s) + 1, "round down"),
    (try_rehead, stub, "no answer yet"),
    (try_rehead, in_place, "was changed"),
    (try_rehead, lambda m, k: nn.Sequential(*m, nn.Linear(4, k)), "takes 4"),
    (try_rehead, lambda m, k: copy.deepcopy(m), "7 outputs"),
    (try_rehead, lambda m, k: nn.Sequential(*list(m)[:-1], nn.Linear(5, k)), "share"),
    (
        try_rehead,
        lambda m, k: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, k)),
        "other parameters",
    ),
    (check_share_copied, stub, "no answer yet"),
    (check_share_copied, of_names, "another shape"),
    (check_share_copied, lambda s, t: len(fits(s, t)) / len(t), "share of arrays"),
    (check_share_copied, lambda s, t: 30 / sum(a.size for a in s.values()), "size of the source"),
    (check_share_copied, lambda s, t: share(s, t) if s else 1.0, "source is empty"),
    (check_share_copied, lambda s, t: None, "returns nothing"),
    (try_rehead, lambda m, k: None, "returns nothing"),
    (try_two_rates, stub, "no answer yet"),
    (try_two_rates, lambda m, h, r: None, "returns nothing"),
    (try_two_rates, lambda m, h, r: (r * h, h), "list of dicts"),
    (try_two_rates, lambda m, h, r: [{"params": m.head.parameters()}], '"lr"'),
    (try_two_rates, lambda m, h, r: groups(m, h, r * h), "should have rate"),
    (try_two_rates, lambda m, h, r: groups(m, r, h), "the ratio is not the rate"),
    (try_two_rates, lambda m, h, r: groups(m, 0.1 * h, h), "should have rate"),
    (try_two_rates, lambda m, h, r: groups(m, r * h, h)[1:], "extractor are in no group"),
    (try_two_rates, lambda m, h, r: groups(m, r * h, h)[:1], "head are in no group"),
    (
        try_two_rates,
        lambda m, h, r: [{"params": m.parameters(), "lr": r * h}, groups(m, h, h)[1]],
        "in two groups",
    ),
]


@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_wrong_answers_get_the_right_hint(check, answer, hint):
    with pytest.raises(Hint, match=hint):
        check(answer)


def test_right_answers_pass():
    check_output_size(size)
    try_rehead(rehead)
    check_share_copied(share)
    try_two_rates(lambda m, h, r: groups(m, r * h, h))
    try_two_rates(
        lambda m, h, r: [
            {"params": [one], "lr": rate}
            for part, rate in ((m.head, h), (m.backbone, r * h))
            for one in part.parameters()
        ]
    )


def test_the_sizes_are_those_of_the_layers():
    torch = pytest.importorskip("torch")
    for n, kernel, stride, padding in [
        (32, 3, 1, 1),
        (32, 2, 2, 0),
        (7, 3, 1, 0),
        (224, 7, 2, 3),
        (7, 2, 2, 0),
    ]:
        layer = nn.Conv2d(1, 1, kernel, stride, padding)
        assert layer(torch.zeros(1, 1, n, n)).shape[2] == size(n, kernel, stride, padding)
