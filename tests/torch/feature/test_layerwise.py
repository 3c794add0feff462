"""Features of layers: maps, tokens and rows averaged rightly, one row for each input."""

import weakref

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn
from torchvision.models import VisionTransformer

import tlcourse.torch as tl
from tlcourse import data

IMAGES = data.load("handwritten-digits", n=50).inputs


def test_maps_are_averaged_over_space():
    model = tl.TransferModel(tl.backbone("small-cnn", weights="letters"), 10)
    blocks = ["backbone.body.block2", "backbone.body.block4", "backbone", "head"]
    found = tl.layer_features(model, IMAGES, blocks, batch_size=16)
    assert {name: rows.shape for name, rows in found.items()} == {
        "backbone.body.block2": (50, 32),
        "backbone.body.block4": (50, 128),
        "backbone": (50, 128),
        "head": (50, 10),
    }
    assert all(rows.dtype == np.float32 for rows in found.values())
    assert_allclose(found["backbone.body.block4"], tl.extract_features(model, IMAGES), atol=1e-5)
    assert_allclose(found["head"], tl.predict(model, IMAGES), atol=1e-5)
    images = torch.from_numpy(IMAGES).permute(0, 3, 1, 2)
    with torch.no_grad():
        maps = model.backbone.body[:2](model.eval().backbone.preprocess(images))
    assert_allclose(found["backbone.body.block2"], maps.mean((2, 3)), atol=1e-5)


def small_vit():
    torch.manual_seed(0)
    return VisionTransformer(
        image_size=32, patch_size=16, num_layers=2, num_heads=2, hidden_dim=12, mlp_dim=24
    ).eval()


def test_tokens_are_averaged_over_tokens_and_attention_gives_its_first_output():
    net = small_vit()
    images = np.random.default_rng(0).random((3, 32, 32, 3), dtype=np.float32)
    encoder, attention = "encoder.layers.encoder_layer_0", "encoder.layers.encoder_layer_1"
    attention += ".self_attention"
    seen = {}
    for name in (encoder, attention):
        net.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: seen.update({name: output})
        )
    found = tl.layer_features(net, images, [encoder, attention], batch_size=3)
    assert seen[encoder].shape == (3, 5, 12)  # 4 patches and the class token
    assert_allclose(found[encoder], seen[encoder].mean(1), atol=1e-6)
    assert found[encoder].shape == (3, 12)
    assert_allclose(found[attention], seen[attention][0].mean(1), atol=1e-6)


def test_of_a_layer_that_runs_twice_the_last_run_counts():
    net = tl.backbone("resnet18", size=32).eval()
    images = np.random.default_rng(0).random((3, 32, 32, 3), dtype=np.float32)
    names = ["body.layer1.0.relu", "body.layer1.0"]  # the block ends in its ReLU
    found = tl.layer_features(net, images, names, batch_size=2)
    assert found[names[0]].shape == (3, 64)
    assert_allclose(found[names[0]], found[names[1]], atol=1e-6)


def test_no_map_outlives_the_next_batch():
    maps, most = [], []
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 2))

    def watch(_module, _inputs, output):
        maps.append(weakref.ref(output))
        most.append(sum(each() is not None for each in maps))

    net[0].register_forward_hook(watch)
    tl.layer_features(net, np.ones((30, 8, 8, 1), np.float32), ["0", "1"], batch_size=3)
    assert len(most) == 10 and max(most) <= 2


def test_a_layer_asked_for_twice_comes_once_and_none_is_refused():
    net = tl.backbone("small-cnn")
    assert list(tl.layer_features(net, IMAGES[:2], ["body", "body"])) == ["body"]
    with pytest.raises(ValueError, match="layers is empty"):
        tl.layer_features(net, IMAGES[:2], [])


def test_the_mode_stays_and_no_hook_is_left():
    net = tl.backbone("small-cnn").train()
    tl.layer_features(net, IMAGES[:2], ["body.block1"])
    with pytest.raises(ValueError, match="images have shape"):
        tl.layer_features(net, IMAGES[:2].repeat(2, axis=3), ["body.block1"])
    assert net.body.block1.training and not net.body.block1._forward_hooks


class Aside(nn.Module):
    """Has a layer that does not run, and one whose first axis is not the inputs."""

    def __init__(self):
        super().__init__()
        self.spare, self.recurrent = nn.Linear(2, 2), nn.GRU(2, 4)

    def forward(self, rows):
        return self.recurrent(rows.expand(5, *rows.shape))[0].mean(0)


@pytest.mark.parametrize(
    ("net", "layer", "reason"),
    [
        (nn.Sequential(nn.Linear(2, 2)), "9", "layers has '9'; the model has 0, ..."),
        (Aside(), "spare", "'spare', which puts out nothing: it does not run; for 3 inputs"),
        (
            Aside(),
            "recurrent",
            r"the shape \(5, 3, 4\); for 3 inputs a layer must put out \(3, c\)",
        ),
        (tl.backbone("swin_t", size=32), "body.features.1", "is a Swin transformer"),
    ],
)
def test_what_has_no_vector_for_each_input_is_refused(net, layer, reason):
    with pytest.raises(ValueError, match=reason):
        tl.layer_features(net, np.ones((3, 2), np.float32), [layer])
