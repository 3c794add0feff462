"""Several tasks on one trunk: what is shared, what is not, and both are learnt."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.nn import functional as F

import tlcourse.torch as tl
from tlcourse.data import Domain


def two_tasks(n=48, seed=0):
    """Draw one set of images with two questions: bright or dark; and which third is brighter."""
    rng = np.random.default_rng(seed)
    bright, third = rng.integers(2, size=n), rng.integers(3, size=n)
    inputs = rng.random((n, 32, 32, 1), dtype=np.float32) * 0.3
    inputs += 0.3 * bright[:, None, None, None].astype(np.float32)
    for row, part in enumerate(third):
        inputs[row, :, 10 * part : 10 * part + 10] += 0.4
    return {
        "brightness": Domain("brightness", inputs, bright, ("dark", "bright")),
        "place": Domain("place", inputs[: n // 2], third[: n // 2], ("left", "middle", "right")),
    }


def trunk(seed=0):
    """Make a small-cnn with two heads."""
    return tl.SharedTrunk(
        tl.backbone("small-cnn", seed=seed), {"brightness": 2, "place": 3}, seed=seed
    )


def test_tasks_share_one_backbone_and_it_counts_once():
    model = trunk()
    assert model.tasks["brightness"].backbone is model.tasks["place"].backbone is model.backbone
    heads = (128 + 1) * (2 + 3)
    assert tl.count_parameters(model) == tl.count_parameters(model.backbone) + heads
    images = torch.rand(2, 1, 32, 32)
    outputs = model.eval()(images)
    assert {task: tuple(out.shape) for task, out in outputs.items()} == {
        "brightness": (2, 2),
        "place": (2, 3),
    }
    assert_allclose(outputs["place"].detach(), model.tasks["place"](images).detach(), rtol=1e-6)


def test_both_tasks_are_learnt():
    model = trunk()
    history = tl.fit_jointly(model, two_tasks(), steps=60, lr=3e-3, batch_size=16)
    for task, domain in two_tasks(90, seed=1).items():
        assert tl.evaluate(model.tasks[task], domain).accuracy > 0.9, task
    assert history.steps == len(history.loss) == 60
    assert history.trained_parameters == tl.count_parameters(model)
    assert not model.training


def test_first_update_sees_the_weighted_sum_of_both_losses():
    model, domains = trunk(), two_tasks()
    expected = 0
    for task, weight in (("brightness", 2.0), ("place", 0.5)):
        images = torch.from_numpy(domains[task].inputs).permute(0, 3, 1, 2)
        labels = torch.from_numpy(domains[task].labels)
        expected += weight * F.cross_entropy(trunk().train().tasks[task](images), labels).item()
    history = tl.fit_jointly(
        model, domains, steps=1, batch_size=48, weights={"brightness": 2.0, "place": 0.5}
    )
    assert_allclose(history.loss[0], expected, rtol=1e-5)


def test_same_seed_same_model_and_the_global_state_is_left_alone():
    state, results = torch.get_rng_state(), []
    for seed in (1, 1, 2):
        model = trunk()
        tl.fit_jointly(model, two_tasks(), steps=3, batch_size=8, seed=seed)
        results.append(model.tasks["place"].head.weight.detach())
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    assert torch.equal(torch.get_rng_state(), state)


def test_a_frozen_trunk_stays_still():
    model = tl.freeze(trunk(), "backbone")
    before = {name: tensor.clone() for name, tensor in model.backbone.state_dict().items()}
    tl.fit_jointly(model, two_tasks(), steps=3)
    now = model.backbone.state_dict()
    assert all(torch.equal(now[name], tensor) for name, tensor in before.items())


def test_misuse_is_refused():
    model, domains = trunk(), two_tasks()
    with pytest.raises(ValueError, match="trains has the tasks"):
        tl.fit_jointly(model, {"place": domains["place"]}, steps=2)
    with pytest.raises(ValueError, match="weights has the tasks"):
        tl.fit_jointly(model, domains, steps=2, weights={"place": 1.0})
    with pytest.raises(ValueError, match="its head needs at least one example and 3 classes"):
        tl.fit_jointly(model, domains | {"place": domains["brightness"]}, steps=2)
    with pytest.raises(ValueError, match="steps is 0"):
        tl.fit_jointly(model, domains, steps=0)
    with pytest.raises(ValueError, match="n_classes is empty"):
        tl.SharedTrunk(tl.backbone("small-cnn"), {})
    with pytest.raises(tl.DivergedError):
        tl.fit_jointly(model, domains, steps=3, weights={"brightness": np.inf, "place": 1.0})
