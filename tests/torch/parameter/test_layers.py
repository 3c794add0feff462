"""Parameter transfer: layers, rates, L2-SP in closed form, forgetting, WiSE-FT, copy reports."""

import copy

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

import tlcourse.torch as tl
from tlcourse.data import Domain


def pictures(n=24, k=3, seed=0):
    """Draw a random image domain."""
    rng = np.random.default_rng(seed)
    names = tuple("abcdefgh"[:k])
    return Domain("noise", rng.random((n, 32, 32, 1), dtype=np.float32), np.arange(n) % k, names)


def small_model(k=3, seed=0):
    """Make a small-cnn with a head."""
    return tl.TransferModel(tl.backbone("small-cnn", seed=seed), k, seed=seed)


def states(model):
    """Copy all parameters and buffers."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


BODY = "backbone.body."


@pytest.mark.parametrize(
    ("net", "first", "last", "number"),
    [
        ("small-cnn", "block1", "block4", 5),
        ("small-resnet", "stem", "block3", 5),
        ("resnet18", "conv1", "layer4", 6),
        ("mobilenet_v2", "features.0", "features.18", 20),
        ("alexnet", "features.0", "classifier.4", 8),
        ("regnet_y_400mf", "stem", "trunk_output.block4", 6),
    ],
)
def test_layers_run_from_input_to_head_and_hold_every_parameter_once(net, first, last, number):
    model = tl.TransferModel(tl.backbone(net), 3)
    parts = tl.layers(model)
    names = tl.layer_names(model)
    assert (names[0], names[-2], names[-1]) == (BODY + first, BODY + last, "head")
    assert len(names) == number
    owners = [
        sum(
            name == member or name.startswith(member + ".")
            for members in parts.values()
            for member in members
        )
        for name, _ in model.named_parameters()
    ]
    assert set(owners) == {1}


def test_vit_has_one_layer_for_each_encoder_block_and_its_bare_parameters_in_the_first():
    from torchvision.models import VisionTransformer

    net = VisionTransformer(
        image_size=32, patch_size=16, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32
    )
    parts = tl.layers(net)
    assert list(parts) == [
        "conv_proj",
        "encoder.layers.encoder_layer_0",
        "encoder.layers.encoder_layer_1",
        "heads",
    ]
    assert parts["conv_proj"] == ("class_token", "conv_proj", "encoder.pos_embedding")
    assert parts["encoder.layers.encoder_layer_1"][1] == "encoder.ln"


def test_normalisation_belongs_to_the_layer_before_it():
    model = tl.TransferModel(tl.backbone("resnet18"), 2)
    assert tl.layers(model)[BODY + "conv1"] == (BODY + "conv1", BODY + "bn1")


def test_layers_refuses_what_has_none():
    with pytest.raises(TypeError, match="model is a dict"):
        tl.layers({})
    with pytest.raises(ValueError, match="no layer with weights"):
        tl.layers(nn.Sequential(nn.ReLU()))


def test_unfreeze_last_counts_from_the_head():
    model = tl.unfreeze_last(small_model(), 2)
    learning = {name.rpartition(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    assert learning == {"head", BODY + "block4.conv", BODY + "block4.norm"}


@pytest.mark.parametrize("k", [0, 6, -1, 1.5])
def test_unfreeze_last_refuses_a_depth_that_is_not_there(k):
    with pytest.raises(ValueError, match=r"k is .*5 layers, so give an integer from 1 to 5"):
        tl.unfreeze_last(small_model(), k)


def test_layer_rates_fall_by_the_decay_and_reach_every_parameter():
    model = small_model()
    rates = tl.layer_rates(model, 0.01, decay=2.6)
    assert rates == pytest.approx(
        {
            "head.*": 0.01,
            BODY + "block4.*": 0.01 / 2.6,
            BODY + "block3.*": 0.01 / 2.6**2,
            BODY + "block2.*": 0.01 / 2.6**3,
            BODY + "block1.*": 0.01 / 2.6**4,
        }
    )
    tl.fit(model, pictures(), steps=2, lr=rates)


def test_layer_rates_take_bare_parameters_and_norms():
    model = tl.TransferModel(tl.backbone("resnet18"), 2)
    rates = tl.layer_rates(model, 1.0, decay=2)
    assert rates[BODY + "conv1.*"] == rates[BODY + "bn1.*"] == 2**-5


def test_layer_rates_refuses_rates_that_rise():
    with pytest.raises(ValueError, match="decay >= 1"):
        tl.layer_rates(small_model(), 0.1, decay=0.5)


def test_l2sp_value_and_gradient():
    model = small_model()
    penalty = tl.L2SP(model, alpha=0.3, beta=0.7)
    head = model.head.weight.detach().square().sum() + model.head.bias.detach().square().sum()
    assert_allclose(penalty(model).item(), 0.35 * head.item(), rtol=1e-5)
    weight = model.backbone.body.block2.conv.weight
    start = weight.detach().clone()
    with torch.no_grad():
        weight += torch.randn_like(weight)
    penalty(model).backward()
    assert_allclose(weight.grad, 0.3 * (weight.detach() - start), atol=1e-6)
    assert_allclose(model.head.weight.grad, 0.7 * model.head.weight.detach(), atol=1e-6)


def test_l2sp_minimiser_of_a_linear_model_is_the_closed_form():
    """Least squares with alpha/2 |w - w0|^2: w = (X'X + alpha I)^-1 (X'y + alpha w0)."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 4)), rng.normal(size=(30, 3))
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 3, bias=False), nn.Linear(3, 3, bias=False)).double()
    net[1].weight.data = torch.eye(3, dtype=torch.float64)
    net[1].weight.requires_grad = False
    start = net[0].weight.detach().numpy().copy()
    penalty = tl.L2SP(net, alpha=2.5)
    optimiser = torch.optim.LBFGS(
        net[:1].parameters(),
        max_iter=500,
        tolerance_grad=1e-12,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )
    inputs, wanted = torch.from_numpy(x), torch.from_numpy(y)

    def closure():
        optimiser.zero_grad()
        loss = (net(inputs) - wanted).square().sum() / 2 + penalty(net)
        loss.backward()
        return loss

    optimiser.step(closure)
    closed = np.linalg.solve(x.T @ x + 2.5 * np.eye(4), x.T @ y + 2.5 * start.T).T
    assert_allclose(net[0].weight.detach().numpy(), closed, atol=1e-6)


def test_strong_l2sp_keeps_the_backbone_near_its_start():
    moved = {}
    for alpha in (0.0, 100.0):
        model = small_model()
        start = model.backbone.body.block4.conv.weight.detach().clone()
        tl.fit(
            model,
            pictures(),
            steps=20,
            lr=1e-3,
            weight_decay=0,
            penalty=tl.L2SP(model, alpha=alpha),
        )
        moved[alpha] = (model.backbone.body.block4.conv.weight - start).norm().item()
    assert moved[100.0] < moved[0.0] / 3


def test_forgetting_puts_the_sources_head_on_the_tuned_backbone():
    source_model, source = small_model(4), pictures(40, 4)
    tl.fit(source_model, source, epochs=30, lr=3e-3)
    same = tl.TransferModel(copy.deepcopy(source_model.backbone), 2)
    unmoved = tl.forgetting(same, source_model, source)
    assert unmoved.before == unmoved.after > 0.8
    assert unmoved.drop == 0
    broken = tl.TransferModel(tl.backbone("small-cnn", seed=5), 2)
    found = tl.forgetting(broken, source_model, source)
    assert found.before == unmoved.before
    assert found.drop == found.before - found.after > 0.3


def test_forgetting_refuses_other_features():
    narrow = tl.TransferModel(tl.cut(small_model(), BODY + "block2"), 2)
    with pytest.raises(ValueError, match="32 features but the source's head takes 128"):
        tl.forgetting(narrow, small_model(), pictures())


def test_interpolation_meets_both_ends_and_averages_batchnorm_too():
    start, end = small_model(seed=0), small_model(seed=1)
    tl.fit(end, pictures(), steps=3)
    kept = states(start)
    for alpha, whole in ((0, start), (1, end)):
        got = tl.interpolate(start, end, alpha).state_dict()
        assert all(torch.equal(got[name], tensor) for name, tensor in whole.state_dict().items())
    half = tl.interpolate(start, end, 0.5)
    name = BODY + "block1.norm.running_mean"
    assert_allclose(half.state_dict()[name], end.state_dict()[name] / 2, rtol=1e-6)
    assert all(torch.equal(kept[name], tensor) for name, tensor in start.state_dict().items())


def test_interpolation_refuses_other_structures_and_shares():
    with pytest.raises(ValueError, match=r"differ in structure at 'head\.weight'"):
        tl.interpolate(small_model(2), small_model(3), 0.5)
    with pytest.raises(ValueError, match=r"alpha is 1\.5"):
        tl.interpolate(small_model(), small_model(), 1.5)


def test_copy_report_accounts_for_every_name_of_both_nets():
    source, target = small_model(5, seed=1), small_model(3, seed=2)
    target.extra = nn.Linear(2, 2)
    source.other = nn.Linear(2, 2)
    before = states(target)
    report = tl.copy_parameters(source, target)
    everything = set(source.state_dict()) | set(target.state_dict())
    assert set(report.copied) | set(report.skipped) == everything
    assert not set(report.copied) & set(report.skipped)
    assert report.skipped["head.weight"].startswith("shape: (5, 128) in the source, (3, 128)")
    assert report.skipped["extra.bias"].startswith("missing")
    assert report.skipped["other.bias"].startswith("unused")
    after = target.state_dict()
    assert all(torch.equal(after[name], source.state_dict()[name]) for name in report.copied)
    assert all(torch.equal(after[name], before[name]) for name in report.skipped if name in after)
    assert "head.bias: shape" in str(report)


def test_copying_nothing_is_refused():
    # num_batches_tracked has the same name and shape in both, but is no parameter
    source = nn.Sequential(nn.BatchNorm1d(3))
    with pytest.raises(ValueError, match="share no parameter"):
        tl.copy_parameters(source, nn.Sequential(nn.BatchNorm1d(4)))
