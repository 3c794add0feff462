"""Property tests: what is copied, averaged or merged is exactly that, and nothing else moves."""

import copy
from itertools import pairwise

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from torch import nn

import tlcourse.torch as tl

few = settings(max_examples=15, deadline=None, derandomize=True, database=None)
seeds = st.integers(0, 2**31)
widths = st.lists(st.integers(1, 4), min_size=2, max_size=4)


def perceptron(widths, seed):
    """Make linear layers with BatchNorm, all numbers random."""
    torch.manual_seed(seed)
    layers = []
    for inside, outside in pairwise(widths):
        layers += [nn.Linear(inside, outside), nn.BatchNorm1d(outside), nn.ReLU()]
    net = nn.Sequential(*layers, nn.Linear(widths[-1], 2))
    for tensor in net.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
        else:
            tensor += seed % 7
    return net.eval()


def bits(net):
    return copy.deepcopy(net.state_dict())


@few
@given(widths, widths, seeds)
def test_copied_names_are_equal_and_all_others_stay(widths, others, seed):
    others = [*others[:1], *widths[1:2], *others[2:]]  # so that something fits
    source, target = perceptron(widths, seed % 1000), perceptron(others, seed % 1000 + 1)
    of_source, before = bits(source), bits(target)
    report = tl.copy_parameters(source, target)
    after = target.state_dict()
    fits = {
        name for name in of_source if name in before and of_source[name].shape == before[name].shape
    }
    assert set(report.copied) == fits and set(report.skipped) == {*of_source, *before} - fits
    for name, tensor in after.items():
        wanted = of_source if name in fits else before
        assert torch.equal(tensor, wanted[name]), name
    assert all(torch.equal(tensor, of_source[n]) for n, tensor in source.state_dict().items())


@few
@given(widths, st.floats(0, 1), seeds)
def test_interpolation_is_linear_and_exact_at_both_ends(widths, alpha, seed):
    start, end = perceptron(widths, seed % 1000), perceptron(widths, seed % 1000 + 1)
    kept = bits(start), bits(end)
    for share in (0, alpha, 1):
        mixed = tl.interpolate(start, end, share).state_dict()
        for name, tensor in mixed.items():
            low, high = (state[name] for state in kept)
            if share in (0, 1) or not tensor.is_floating_point():
                assert torch.equal(tensor, high if share > 0 else low), name
            else:
                assert_allclose(tensor, (1 - share) * low + share * high, rtol=1e-5)
    for net, state in zip((start, end), kept, strict=True):
        assert all(torch.equal(tensor, state[name]) for name, tensor in net.state_dict().items())


convolution = st.fixed_dictionaries(
    {
        "kernel_size": st.sampled_from([1, 3, (3, 2)]),
        "stride": st.integers(1, 2),
        "padding": st.integers(0, 1),
        "dilation": st.integers(1, 2),
        "bias": st.booleans(),
        "padding_mode": st.sampled_from(["zeros", "reflect"]),
    }
)


@few
@given(convolution, st.integers(1, 5), st.floats(0.1, 20), seeds)
def test_merged_convolutions_compute_what_the_adapted_ones_did(options, rank, alpha, seed):
    torch.manual_seed(seed % 1000)
    net = nn.Sequential(nn.Conv2d(2, 3, **options), nn.Flatten(), nn.LazyLinear(2))
    images = torch.rand(3, 2, 8, 7)
    check_merging(net, images, rank, alpha, seed)


@few
@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 5), st.floats(0.1, 20), seeds)
def test_merged_linear_layers_compute_what_the_adapted_ones_did(inside, outside, rank, alpha, seed):
    torch.manual_seed(seed % 1000)
    net = nn.Sequential(nn.Linear(inside, outside), nn.Linear(outside, 2))
    check_merging(net, torch.randn(4, inside), rank, alpha, seed)


def check_merging(net, inputs, rank, alpha, seed):
    plain = net(inputs).detach()
    names = [*net.state_dict()]
    tl.add_lora(net, "0", rank=rank, alpha=alpha, seed=seed)
    assert torch.equal(net(inputs), plain)  # nothing changes at the start
    down, up = net[0].down.weight, net[0].up.weight
    assert down.shape[0] == up.shape[1] == rank
    up.data.normal_()
    adapted = net(inputs).detach()
    base = net[0].base.weight.detach().clone()
    change = np.einsum("or,ri...->oi...", up.detach().flatten(1).numpy(), down.detach().numpy())
    tl.merge_lora(net)
    assert [*net.state_dict()] == names
    size = adapted.abs().max().item() + 1
    assert_allclose(net(inputs).detach(), adapted, atol=2e-5 * size)
    assert_allclose(net[0].weight.detach(), base.numpy() + alpha / rank * change, atol=1e-4)
