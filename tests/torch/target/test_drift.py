"""Streams: tests come before updates, recalibration ignores labels, the memory is fair."""

import numpy as np
import pytest
import torch

import tlcourse.torch as tl
from tlcourse.data import Domain, load
from tlcourse.data.perturbing import drifting
from tlcourse.torch.target.drift import Replay, follow_stream, recalibrate

DIGITS = load("handwritten-digits", n=500)


def numbered(n=60, offset=0):
    rows = (offset + np.arange(n, dtype=np.float32))[:, None]
    return Domain("numbers", rows, np.arange(n) % 2, ("even", "odd"))


@pytest.fixture(scope="module")
def trained():
    net = tl.TransferModel(tl.backbone("small-cnn", weights="letters"), 10)
    tl.linear_probe(net, DIGITS.subset(np.arange(200)))
    return net.state_dict()


@pytest.fixture
def model(trained):
    net = tl.TransferModel(tl.backbone("small-cnn"), 10)
    net.load_state_dict(trained)
    return net.eval()


@pytest.fixture(scope="module")
def nightfall():
    fresh = DIGITS.subset(np.arange(200, 500))
    return drifting(fresh, 3, lambda images, time: 0.5 * time + images * (1 - 0.9 * time), seed=0)


def test_each_part_is_tested_before_the_model_learns_from_it():
    class Memoriser(torch.nn.Module):
        """Knows the rows that it was shown."""

        def __init__(self):
            super().__init__()
            self.known = set()

        def forward(self, rows):
            known = [row in self.known for row in rows[:, 0].tolist()]
            odd = rows[:, 0] % 2
            right = torch.stack([1 - odd, odd], dim=1)
            return torch.where(torch.tensor(known)[:, None], right, 1 - right)

    def update(net, part):
        net.known.update(part.inputs[:, 0].tolist())

    stream = [numbered(10), numbered(10, 10), numbered(10)]
    found = follow_stream(Memoriser(), stream, update)
    assert [each.accuracy for each in found] == [0, 0, 1]


def test_recalibration_keeps_up_with_the_dark_and_moves_no_parameter(model, nightfall):
    still = [each.accuracy for each in follow_stream(model, nightfall)]
    before = {name: p.clone() for name, p in model.named_parameters()}
    followed = [each.accuracy for each in follow_stream(model, nightfall * 2, recalibrate)]
    assert followed[0] == still[0] > 0.9
    recalibrate(model, nightfall[-1])
    assert tl.evaluate(model, nightfall[-1]).accuracy > still[-1] + 0.2
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_recalibration_does_not_look_at_labels(model, trained, nightfall):
    part = nightfall[-1]
    recalibrate(model, part)
    right = model.backbone.body.block1.norm.running_mean.clone()
    model.load_state_dict(trained)
    recalibrate(model, Domain("turned", part.inputs, 9 - part.labels, part.class_names))
    assert torch.equal(model.backbone.body.block1.norm.running_mean, right)


def test_the_memory_holds_each_example_with_the_same_chance():
    chosen = np.zeros(90)
    for seed in range(200):
        replay = Replay(10, past=numbered(50), seed=seed)
        replay._remember(numbered(40, 50))
        rows = replay.memory.inputs[:, 0].astype(int)
        assert len(set(rows)) == 10
        chosen[rows] += 1
    # 200 draws of 10 of 90: 22 each, standard deviation below 5
    assert abs(chosen[:50].mean() - 22.2) < 2 and abs(chosen[50:].mean() - 22.2) < 2
    assert chosen.min() > 5


def test_replay_trains_half_on_the_memory(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "tlcourse.torch.target.drift.fit",
        lambda model, train, **options: seen.append((train, options)),
    )
    replay = Replay(30, past=numbered(50), steps=7)
    replay(None, numbered(20, 100))
    train, options = seen[0]
    assert options == {"seed": 0, "steps": 7} and len(train) == 40
    assert (train.inputs[:20] >= 100).all() and (train.inputs[20:] < 50).all()
    np.testing.assert_array_equal(train.inputs[:, 0] % 2, train.labels)
    alone = Replay(0, past=numbered(50))
    alone(None, numbered(20, 100))
    assert len(seen[1][0]) == 20 and alone.memory is None


def test_replay_forgets_less(trained, nightfall):
    accuracies = []
    day, night = DIGITS.subset(np.arange(200)), nightfall[-1]
    few = night.subset(np.flatnonzero(night.labels < 5))  # only five classes at night
    for size in (0, 200):
        net = tl.TransferModel(tl.backbone("small-cnn"), 10)
        net.load_state_dict(trained)
        Replay(size, past=day, steps=40, lr=3e-3)(net, few)
        accuracies.append(tl.evaluate(net, nightfall[0]).accuracy)
    assert accuracies[1] > accuracies[0] + 0.1


@pytest.mark.parametrize(
    ("make", "error", "reason"),
    [
        (lambda: follow_stream(torch.nn.Identity(), []), ValueError, "stream is empty"),
        (lambda: follow_stream(torch.nn.Identity(), [3]), TypeError, "stream holds a int"),
        (lambda: Replay(-1), ValueError, "size is -1"),
        (lambda: Replay(5, steps=0), ValueError, "steps is 0"),
        (
            lambda: Replay(5, past=numbered())(None, DIGITS),
            ValueError,
            "a stream keeps its classes",
        ),
    ],
)
def test_bad_arguments_are_refused(make, error, reason):
    with pytest.raises(error, match=reason):
        make()
