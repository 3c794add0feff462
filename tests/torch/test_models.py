"""Backbones: preprocessing, shapes, seeds, weights from everywhere, and what is refused."""

import copy
from itertools import pairwise
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision
from numpy.testing import assert_allclose
from safetensors.torch import save_file
from torch import nn
from torchvision.transforms import v2

import tlcourse.torch as tl
from tlcourse import weights
from tlcourse.torch.models import Preprocess


def images(n=2, c=3, size=32, seed=0):
    """Draw images as tensors."""
    return torch.rand(n, c, size, size, generator=torch.Generator().manual_seed(seed))


def test_preprocessing_is_torchvisions_resize_and_normalise():
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    given = images(size=50)
    for size in (50, 32, 71):
        theirs = v2.Compose([v2.Resize((size, size), antialias=True), v2.Normalize(mean, std)])
        assert_allclose(Preprocess(size, 3, mean, std)(given), theirs(given), atol=1e-5)


def test_imagenet_nets_are_normalised_as_their_weights_ask():
    net = tl.backbone("resnet18")
    scale = torchvision.models.ResNet18_Weights.DEFAULT.transforms()
    assert net.preprocess.size == 224
    assert_allclose(net.preprocess.mean.flatten(), scale.mean)
    assert_allclose(net.preprocess.std.flatten(), scale.std)


def test_grey_and_colour_are_turned_into_each_other():
    grey = images(c=1)
    assert torch.equal(Preprocess(32, 3, (0,) * 3, (1,) * 3)(grey), grey.expand(-1, 3, -1, -1))
    colour = images()
    luma = v2.functional.rgb_to_grayscale(colour)
    assert_allclose(Preprocess(32, 1, (0.0,), (1.0,))(colour), luma, atol=1e-3)


@pytest.mark.parametrize("channels", [1, 3])
def test_convolutions_get_and_give_channels_last(channels):
    """Grey pictures too, whose one channel would let PyTorch choose the slower order."""
    given = Preprocess(32, channels, (0.0,) * channels, (1.0,) * channels)(torch.rand(2, 1, 32, 32))
    maps = nn.Conv2d(channels, 4, 3)(given)
    assert maps.is_contiguous(memory_format=torch.channels_last) and not maps.is_contiguous()


@pytest.mark.parametrize("shape", [(2, 32, 32), (2, 4, 32, 32), (2, 32, 32, 3)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="a backbone takes"):
        tl.backbone("small-cnn")(torch.zeros(shape))


NETS = [
    "small-cnn",
    "small-resnet",
    "resnet18",
    "squeezenet1_1",
    "mobilenet_v2",
    "densenet121",
    "efficientnet_b0",
    "shufflenet_v2_x0_5",
    "mnasnet0_5",
    "regnet_y_400mf",
    "googlenet",
]
SMALLEST = {"googlenet": 64}


@pytest.mark.parametrize("name", NETS)
def test_backbones_give_finite_features_of_their_length_and_train(name):
    net = tl.backbone(name, size=SMALLEST.get(name, 32) if "small" not in name else None)
    features = net.eval()(images())
    assert features.shape == (2, net.feature_dim)
    assert torch.isfinite(features).all()
    model = tl.TransferModel(net, 5).train()
    logits = model(images(4))  # nets with auxiliary heads would return three of them
    assert logits.shape == (4, 5)
    logits.sum().backward()


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("vgg11", 32),
        ("alexnet", 64),
        ("vit_b_16", 224),
        ("inception_v3", 96),
        ("swin_t", 64),
        ("convnext_tiny", 64),
        ("maxvit_t", 224),
    ],
)
def test_large_backbones_have_the_right_shapes(name, size):
    """On PyTorch's meta device: shapes without numbers, so that it takes no time."""
    with torch.device("meta"):
        net = tl.backbone(name, size=size).to("meta").eval()
    features = net(torch.zeros(2, 3, size, size, device="meta"))
    assert features.shape == (2, net.feature_dim)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "squeezenet1_1"])
def test_features_are_what_torchvisions_last_layer_sees(name):
    torch.manual_seed(0)
    whole = torchvision.models.get_model(name).eval()
    path_free = {key: tensor.clone() for key, tensor in whole.state_dict().items()}
    layers = {"resnet18": "fc", "mobilenet_v2": "classifier.1", "squeezenet1_1": "classifier.1"}
    seen = []
    whole.get_submodule(layers[name]).register_forward_hook(
        lambda _module, inputs, _outputs: seen.append(inputs[0])
    )
    net = tl.backbone(name, size=64).eval()
    net.body.load_state_dict(path_free, strict=False)
    given = images(size=64)
    whole(net.preprocess(given))
    maps = seen[0].detach().flatten(1, -1 if seen[0].ndim == 2 else 1).unsqueeze(-1)
    assert_allclose(net(given).detach(), maps.flatten(2).mean(dim=2), atol=1e-5)


def test_seeds_fix_backbone_and_head_and_leave_the_global_state():
    state = torch.get_rng_state()
    first, again, other = (
        tl.TransferModel(tl.backbone("small-cnn", seed=s), 3, seed=s) for s in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), state)
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
    for layer in ("head", "backbone.body.block1.conv"):
        assert not torch.equal(first.get_submodule(layer).weight, other.get_submodule(layer).weight)


def test_parameters_are_counted_by_hand():
    net = tl.backbone("small-cnn")
    widths = [1, 16, 32, 64, 128]
    by_hand = sum(9 * a * b + 2 * b for a, b in pairwise(widths))
    assert tl.count_parameters(net) == by_hand
    tl.freeze(net, "body.block4")
    assert tl.count_parameters(net, trainable=True) == by_hand - 9 * 64 * 128 - 2 * 128


@pytest.mark.parametrize(("net", "weight"), [("small-cnn", "letters"), ("small-resnet", "signs")])
def test_shipped_weights_are_in_the_backbone_bit_for_bit(net, weight):
    state = tl.backbone(net, weights=weight).state_dict()
    arrays = weights.load_arrays(weight)
    assert {f"backbone.{name}" for name in state} == {
        name for name in arrays if name.startswith("backbone.")
    }
    assert all(np.array_equal(tensor, arrays[f"backbone.{name}"]) for name, tensor in state.items())


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("whole", [True, False])
def test_weights_from_a_file_of_a_model_or_its_backbone(tmp_path, suffix, whole):
    model = tl.TransferModel(tl.backbone("small-cnn", seed=3), 4)
    state = (model if whole else model.backbone).state_dict()
    path = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(state, path)
    for given in (path, str(path)):
        loaded = tl.backbone("small-cnn", weights=given)
        assert torch.equal(loaded.body.block3.conv.weight, model.backbone.body.block3.conv.weight)


def test_a_torchvision_state_dict_is_loaded_whole(tmp_path):
    torch.manual_seed(1)
    net = torchvision.models.squeezenet1_1()
    torch.save(net.state_dict(), tmp_path / "net.pth")
    loaded = tl.backbone("squeezenet1_1", weights=tmp_path / "net.pth")
    assert torch.equal(loaded.body.features[0].weight, net.features[0].weight)


def test_imagenet_weights_that_cannot_be_fetched_name_file_folder_and_no_stand_in(monkeypatch):
    def offline(*_arguments, **_options):
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", offline)
    with pytest.raises(
        FileNotFoundError,
        match=r"resnet18-f37072fd\.pth and put it into .*"
        r"checkpoints, or give the path .* no substitute for photographs",
    ):
        tl.backbone("resnet18", weights="imagenet")


def test_wrong_names_and_weights_are_refused(tmp_path):
    with pytest.raises(ValueError, match="name is 'resnet-18'; the nets are 'small-cnn'"):
        tl.backbone("resnet-18")
    with pytest.raises(ValueError, match="weights='signs' belong to 'small-resnet', not to 'small"):
        tl.backbone("small-cnn", weights="signs")
    with pytest.raises(ValueError, match="weights='letters' belong to 'small-cnn', not to 'resnet"):
        tl.backbone("resnet18", weights="letters")
    with pytest.raises(ValueError, match="'small-cnn' has no ImageNet weights"):
        tl.backbone("small-cnn", weights="imagenet")
    with pytest.raises(FileNotFoundError, match="which is no file; give one of"):
        tl.backbone("small-cnn", weights="no-such-file.pth")
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "linear.pth")
    for name in ("small-cnn", "squeezenet1_1"):
        with pytest.raises(ValueError, match=r"(?s)do not fit this net.{1,600}copy_parameters"):
            tl.backbone(name, weights=tmp_path / "linear.pth")
    (tmp_path / "noise.pth").write_bytes(b"no weights at all")
    (tmp_path / "noise.safetensors").write_bytes(b"no weights at all")
    for name in ("noise.pth", "noise.safetensors"):
        with pytest.raises(ValueError, match=f"{name}.*is no state dict"):
            tl.backbone("small-cnn", weights=tmp_path / name)


def test_a_model_that_is_no_state_dict_is_refused_without_running_its_code(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "pickled.pth")
    with pytest.raises(ValueError, match="is no state dict"):
        tl.backbone("small-cnn", weights=tmp_path / "pickled.pth")


def test_a_model_needs_a_backbone_and_classes():
    with pytest.raises(TypeError, match="without an integer feature_dim"):
        tl.TransferModel(nn.Linear(2, 2), 3)
    for wrong in (1, 0, 2.5, "3"):
        with pytest.raises(ValueError, match=f"n_classes is {wrong!r}"):
            tl.TransferModel(tl.backbone("small-cnn"), wrong)


def test_source_models_come_with_the_head_of_their_classes():
    model = tl.source_model("letters")
    assert model.head.out_features == 26
    assert not model.training
    with pytest.raises(ValueError, match="name is 'imagenet'; the course's weights are letters"):
        tl.source_model("imagenet")


def test_models_survive_a_deep_copy():
    model = tl.TransferModel(tl.backbone("small-cnn"), 3).eval()
    given = images(c=1)
    assert torch.equal(copy.deepcopy(model)(given), model(given))


def test_the_number_of_classes_may_come_from_numpy():
    model = tl.TransferModel(tl.backbone("small-cnn"), np.int64(10))
    assert model.head.out_features == 10
    assert type(model.head.out_features) is int
