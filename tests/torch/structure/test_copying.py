"""Structure transfer: fresh copies, first layers copied, nets cut."""

import copy

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

import tlcourse.torch as tl
from tlcourse.data import Domain
from tlcourse.torch.feature.layerwise import average_features


def trained(net="small-cnn", size=32, channels=1):
    """Train a net for a few steps, so that no parameter or buffer is at its start."""
    rng = np.random.default_rng(0)
    inputs = rng.random((12, size, size, channels), dtype=np.float32)
    model = tl.TransferModel(tl.backbone(net, seed=1), 3, seed=1)
    tl.fit(model, Domain("noise", inputs, np.arange(12) % 3, ("a", "b", "c")), steps=3)
    return model, inputs


def test_fresh_copy_renews_every_parameter_and_resets_every_buffer():
    model, _ = trained()
    kept = copy.deepcopy(model.state_dict())
    fresh = tl.fresh_copy(model, seed=4)
    start = tl.TransferModel(tl.backbone("small-cnn"), 3)
    for name, tensor in fresh.state_dict().items():
        assert not torch.equal(tensor, kept[name]), name
        if "norm" in name:
            assert torch.equal(tensor, start.state_dict()[name]), name
        elif tensor.ndim > 1:  # of the size that PyTorch starts with
            assert_allclose(tensor.std(), start.state_dict()[name].std(), rtol=0.5)
        assert torch.equal(model.state_dict()[name], kept[name]), name


def test_fresh_copy_follows_its_seed_and_leaves_the_global_state():
    model, _ = trained()
    state = torch.get_rng_state()
    first, again, other = (tl.fresh_copy(model, seed=seed).head.weight for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_fresh_copy_renews_bare_and_attention_parameters():
    from torchvision.models import VisionTransformer

    net = VisionTransformer(
        image_size=32, patch_size=16, num_layers=1, num_heads=2, hidden_dim=16, mlp_dim=32
    )
    for parameter in net.parameters():
        nn.init.constant_(parameter, 7.0)
    assert all((parameter != 7).all() for parameter in tl.fresh_copy(net).parameters())


@pytest.mark.parametrize("k", [0, 2, 5])
def test_copy_first_copies_exactly_the_first_layers(k):
    model, _ = trained()
    mixed = tl.copy_first(model, k, seed=3).state_dict()
    names = tl.layer_names(model)
    for name, tensor in model.state_dict().items():
        depth = next(i for i, layer in enumerate(names) if name.startswith(f"{layer}."))
        assert torch.equal(mixed[name], tensor) == (depth < k), name


def test_copy_first_takes_the_stems_norm_along():
    net = tl.backbone("resnet18", seed=1)
    net.body.bn1.running_mean.fill_(0.5)
    mixed = tl.copy_first(net, 1)
    assert (mixed.body.bn1.running_mean == 0.5).all()
    assert torch.equal(mixed.body.conv1.weight, net.body.conv1.weight)
    assert not torch.equal(mixed.body.layer1[0].conv1.weight, net.body.layer1[0].conv1.weight)


def test_copy_first_refuses_a_depth_that_is_not_there():
    with pytest.raises(ValueError, match="k is 6; this net has 5 layers"):
        tl.copy_first(trained()[0], 6)


@pytest.mark.parametrize(
    ("net", "size", "channels", "layer", "width"),
    [
        ("small-cnn", 32, 1, "block2", 32),
        ("small-resnet", 64, 3, "block1", 32),
        ("small-resnet", 64, 3, "stem", 16),
    ],
)
def test_a_cut_net_gives_the_pooled_output_of_its_layer(net, size, channels, layer, width):
    model, inputs = trained(net, size, channels)
    shorter = tl.cut(model, f"backbone.body.{layer}")
    seen = []
    hook = model.get_submodule(f"backbone.body.{layer}").register_forward_hook(
        lambda _module, _inputs, outputs: seen.append(outputs.mean(dim=(2, 3)))
    )
    tl.predict(model, inputs)
    hook.remove()
    assert shorter.feature_dim == width
    assert_allclose(tl.predict(shorter, inputs), seen[0], atol=1e-6)
    assert tl.count_parameters(shorter) < tl.count_parameters(model)


def test_a_cut_net_is_a_backbone_of_its_own():
    model, inputs = trained()
    before = copy.deepcopy(model.state_dict())
    target = tl.TransferModel(copy.deepcopy(tl.cut(model.backbone, "body.block2")), 4)
    assert tl.layer_names(target) == ["backbone.body.block1", "backbone.body.block2", "head"]
    tl.freeze(target, "backbone.body.block1")
    frozen = copy.deepcopy(target.backbone.body.block1.state_dict())
    domain = Domain("noise", inputs, np.arange(12) % 4, tuple("abcd"))
    tl.fit(target, domain, steps=3)
    now = target.backbone.body.block1.state_dict()
    assert all(torch.equal(now[name], tensor) for name, tensor in frozen.items())
    assert not torch.equal(
        target.backbone.body.block2.conv.weight, model.backbone.body.block2.conv.weight
    )
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())


def test_cut_keeps_a_stems_normalisation():
    net = tl.backbone("resnet18", size=32).eval()
    net.body.bn1.bias.data.fill_(3.0)
    images = torch.rand(2, 3, 32, 32)
    want = net.body.bn1(net.body.conv1(net.preprocess(images))).mean(dim=(2, 3))
    assert_allclose(tl.cut(net, "body.conv1")(images).detach(), want.detach(), atol=1e-5)


def test_tokens_are_averaged_over_the_image():
    tokens = torch.rand(2, 5, 7)
    assert_allclose(average_features(tokens), tokens.mean(dim=1))


def test_cut_refuses_what_it_cannot_cut():
    model, _ = trained()
    with pytest.raises(ValueError, match=r"layer is 'head'; one can cut after backbone\.body"):
        tl.cut(model, "head")
    with pytest.raises(TypeError, match="give a Backbone"):
        tl.cut(nn.Linear(2, 2), "weight")
