"""Net2Net: wider and deeper nets compute what the net computed before."""

import copy

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

import tlcourse.torch as tl
from tlcourse.data import Domain


def trained(net="small-cnn"):
    """Train a net for a few steps, so that BatchNorm's statistics are not at their start."""
    rng = np.random.default_rng(0)
    size, channels = (32, 1) if net == "small-cnn" else (64, 3)
    inputs = rng.random((16, size, size, channels), dtype=np.float32)
    model = tl.TransferModel(tl.backbone(net, seed=1), 3, seed=1)
    tl.fit(model, Domain("noise", inputs, np.arange(16) % 3, ("a", "b", "c")), steps=4, lr=1e-2)
    return model, inputs


def perceptron():
    """Make the rows' counterpart: linear layers with BatchNorm and dropout."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)
    ).eval()


@pytest.mark.parametrize(
    ("net", "layer", "width"),
    [
        ("small-cnn", "block1.conv", 17),
        ("small-cnn", "block3.conv", 150),
        ("small-cnn", "block4.conv", 130),  # read by the head behind pooling
        ("small-resnet", "block2.conv1", 100),
        ("small-resnet", "stem.conv", 20),
    ],  # read by a block and by its shortcut
)
def test_wider_nets_compute_the_same(net, layer, width):
    model, inputs = trained(net)
    kept = copy.deepcopy(model.state_dict())
    wide = tl.widen(model, f"backbone.body.{layer}", width, seed=2)
    assert wide.get_submodule(f"backbone.body.{layer}").out_channels == width
    assert_allclose(tl.predict(wide, inputs), tl.predict(model, inputs), atol=1e-5)
    images = torch.from_numpy(inputs).permute(0, 3, 1, 2)
    assert_allclose(wide.train()(images).detach(), model.train()(images).detach(), atol=1e-5)
    assert model.get_submodule(f"backbone.body.{layer}").weight.shape[0] < width
    assert all(tensor.shape == model.state_dict()[name].shape for name, tensor in kept.items())


def test_widening_in_a_row_and_linear_layers():
    net = perceptron()
    wide = tl.widen(tl.widen(net, "0", 11), "3", 9, seed=1)
    rows = torch.randn(20, 4)
    assert [wide[i].out_features for i in (0, 3, 5)] == [11, 9, 3]
    assert_allclose(wide(rows).detach(), net(rows).detach(), atol=1e-5)


def test_flattened_maps_are_split_by_channel():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 4 * 4, 2))
    wide = tl.widen(net, "0", 8)
    images = torch.rand(5, 1, 6, 6)
    assert wide[3].in_features == 8 * 16
    assert_allclose(wide(images).detach(), net(images).detach(), atol=1e-5)


def test_a_wider_net_learns_and_frozen_layers_stay_frozen():
    model, inputs = trained()
    tl.freeze(model, "backbone.body.block1")
    wide = tl.widen(model, "backbone.body.block1.conv", 20)
    assert not wide.backbone.body.block1.conv.weight.requires_grad
    before = copy.deepcopy(wide.backbone.body.block1.state_dict())
    tl.fit(wide, Domain("noise", inputs, np.arange(16) % 3, ("a", "b", "c")), steps=3)
    now = wide.backbone.body.block1.state_dict()
    assert all(torch.equal(now[name], tensor) for name, tensor in before.items())


def test_the_seed_decides_which_units_are_copied_and_the_noise():
    net = perceptron()
    usual, first, again, other = (
        tl.widen(net, "0", 30, noise=0.1, **options)[0].weight.detach()
        for options in ({}, {"seed": 0}, {"seed": 0}, {"seed": 1})
    )
    assert torch.equal(first, again) and torch.equal(first, usual)
    plain = [tl.widen(net, "0", 30, seed=seed)[0].weight.detach()[6:] for seed in (0, 1)]
    assert not torch.equal(*plain)
    noise = [wide[6:] - copied for wide, copied in zip((first, other), plain, strict=True)]
    assert not torch.allclose(*noise)
    assert_allclose(noise[0].std(), 0.1 * net[0].weight.detach().std(), rtol=0.3)


def test_noise_tells_copies_apart_and_only_them():
    net = perceptron()
    plain, noisy = tl.widen(net, "0", 12), tl.widen(net, "0", 12, noise=0.01)
    assert torch.equal(plain[0].weight[:6], noisy[0].weight[:6])
    assert (plain[0].weight[6:] != noisy[0].weight[6:]).all()
    assert (plain[0].weight - noisy[0].weight).abs().max() < 0.05 * net[0].weight.std()


@pytest.mark.parametrize("layer", ["block1.conv2", "block1.shortcut.conv"])
def test_a_layer_that_a_sum_reads_is_refused(layer):
    model, _ = trained("small-resnet")
    with pytest.raises(ValueError, match="cannot be widened alone: its output goes into 'add'"):
        tl.widen(model, f"backbone.body.{layer}", 200)


def test_a_reader_that_is_used_twice_is_refused():
    square = nn.Linear(4, 4)
    net = nn.Sequential(nn.Linear(3, 4), square, nn.ReLU(), square)
    with pytest.raises(ValueError, match="'1' is used 2 times in this net"):
        tl.widen(net, "0", 6)


def test_widening_refuses_bad_names_and_widths():
    net = perceptron()
    with pytest.raises(ValueError, match="layer is '1'; the linear and ungrouped convolution lay"):
        tl.widen(net, "1", 9)
    with pytest.raises(ValueError, match="width is 6; '0' has 6 units, so give an integer > 6"):
        tl.widen(net, "0", 6)
    with pytest.raises(ValueError, match="'5' cannot be widened alone: its output goes into 'out"):
        tl.widen(net, "5", 9)


@pytest.mark.parametrize("with_norm", [False, True])
@pytest.mark.parametrize("block", [1, 3])
def test_deeper_nets_compute_the_same(block, with_norm):
    model, inputs = trained()
    deep = tl.deepen(model, f"backbone.body.block{block}.relu", inputs if with_norm else None)
    assert_allclose(tl.predict(deep, inputs), tl.predict(model, inputs), atol=1e-5)
    fresh = np.random.default_rng(7).random((8, 32, 32, 1), dtype=np.float32)
    assert_allclose(tl.predict(deep, fresh), tl.predict(model, fresh), atol=1e-5)
    width = model.get_submodule(f"backbone.body.block{block}.conv").out_channels
    added = 9 * width**2 + width + 2 * width * with_norm
    assert tl.count_parameters(deep) == tl.count_parameters(model) + added


def test_the_new_batchnorm_hardly_changes_training_mode():
    model, inputs = trained()
    tl.freeze(model, "*")  # so that only the new BatchNorm uses the batch's statistics
    deep = tl.deepen(model, "backbone.body.block2.relu", inputs).train()
    images = torch.from_numpy(inputs).permute(0, 3, 1, 2)
    assert deep.backbone.body.block2.relu[2].training
    assert_allclose(deep(images).detach(), model(images).detach(), atol=1e-4)


def test_deeper_perceptrons_compute_the_same_and_learn():
    net = perceptron()
    rows = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    deep = tl.deepen(net, "2", rows)
    assert_allclose(tl.predict(deep, rows), tl.predict(net, rows), atol=1e-5)
    start = deep[2][1].weight.detach().clone()
    tl.fit(deep, Domain("rows", rows, np.arange(30) % 3, tuple("abc")), steps=3)
    assert not torch.equal(deep[2][1].weight, start)


def test_deepening_refuses_what_is_no_relu_of_its_own():
    with pytest.raises(ValueError, match="activation is '4'; the ReLU layers are 2"):
        tl.deepen(perceptron(), "4")
    net = tl.backbone("resnet18", size=32)  # its blocks use one ReLU twice
    with pytest.raises(ValueError, match=r"'body.layer1.0.relu' is used 2 times"):
        tl.deepen(net, "body.layer1.0.relu")
