"""The training loop: what learns, for how long, with which batches, rates and random numbers."""

import copy

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn
from torch.nn import functional as F

import tlcourse.torch as tl
from tlcourse.data import Domain
from tlcourse.torch.training import make_optimiser


def rows(n=40, d=5, k=3, seed=0):
    """Draw rows whose class is told by one column."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % k
    inputs = rng.normal(size=(n, d)).astype(np.float32)
    inputs[:, 0] += 3 * labels
    return Domain("rows", inputs, labels, tuple("abcdef"[:k]))


def perceptron(seed=0, k=3):
    """Make a small net with BatchNorm and dropout."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, k)
        )


class Batches:
    """A loss that keeps the size of each batch it sees."""

    def __init__(self):
        self.sizes = []

    def __call__(self, logits, labels):
        """Compute cross-entropy."""
        self.sizes.append(len(labels))
        return F.cross_entropy(logits, labels)


def test_training_learns_and_reports():
    model = perceptron()
    history = tl.fit(model, rows(), rows(seed=1), epochs=30, lr=1e-2)
    assert tl.evaluate(model, rows(seed=2)).accuracy > 0.7
    assert len(history.loss) == len(history.validation_loss) == 30
    assert history.loss[-1] < history.loss[0] / 2
    final = tl.evaluate(model, rows(seed=1))
    assert history.validation_loss[-1] == final.log_loss
    assert history.validation_accuracy[-1] == final.accuracy
    assert history.trained_parameters == 5 * 8 + 8 + 16 + 8 * 3 + 3
    assert history.best_epoch is None
    assert not model.training


@pytest.mark.parametrize(
    ("n", "batch_size", "sizes"),
    [(33, 32, [16, 17]), (40, 16, [13, 13, 14]), (32, 32, [32]), (5, 32, [5])],
)
def test_batches_are_equal_but_for_one_and_no_example_stays_alone(n, batch_size, sizes):
    seen = Batches()
    tl.fit(perceptron(), rows(n), epochs=1, batch_size=batch_size, loss=seen)
    assert sorted(seen.sizes) == sizes


def test_every_example_is_seen_once_in_an_epoch():
    seen = []
    domain = rows(17)
    numbered = domain.with_inputs(np.arange(17 * 5, dtype=np.float32).reshape(17, 5))
    tl.fit(
        perceptron(),
        numbered,
        epochs=2,
        batch_size=4,
        augment=lambda inputs: seen.append(inputs[:, 0].clone()) or inputs,
    )
    order = torch.cat(seen) / 5
    assert order[:17].sort().values.tolist() == order[17:].sort().values.tolist() == list(range(17))
    assert order[:17].tolist() != order[17:].tolist()


@pytest.mark.parametrize("steps", [1, 3, 7, 10])
def test_steps_are_exact(steps):
    seen = Batches()
    history = tl.fit(perceptron(), rows(), steps=steps, batch_size=16, loss=seen)
    assert history.steps == len(seen.sizes) == steps


def test_optimiser_gets_only_what_learns():
    model = tl.freeze(perceptron(), "0")
    optimiser, _ = make_optimiser(model, 1e-3, 0.01, 10)
    given = {id(p) for group in optimiser.param_groups for p in group["params"]}
    assert given == {id(p) for name, p in model.named_parameters() if not name.startswith("0.")}


def test_rates_by_glob_peak_where_asked_and_the_first_match_counts():
    model = perceptron()
    optimiser, schedule = make_optimiser(model, {"4.bias": 0.5, "4.*": 0.2, "*": 0.1}, 0.03, 100)
    rates = []
    for _ in range(100):
        rates.append([group["lr"] for group in optimiser.param_groups])
        optimiser.step()
        if len(rates) < 100:
            schedule.step()
    assert_allclose(np.max(rates, axis=0), [0.5, 0.2, 0.1], rtol=1e-3)
    assert_allclose(np.array(rates)[:, 0] / np.array(rates)[:, 2], 5, rtol=1e-6)
    assert rates[-1][0] < 0.001 < rates[0][0] < 0.05
    assert [len(group["params"]) for group in optimiser.param_groups] == [1, 1, 4]
    assert all(group["weight_decay"] == 0.03 for group in optimiser.param_groups)


def test_early_stopping_restores_the_best_weights_and_buffers():
    model, seen = perceptron(), []
    train, validation = rows(12), rows(30, seed=3)
    flipped = Domain("wrong", validation.inputs, (validation.labels + 1) % 3, ("a", "b", "c"))

    def keep(net):
        seen.append(copy.deepcopy(net.state_dict()))
        return torch.zeros(())

    history = tl.fit(model, train, flipped, epochs=60, patience=4, lr=1e-2, penalty=keep)
    best = int(np.argmin(history.validation_loss))
    assert history.best_epoch == best
    assert len(history.loss) == best + 5 < 60
    restored = model.state_dict()  # the next epoch's first penalty saw these weights
    assert all(
        torch.equal(restored[name], tensor)
        for name, tensor in seen[best + 1].items()
        if "running" not in name and "tracked" not in name
    )
    assert tl.evaluate(model, flipped).log_loss == history.validation_loss[best]


def test_divergence_is_told():
    with pytest.raises(tl.DivergedError, match="the loss is nan after 3 updates; lower lr"):
        tl.fit(
            perceptron(),
            rows(),
            steps=3,
            batch_size=16,
            loss=lambda logits, labels: F.cross_entropy(logits, labels) * float("nan"),
        )


def test_same_seed_same_bits_and_the_global_state_is_left_alone():
    torch.manual_seed(5)
    np.random.seed(5)
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    finals = []
    for seed in (1, 1, 2):
        model = perceptron()
        tl.fit(model, rows(), epochs=3, batch_size=8, seed=seed)
        finals.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
        torch.rand(3)
        torch.set_rng_state(state)
    assert torch.equal(finals[0], finals[1])
    assert not torch.equal(finals[0], finals[2])
    tl.fit(perceptron(), rows(), epochs=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)


def test_global_state_does_not_reach_the_training():
    finals = []
    for global_seed in (1, 2):
        model = perceptron()
        torch.manual_seed(global_seed)
        tl.fit(model, rows(), epochs=2)
        finals.append(model[0].weight.detach().clone())
    assert torch.equal(*finals)


def test_penalty_is_added_to_the_loss():
    model = perceptron()
    tl.fit(
        model,
        rows(),
        epochs=60,
        lr=1e-2,
        weight_decay=0.0,
        penalty=lambda net: 100 * net[4].weight.square().sum(),
    )
    assert model[4].weight.abs().max() < 0.05


def test_predict_keeps_the_mode_and_does_not_depend_on_batches():
    model, inputs = perceptron(), rows().inputs
    for mode in (True, False):
        model.train(mode)
        whole = tl.predict(model, inputs)
        model[3].training = True  # Monte Carlo dropout, say
        tl.predict(model, inputs)
        assert model.training is model[1].training is mode
        assert model[3].training
        assert_allclose(tl.predict(model, inputs, batch_size=7), whole, atol=1e-6)
    assert whole.dtype == np.float32
    assert_allclose(whole, model.eval()(torch.from_numpy(inputs)).detach(), atol=1e-6)


def test_predict_takes_read_only_and_memory_mapped_inputs(tmp_path):
    np.save(tmp_path / "inputs.npy", rows().inputs)
    mapped = np.load(tmp_path / "inputs.npy", mmap_mode="r")
    assert_allclose(tl.predict(perceptron(), mapped), tl.predict(perceptron(), rows().inputs))


def test_features_are_what_the_head_sees():
    model = tl.TransferModel(tl.backbone("small-cnn"), 3)
    images = np.random.default_rng(0).random((5, 32, 32, 1), dtype=np.float32)
    features = tl.extract_features(model, images)
    assert features.shape == (5, 128)
    assert np.array_equal(features, tl.extract_features(model.backbone, images))
    head = model.head
    logits = features @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    assert_allclose(tl.predict(model, images), logits, atol=1e-5)


def test_layers_that_work_in_place_do_not_reach_the_callers_array():
    inputs = -np.ones((3, 5), dtype=np.float32)
    tl.predict(nn.ReLU(inplace=True), inputs)
    assert (inputs == -1).all()


def test_images_are_transposed_not_reshaped():
    spy = nn.Identity()
    image = np.zeros((1, 4, 6, 3), dtype=np.float32)
    image[0, 1, 2] = (0.1, 0.5, 0.9)
    seen = tl.predict(spy, image)
    assert seen.shape == (1, 3, 4, 6)
    assert_allclose(seen[0, :, 1, 2], (0.1, 0.5, 0.9))


BAD = [
    ({"epochs": 0}, ValueError, "epochs is 0; it must be an integer >= 1"),
    ({"steps": 2.5}, ValueError, "steps is 2.5"),
    ({"batch_size": 0}, ValueError, "batch_size is 0"),
    ({"patience": 2}, ValueError, "patience is 2, but there is no validation set"),
    ({"lr": 0}, ValueError, "lr is 0; rates must be > 0"),
    ({"lr": {"0.*": 1e-3}}, ValueError, "has no rate for the parameter '1.weight'"),
    ({"lr": {"*": 1e-3, "heed.*": 1e-3}}, ValueError, "pattern 'heed.\\*' matches none"),
    ({"train": 3}, TypeError, "train is a int; give a tlcourse.data.Domain"),
    ({"validation": 3}, TypeError, "validation is a int"),
    ({"train": rows().subset([])}, ValueError, "train has no examples"),
    ({"model": len}, TypeError, "give a torch.nn.Module"),
    ({"model": tl.freeze(perceptron(), "*")}, ValueError, "all are frozen; unfreeze some first"),
    ({"device": "quantum"}, ValueError, "device is 'quantum', which cannot be used here"),
]


@pytest.mark.parametrize(("wrong", "error", "message"), BAD, ids=[message for *_, message in BAD])
def test_bad_arguments_are_refused(wrong, error, message):
    arguments = {"model": perceptron(), "train": rows()} | wrong
    with pytest.raises(error, match=message):
        tl.fit(**arguments)


@pytest.mark.parametrize("inputs", [np.zeros((0, 5)), np.zeros(5), np.zeros((2, 3, 4))])
def test_predict_refuses_other_shapes(inputs):
    with pytest.raises(ValueError, match="give at least one image"):
        tl.predict(perceptron(), inputs)
