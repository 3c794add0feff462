"""Fine-tuning by each method, and the linear probe against scikit-learn."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tlcourse.torch as tl
from tlcourse.data import Domain
from tlcourse.torch import transfer

BLOCKS = tuple(f"backbone.body.block{b}" for b in (1, 2, 3, 4))


def pictures(n=24, k=3, seed=0):
    """Draw a random image domain, brighter with its class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % k
    inputs = rng.random((n, 32, 32, 1), dtype=np.float32) * 0.6
    inputs += (0.4 * labels / k).astype(np.float32)[:, None, None, None]
    return Domain("grey", inputs, labels, tuple("abcdef"[:k]))


def small_model(k=3):
    """Make a small-cnn with a head."""
    return tl.TransferModel(tl.backbone("small-cnn", seed=1), k)


def changed(model, before):
    """Name the layers in which any parameter or buffer changed by a bit."""
    names = {name for name, t in model.state_dict().items() if not torch.equal(t, before[name])}
    return {
        layer for layer in tl.layer_names(model) for name in names if name.startswith(f"{layer}.")
    }


@pytest.fixture
def phases(monkeypatch):
    """Record of each call of `fit`: what was trained, for how long, and what it changed."""
    calls, real = [], transfer.DOOR.fit

    def spy(model, *domains, **options):
        before = copy.deepcopy(model.state_dict())
        history = real(model, *domains, **options)
        calls.append((changed(model, before), options))
        return history

    monkeypatch.setattr(transfer, "DOOR", replace(transfer.DOOR, fit=spy))
    return calls


@pytest.mark.parametrize(
    ("options", "layers"),
    [
        ({"method": "full"}, {*BLOCKS, "head"}),
        ({"method": "last", "last": 1}, {"head"}),
        ({"method": "last", "last": 3}, {*BLOCKS[2:], "head"}),
        ({"method": "lp-ft"}, {*BLOCKS, "head"}),
        ({"method": "head"}, {"head"}),
    ],
)
def test_each_method_changes_its_layers_and_no_others(options, layers):
    model = small_model()
    tl.freeze(model, "backbone.body.block3")  # an earlier choice does not linger
    before = copy.deepcopy(model.state_dict())
    history = tl.fine_tune(model, pictures(), steps=4, lr=1e-2, **options)
    assert changed(model, before) == layers
    assert history.steps == 4
    assert not any(module.training for module in model.modules())
    assert history.trained_parameters == sum(
        tl.count_parameters(model.get_submodule(layer)) for layer in layers
    )


def test_gradual_phases_really_freeze(phases):
    model = small_model()
    history = tl.fine_tune(model, pictures(), method="gradual", steps=12, lr=1e-2, seed=5)
    assert [layers for layers, _ in phases] == [
        {"head", *BLOCKS[4 - phase :]} for phase in range(5)
    ]
    assert [options["steps"] for _, options in phases] == [3, 3, 2, 2, 2]
    assert len({options["seed"] for _, options in phases}) == 5
    assert history.steps == 12
    assert history.trained_parameters == tl.count_parameters(model)


def test_gradual_has_the_same_budget_as_full_and_joins_the_histories():
    histories = [
        tl.fine_tune(small_model(), pictures(), pictures(9), method=method, epochs=10, batch_size=8)
        for method in ("full", "gradual")
    ]
    assert histories[0].steps == histories[1].steps == 30
    gradual = histories[1]
    assert len(gradual.loss) == len(gradual.validation_loss) == len(gradual.validation_accuracy)
    assert gradual.seconds > 0


def test_gradual_early_stopping_counts_epochs_over_all_phases():
    model, validation = small_model(), pictures(9, seed=1)
    history = tl.fine_tune(
        model, pictures(), validation, method="gradual", epochs=15, patience=2, lr=1e-2
    )
    assert_allclose(
        tl.evaluate(model, validation).log_loss,
        history.validation_loss[history.best_epoch],
        rtol=1e-6,
    )


def test_head_computes_features_once_and_of_a_still_backbone():
    model, seen = small_model(), []
    model.backbone.body.register_forward_hook(lambda _m, inputs, _o: seen.append(len(inputs[0])))
    before = copy.deepcopy(model.backbone.state_dict())
    history = tl.fine_tune(model, pictures(24), pictures(9), method="head", epochs=7)
    assert sum(seen) == 24 + 9
    assert len(history.validation_loss) == 7
    assert history.trained_parameters == 128 * 3 + 3
    after = model.backbone.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_head_is_the_same_as_training_with_a_frozen_backbone():
    fast, slow = small_model(), tl.freeze(small_model(), "backbone")
    tl.fine_tune(fast, pictures(), method="head", epochs=5, seed=2)
    tl.fit(slow, pictures(), epochs=5, seed=2)
    assert_allclose(fast.head.weight.detach(), slow.head.weight.detach(), atol=1e-5)


def test_lp_ft_starts_from_the_probe():
    probed, tuned = small_model(), small_model()
    tl.linear_probe(probed, pictures())
    tl.fine_tune(tuned, pictures(), method="lp-ft", steps=1, lr=1e-12, weight_decay=0.0)
    assert_allclose(tuned.head.weight.detach(), probed.head.weight.detach(), atol=1e-6)
    assert all(p.requires_grad for p in tuned.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"method": "magic"},
            "method is 'magic'; it must be one of full, head, last, gradual, lp-ft",
        ),
        ({"method": "last"}, "last is None and method 'last'"),
        ({"last": 2}, "last is 2 and method 'full'"),
        ({"method": "last", "last": 9}, "this net has 5 layers"),
        ({"method": "gradual", "steps": 4}, "4 updates are too few for 5 phases"),
        ({"method": "head", "augment": abs}, "augment needs the images of each epoch anew"),
        ({"method": "gradual", "epochs": 0}, "epochs is 0"),
        ({"method": "gradual", "batch_size": 0}, "batch_size is 0"),
    ],
)
def test_misuse_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        tl.fine_tune(small_model(), pictures(), **options)


@pytest.mark.parametrize("c", [0.1, 1.0])
@pytest.mark.parametrize("k", [2, 4])
def test_probe_has_scikit_learns_probabilities(k, c):
    model, train, test = small_model(k), pictures(40, k), pictures(15, k, seed=1)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=2000))
    pipeline.fit(tl.extract_features(model, train.inputs), train.labels)
    tl.linear_probe(model, train, c=c)
    features = tl.extract_features(model, test.inputs)
    logits = tl.predict(model, test.inputs)
    ours = torch.softmax(torch.from_numpy(logits), dim=1)
    assert_allclose(ours, pipeline.predict_proba(features), atol=1e-4)
    scores = pipeline.decision_function(features)
    if k == 2:  # scikit-learn gives one number, the difference
        assert_allclose(logits[:, 1] - logits[:, 0], scores, rtol=1e-3, atol=1e-3)
    else:
        assert_allclose(logits, scores, rtol=1e-3, atol=1e-3)


def test_probe_freezes_the_backbone_and_changes_nothing_in_it():
    model = small_model()
    before = copy.deepcopy(model.backbone.state_dict())
    assert tl.linear_probe(model, pictures()) is model
    assert not model.training
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {
        "head.weight",
        "head.bias",
    }
    after = model.backbone.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_probe_refuses_a_class_without_example_and_a_strength_of_zero():
    train = pictures(24)
    with pytest.raises(ValueError, match="train has no example of class 'b'"):
        tl.linear_probe(small_model(), train.subset(train.labels != 1))
    with pytest.raises(ValueError, match="c is 0; give a finite number > 0"):
        tl.linear_probe(small_model(), train, c=0)
    with pytest.raises(ValueError, match="model has 4 outputs, but train has 3 classes"):
        tl.linear_probe(small_model(4), train)
