"""Property tests: copies copy what they say and leave the source, grown nets compute the same."""

import copy
from itertools import pairwise

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from torch import nn

import tlcourse.torch as tl

few = settings(max_examples=12, deadline=None, derandomize=True, database=None)
seeds = st.integers(0, 2**31)


def perceptron(widths, *, seed, norm=True):
    """Make linear layers with BatchNorm and ReLU, all numbers random, in evaluation mode."""
    torch.manual_seed(seed)
    layers = []
    for inside, outside in pairwise(widths):
        layers += [nn.Linear(inside, outside), *[nn.BatchNorm1d(outside)] * norm, nn.ReLU()]
    net = nn.Sequential(*layers, nn.Linear(widths[-1], 3))
    for tensor in [*net.parameters(), *net.buffers()]:
        if tensor.is_floating_point():
            tensor.data.uniform_(0.2, 1.5).mul_(1 if tensor.ndim < 2 else 0.5)
    return net.eval()


def convolutions(channels, *, seed):
    """Make 3x3 convolutions with BatchNorm and ReLU, an average and a head."""
    torch.manual_seed(seed)
    layers = []
    for inside, outside in zip((2, *channels[:-1]), channels, strict=True):
        layers += [nn.Conv2d(inside, outside, 3, padding=1), nn.BatchNorm2d(outside), nn.ReLU()]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels[-1], 3)]
    return nn.Sequential(*layers).eval()


def bits(net):
    """Keep every number of a net, and its modes."""
    modes = {name: module.training for name, module in net.named_modules()}
    return copy.deepcopy(net.state_dict()), modes


def assert_untouched(net, kept):
    state, modes = kept
    assert net.state_dict().keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in net.state_dict().items())
    assert modes == {name: module.training for name, module in net.named_modules()}


def shares_memory(first, second):
    return {t.data_ptr() for t in first.state_dict().values() if t.numel()} & {
        t.data_ptr() for t in second.state_dict().values() if t.numel()
    }


widths = st.lists(st.integers(2, 7), min_size=2, max_size=4)


@few
@given(widths, st.data(), seeds)
def test_copy_first_copies_the_first_bit_for_bit_starts_the_rest_and_leaves_the_source(
    widths, data, seed
):
    source = perceptron(widths, seed=seed % 1000)
    kept, parts = bits(source), list(tl.layers(source).values())
    k = data.draw(st.integers(0, len(parts)))
    mixed, fresh = tl.copy_first(source, k, seed=seed), tl.fresh_copy(source, seed=seed)
    assert_untouched(source, kept)
    assert not shares_memory(source, mixed)
    copied = {name for members in parts[:k] for name in members}
    for name, tensor in mixed.state_dict().items():
        wanted = source if name.rpartition(".")[0] in copied else fresh
        assert torch.equal(tensor, wanted.state_dict()[name]), name


@few
@given(widths, seeds)
def test_a_fresh_copy_has_the_shapes_and_none_of_the_numbers(widths, seed):
    source = perceptron(widths, seed=seed % 1000)
    kept, state = bits(source), torch.get_rng_state()
    fresh, again = tl.fresh_copy(source, seed=seed), tl.fresh_copy(source, seed=seed)
    assert torch.equal(torch.get_rng_state(), state)
    assert_untouched(source, kept)
    assert not shares_memory(source, fresh)
    for name, tensor in source.state_dict().items():
        assert fresh.state_dict()[name].shape == tensor.shape
        assert torch.equal(fresh.state_dict()[name], again.state_dict()[name])
        if tensor.is_floating_point():
            assert not (fresh.state_dict()[name] == tensor).any(), name


@settings(few, max_examples=4)
@given(st.sampled_from(["block1", "block2", "block3", "block4"]), seeds)
def test_a_cut_net_computes_what_the_layer_did_and_shares_nothing(block, seed):
    model = tl.TransferModel(tl.backbone("small-cnn", seed=seed), 3)
    images = np.random.default_rng(seed).random((3, 32, 32, 1), dtype=np.float32)
    kept, layer = bits(model), f"backbone.body.{block}"
    shorter = tl.cut(model, layer)
    assert_untouched(model, kept)
    assert not shares_memory(model, shorter)
    wanted = tl.layer_features(model, images, [layer])[layer]
    assert_allclose(tl.predict(shorter, images), wanted, atol=1e-6)
    assert shorter.feature_dim == wanted.shape[1]


@few
@given(widths, st.data(), seeds)
def test_wider_and_deeper_perceptrons_compute_the_same(widths, data, seed):
    net = perceptron(widths, seed=seed % 1000)
    kept = bits(net)
    layer = data.draw(st.integers(0, len(widths) - 2))
    more = data.draw(st.integers(1, 2 * widths[layer + 1] + 3))
    rows = torch.randn(9, widths[0], generator=torch.Generator().manual_seed(seed))
    wanted = net(rows).detach()
    wide = tl.widen(net, str(3 * layer), widths[layer + 1] + more, seed=seed)
    deep = tl.deepen(wide, str(3 * layer + 2), rows.numpy() if data.draw(st.booleans()) else None)
    for grown in (wide, deep):
        scale = wanted.abs().max().item() + 1
        assert_allclose(grown(rows).detach(), wanted, atol=1e-5 * scale)
    assert_untouched(net, kept)
    assert wide[3 * layer].out_features == widths[layer + 1] + more


@few
@given(st.lists(st.integers(1, 5), min_size=1, max_size=3), st.data(), seeds)
def test_wider_and_deeper_convolution_nets_compute_the_same(channels, data, seed):
    net = convolutions(channels, seed=seed % 1000)
    layer = data.draw(st.integers(0, len(channels) - 1))
    width = channels[layer] + data.draw(st.integers(1, 9))
    images = torch.rand(3, 2, 5, 5, generator=torch.Generator().manual_seed(seed))
    wide = tl.widen(net, str(3 * layer), width, seed=seed)
    deep = tl.deepen(wide, str(3 * layer + 2))
    for grown in (wide, deep):
        assert_allclose(grown(images).detach(), net(images).detach(), atol=1e-5)
        # the statistics of a batch are those of the copies too
        assert_allclose(
            copy.deepcopy(grown).train()(images).detach(),
            copy.deepcopy(net).train()(images).detach(),
            atol=1e-4,
        )


@few
@given(widths, st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True), seeds)
def test_masks_have_the_asked_sparsity_and_grow_with_it(widths, low, high, seed):
    low, high = sorted((low, high))
    net = perceptron(widths, seed=seed % 1000)
    kept = bits(net)
    masks = [tl.prune_mask(net, sparsity) for sparsity in (low, high)]
    assert_untouched(net, kept)
    weights = {name: p.detach().numpy() for name, p in net.named_parameters() if p.ndim == 2}
    total = sum(weight.size for weight in weights.values())
    for mask, sparsity in zip(masks, (low, high), strict=True):
        assert {name: keep.shape for name, keep in mask.items()} == {
            name: weight.shape for name, weight in weights.items()
        }
        assert sum((~keep).sum() for keep in mask.values()) == round(sparsity * total)
        kept_sizes = [abs(weights[name][keep]) for name, keep in mask.items()]
        lost_sizes = [abs(weights[name][~keep]) for name, keep in mask.items()]
        smallest = min(sizes.min(initial=np.inf) for sizes in kept_sizes)
        assert max(sizes.max(initial=0) for sizes in lost_sizes) <= smallest
    assert all((masks[0][name] | ~keep).all() for name, keep in masks[1].items())
    for mask in masks:
        tl.prune(net, mask)
    for name, keep in masks[1].items():
        assert_allclose(net.get_parameter(name).detach(), weights[name] * keep, atol=0)
