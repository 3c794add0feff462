"""LoRA: nothing changes at the start or by merging, and peft agrees."""

import copy

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

import tlcourse.torch as tl
from tlcourse.data import Domain


def pictures(n=16):
    """Draw a random image domain of 3 classes."""
    rng = np.random.default_rng(0)
    return Domain(
        "noise", rng.random((n, 64, 64, 3), dtype=np.float32), np.arange(n) % 3, ("a", "b", "c")
    )


@pytest.fixture
def model():
    """Make a small-resnet: strided 3x3 and 1x1 convolutions, and a head."""
    return tl.TransferModel(tl.backbone("small-resnet", seed=1), 3, seed=1).eval()


def test_nothing_changes_at_the_start(model):
    images = pictures().inputs
    before = tl.predict(model, images)
    tl.add_lora(model, "backbone.*", rank=3)
    assert np.array_equal(tl.predict(model, images), before)


def test_only_adapters_and_head_learn_and_all_else_stays_bit_for_bit(model):
    tl.add_lora(model, "backbone.*", rank=2)
    before = copy.deepcopy(model.state_dict())
    tl.fit(model, pictures(), steps=5, lr=1e-2)
    for name, tensor in model.state_dict().items():
        learns = ".up." in name or ".down." in name or name.startswith("head.")
        assert torch.equal(tensor, before[name]) != learns, name


def test_merging_changes_no_logit_and_leaves_plain_layers(model):
    names = set(model.state_dict())
    tl.add_lora(model, "backbone.*", "backbone.body.stem.conv", rank=3, alpha=5)
    tl.fit(model, pictures(), steps=5, lr=1e-2)
    images = pictures().inputs
    before = tl.predict(model, images)
    tl.merge_lora(model)
    assert_allclose(tl.predict(model, images), before, atol=1e-5)
    assert set(model.state_dict()) == names


def test_linear_layers_merge_too():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    tl.add_lora(net, "0", rank=2, alpha=3)
    nn.init.normal_(net[0].up.weight)
    x = torch.randn(4, 6)
    before = net(x)
    rule = net[0].base.weight + 1.5 * net[0].up.weight @ net[0].down.weight
    assert_allclose(tl.merge_lora(net)[0].weight.detach(), rule.detach(), atol=1e-6)
    assert_allclose(net(x).detach(), before.detach(), atol=1e-5)


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"
)
@pytest.mark.parametrize("rank", [1, 4])
def test_peft_has_as_many_parameters_and_the_same_logits(model, rank):
    peft = pytest.importorskip("peft")
    layers = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    config = peft.LoraConfig(r=rank, lora_alpha=6, target_modules=layers, modules_to_save=["head"])
    theirs = peft.get_peft_model(copy.deepcopy(model), config)
    ours = tl.add_lora(model, "backbone.*", rank=rank, alpha=6)
    assert tl.count_parameters(ours, trainable=True) == tl.count_parameters(theirs, trainable=True)
    torch.manual_seed(0)
    with torch.no_grad():
        for name in layers:
            layer, other = ours.get_submodule(name), theirs.base_model.model.get_submodule(name)
            layer.up.weight.normal_(std=0.1)
            other.lora_A["default"].weight.copy_(layer.down.weight)
            other.lora_B["default"].weight.copy_(layer.up.weight)
        images = torch.rand(4, 3, 64, 64)
        assert_allclose(ours.eval()(images), theirs.eval()(images), atol=1e-5)


def test_the_seed_fixes_the_random_factor(model):
    twin = copy.deepcopy(model)
    state = torch.get_rng_state()
    tl.add_lora(model, "*", seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    tl.add_lora(twin, "*", seed=3)
    conv = model.backbone.body.stem.conv.down.weight
    assert torch.equal(conv, twin.backbone.body.stem.conv.down.weight)


def test_grouped_convolutions_and_the_head_are_no_candidates():
    net = tl.TransferModel(tl.backbone("mobilenet_v2"), 2)
    tl.add_lora(net, "*")
    assert isinstance(net.head, nn.Linear)
    adapted = [module.base for module in net.modules() if isinstance(module, tl.LoRA)]
    assert adapted
    assert all(base.groups == 1 for base in adapted)


def test_attention_still_runs():
    net = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), nn.Linear(8, 2))
    tl.add_lora(net, "0*")
    assert net(torch.rand(2, 3, 8)).shape == (2, 3, 2)


def test_misuse_is_refused(model):
    with pytest.raises(ValueError, match="matches none of the linear and ungrouped convolution"):
        tl.add_lora(model, "backbone.body.stem.norm")
    with pytest.raises(ValueError, match="no LoRA to merge"):
        tl.merge_lora(model)
    with pytest.raises(ValueError, match="rank is 0"):
        tl.add_lora(model, "*", rank=0)
    tl.add_lora(model, "*")
    with pytest.raises(ValueError, match="has LoRA already"):
        tl.add_lora(model, "*")
