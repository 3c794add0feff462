"""Pruning: the smallest weights go, and what is pruned stays exactly zero through training."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import tlcourse.torch as tl
from tlcourse.data import Domain


def pictures():
    """Draw a random image domain of 3 classes."""
    rng = np.random.default_rng(0)
    return Domain(
        "noise", rng.random((24, 32, 32, 1), dtype=np.float32), np.arange(24) % 3, ("a", "b", "c")
    )


def small_model(seed=0):
    """Make a small-cnn with a head."""
    return tl.TransferModel(tl.backbone("small-cnn", seed=seed), 3, seed=seed)


def test_mask_removes_the_smallest_weights_of_all_layers_together():
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    net[0].weight.data = torch.tensor([[0.1, -5.0], [0.3, -0.2]])
    net[2].weight.data = torch.tensor([[-0.15, 4.0]])
    mask = tl.prune_mask(net, 0.5)
    assert {name: keep.tolist() for name, keep in mask.items()} == {
        "0.weight": [[False, True], [True, False]],
        "2.weight": [[False, True]],
    }


@pytest.mark.parametrize("sparsity", [0.0, 0.33, 0.9])
def test_exactly_the_asked_share_is_pruned_and_never_the_head(sparsity):
    mask = tl.prune_mask(small_model(), sparsity)
    assert set(mask) == {f"backbone.body.block{b}.conv.weight" for b in (1, 2, 3, 4)}
    keep = np.concatenate([part.ravel() for part in mask.values()])
    assert (~keep).sum() == round(sparsity * len(keep))


def test_equal_weights_are_pruned_in_the_exact_number():
    net = nn.Linear(10, 10)
    nn.init.ones_(net.weight)
    (keep,) = tl.prune_mask(nn.Sequential(net), 0.25).values()
    assert (~keep).sum() == 25


def assert_exactly_sparse(model, mask):
    """Check that all pruned weights are exactly zero and the others are not."""
    parameters = dict(model.named_parameters())
    for name, keep in mask.items():
        assert np.array_equal(parameters[name].detach().numpy() != 0, keep), name


def test_pruned_weights_are_exactly_zero_after_training_although_all_others_moved():
    model, start = small_model(), small_model()
    mask = tl.prune_mask(model, 0.8)
    tl.prune(model, mask)
    assert_exactly_sparse(model, mask)
    tl.fit(
        model, pictures(), pictures(), epochs=3, batch_size=8, lr=1e-2, weight_decay=0.1, patience=2
    )
    assert_exactly_sparse(model, mask)
    name = "backbone.body.block2.conv.weight"
    moved = model.state_dict()[name] != start.state_dict()[name]
    assert moved[torch.from_numpy(mask[name])].all()


def test_copies_stay_pruned_in_training_too():
    model = small_model()
    mask = tl.prune_mask(model, 0.8)
    twin = copy.deepcopy(tl.prune(model, mask))
    tl.fit(model, pictures(), steps=2)  # its own gradient hook is set by now
    third = copy.deepcopy(model)
    for copied in (twin, third):
        tl.fit(copied, pictures(), steps=3, lr=1e-2)
        assert_exactly_sparse(copied, mask)


def test_a_mask_goes_on_fresh_parameters_and_names_stay():
    source = small_model()
    mask = tl.prune_mask(source, 0.7)
    fresh = tl.prune(tl.fresh_copy(source, seed=9), mask)
    assert_exactly_sparse(fresh, mask)
    assert fresh.state_dict().keys() == source.state_dict().keys()
    kept = torch.from_numpy(mask["backbone.body.block4.conv.weight"])
    weights = [m.backbone.body.block4.conv.weight[kept] for m in (source, fresh)]
    assert not torch.equal(*weights)


def test_a_loaded_checkpoint_is_pruned_before_it_computes():
    model = small_model()
    mask = tl.prune_mask(model, 0.7)
    tl.prune(model, mask).load_state_dict(small_model(seed=1).state_dict())
    tl.predict(model, pictures().inputs)
    assert_exactly_sparse(model, mask)


def test_a_frozen_and_then_unfrozen_layer_stays_pruned():
    model = small_model()
    mask = tl.prune_mask(model, 0.6)
    tl.prune(tl.freeze(model, "backbone"), mask)
    tl.fit(model, pictures(), steps=2)
    tl.fine_tune(model, pictures(), steps=3, lr=1e-2)
    assert_exactly_sparse(model, mask)


def test_misuse_is_refused():
    with pytest.raises(ValueError, match=r"sparsity is 1; it must be in \[0, 1\)"):
        tl.prune_mask(small_model(), 1)
    with pytest.raises(ValueError, match="no linear or convolution layer"):
        tl.prune_mask(nn.Sequential(nn.BatchNorm1d(3)), 0.5)
    mask = tl.prune_mask(small_model(), 0.5)
    with pytest.raises(ValueError, match="in the model it is missing"):
        tl.prune(tl.TransferModel(tl.backbone("small-resnet"), 3), mask)
    with pytest.raises(ValueError, match=r"has shape \(2, 2\), but in the model it is \(3, 128\)"):
        tl.prune(small_model(), {"head.weight": np.ones((2, 2), dtype=bool)})
