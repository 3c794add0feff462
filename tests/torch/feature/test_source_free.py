"""Adaptation without the source: what moves, what stays, what the prior does, what is refused."""

import copy

import numpy as np
import pytest
import torch

import tlcourse.torch as tl
from tlcourse import data

DIGITS = data.load("handwritten-digits", n=300)


@pytest.fixture(scope="module")
def trained():
    model = tl.TransferModel(tl.backbone("small-cnn", weights="letters"), 10)
    tl.fit(model, data.load("rendered-digits", n=600), steps=60, lr=3e-3, device="cpu")
    return model


def adapted(trained, **options):
    model = copy.deepcopy(trained)
    options = {"steps": 40, "device": "cpu"} | options
    return model, tl.adapt_source_free(model, DIGITS.inputs, **options)


def test_the_head_stays_the_backbone_moves_and_both_can_learn_afterwards(trained):
    model, history = adapted(trained)
    assert torch.equal(model.head.weight, trained.head.weight)
    pairs = zip(model.backbone.parameters(), trained.backbone.parameters(), strict=True)
    assert not any(torch.equal(a, b) for a, b in pairs)
    assert all(p.requires_grad for p in model.parameters()) and not model.training
    assert history.steps == 40 and len(history.loss) == 10 and history.distance == [0] * 10
    assert history.loss[-1] < history.loss[0]


def test_it_helps_and_sees_no_label(trained):
    before = tl.evaluate(trained, DIGITS, device="cpu").accuracy
    model, _ = adapted(trained, steps=80)
    assert tl.evaluate(model, DIGITS, device="cpu").accuracy > before + 0.05
    with pytest.raises(TypeError, match=r"give target\.inputs: adaptation must not see"):
        tl.adapt_source_free(model, DIGITS)


def test_answers_follow_the_prior(trained):
    """Told that zeros are rare, the net answers zero less often than told that they are not."""
    rare, common = np.ones(10), np.ones(10)
    rare[0], common[0] = 0.1, 10
    shares = [
        (
            tl.predict(adapted(trained, prior=q)[0], DIGITS.inputs, device="cpu").argmax(1) == 0
        ).mean()
        for q in (rare, common)
    ]
    assert shares[0] < shares[1]
    scaled, plain = (adapted(trained, prior=q, steps=4)[0] for q in (3 * np.ones(10), None))
    torch.testing.assert_close(*(m.backbone.body.block1.conv.weight for m in (scaled, plain)))


def test_agreement_needs_changed_pictures_and_counts(trained):
    with pytest.raises(ValueError, match="agreement is 1.0, but nothing changes the pictures"):
        adapted(trained, agreement=1.0)
    _, history = adapted(trained, agreement=1.0, augment=tl.strokes_augmentation())
    assert min(history.distance) > 0


def test_statistics_are_those_of_the_target_at_the_end(trained):
    model, _ = adapted(trained)
    again = tl.adapt_batchnorm(copy.deepcopy(model), DIGITS.inputs, device="cpu")
    for (name, one), (_, other) in zip(model.named_buffers(), again.named_buffers(), strict=True):
        torch.testing.assert_close(one, other, msg=name)


def test_a_norm_without_running_statistics_needs_none(trained):
    model = copy.deepcopy(trained)
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.track_running_stats, layer.running_mean, layer.running_var = False, None, None
    assert tl.adapt_source_free(model, DIGITS.inputs, steps=2, device="cpu").steps == 2


def test_the_same_seed_gives_the_same_net(trained):
    one, other, third = (adapted(trained, steps=4, seed=s)[0] for s in (0, 0, 1))
    weights = [m.backbone.body.block4.conv.weight for m in (one, other, third)]
    assert torch.equal(*weights[:2]) and not torch.equal(*weights[1:])


def test_what_was_frozen_stays_frozen(trained):
    model = tl.freeze(copy.deepcopy(trained), "backbone.body.block1")
    tl.adapt_source_free(model, DIGITS.inputs, steps=4, device="cpu")
    one, other = (m.backbone.body.block1.conv.weight for m in (model, trained))
    assert torch.equal(one, other) and not one.requires_grad


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"prior": [1, 2]}, "give 10 numbers above 0"),
        ({"prior": [0] + [1] * 9}, "give 10 numbers above 0"),
        ({"agreement": -1}, "agreement is -1"),
        ({"steps": 1}, "steps is 1; it must be an integer >= 2"),
        ({"batch_size": 1}, "batch_size is 1"),
    ],
)
def test_bad_numbers_are_refused(trained, options, reason):
    with pytest.raises(ValueError, match=reason):
        adapted(trained, **options)


def test_a_model_without_head_and_too_few_inputs_are_refused(trained):
    with pytest.raises(TypeError, match="model is a Linear; give a TransferModel"):
        tl.adapt_source_free(torch.nn.Linear(2, 2), DIGITS.inputs)
    with pytest.raises(ValueError, match="target_inputs has 1 rows"):
        tl.adapt_source_free(trained, DIGITS.inputs[:1])


# ---- at test time


def normed(seed=0):
    """A net small enough for finite differences: BatchNorm between two linear layers, float64."""
    torch.manual_seed(seed)
    layers = torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Tanh(), torch.nn.Linear(4, 3)
    net = torch.nn.Sequential(*layers).eval()
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([0.7, 1.3, 1.1, 0.9]))
        net[1].bias.copy_(torch.tensor([0.2, -0.1, 0.3, 0.0]))
    return net


STREAM = np.random.default_rng(0).normal(size=(24, 3)).astype(np.float32) + 1


def entropy_by_hand(net, rows, change=None):
    """Mean entropy of the answers, each batch normalised by itself, in NumPy's float64."""
    weights = [p.detach().double().numpy().copy() for p in net.parameters()]
    if change is not None:
        place, entry, step = change
        weights[place][entry] += step
    first, shift, gamma, beta, second, last = weights
    hidden = rows @ first.T + shift
    hidden = (hidden - hidden.mean(0)) / np.sqrt(hidden.var(0) + 1e-5) * gamma + beta
    logits = np.tanh(hidden) @ second.T + last
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return -(p * np.log(p)).sum(axis=1).mean(), logits


def test_tents_first_update_is_adams_on_the_entropy_by_finite_differences():
    net = normed()
    before = [p.detach().clone() for p in net.parameters()]
    slopes = {
        place: np.array(
            [
                (
                    entropy_by_hand(net, STREAM, (place, entry, 1e-4))[0]
                    - entropy_by_hand(net, STREAM, (place, entry, -1e-4))[0]
                )
                / 2e-4
                for entry in range(4)
            ]
        )
        for place in (2, 3)  # gamma and beta
    }
    tl.tent(net, STREAM, lr=0.01, batch_size=24, device="cpu")
    for place, (old, new) in enumerate(zip(before, net.parameters(), strict=True)):
        moved = (new.detach() - old).numpy()
        slope = slopes.get(place, np.zeros_like(moved))
        assert place not in slopes or np.abs(slope).min() > 1e-5
        np.testing.assert_allclose(moved, -0.01 * slope / (np.abs(slope) + 1e-8), atol=2e-5)


def test_tent_answers_a_batch_before_it_learns_from_it():
    net = normed()
    expected = entropy_by_hand(net, STREAM[:12])[1]
    answers = tl.tent(net, STREAM, batch_size=12, lr=0.1, device="cpu")
    np.testing.assert_allclose(answers[:12], expected, atol=1e-4)
    unlearned = entropy_by_hand(normed(), STREAM[12:])[1]
    assert np.abs(answers[12:] - unlearned).max() > 0.05
    assert answers.shape == (24, 3)


def test_tent_leaves_no_trace_but_scales_shifts_and_statistics(trained):
    model = tl.freeze(copy.deepcopy(trained), "head")
    learns = {name: p.requires_grad for name, p in model.named_parameters()}
    before = copy.deepcopy(model.state_dict())
    tl.tent(model, DIGITS.inputs, lr=0.01, device="cpu")
    changed = {n for n, value in model.state_dict().items() if not torch.equal(value, before[n])}
    assert changed and all(".norm." in name for name in changed)
    assert {name: p.requires_grad for name, p in model.named_parameters()} == learns
    assert not model.training and not any(layer.training for layer in model.modules())


def test_tent_drops_nothing_out_and_keeps_batches_of_nearly_equal_size():
    sizes = []

    class Sized(torch.nn.Dropout):
        def forward(self, rows):
            sizes.append(len(rows))
            assert not self.training
            return super().forward(rows)

    net = torch.nn.Sequential(normed(), Sized(0.5))
    assert tl.tent(net, STREAM[:17], batch_size=8, device="cpu").shape == (17, 3)
    assert sizes == [6, 6, 5]


def test_tent_says_when_answers_are_lost():
    net = normed()
    with torch.no_grad():
        net[3].weight.fill_(torch.inf)
    with pytest.raises(tl.DivergedError, match="lower lr"):
        tl.tent(net, STREAM, device="cpu")
