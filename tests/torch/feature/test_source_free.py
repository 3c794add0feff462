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
