"""What only the Keras door has: nets of keras.applications, plain MLPs, and its own schedule."""

import keras
import numpy as np
import pytest
import torch

import tlcourse.keras as tl
from tlcourse import data
from tlcourse.keras.freezing import named_layers
from tlcourse.keras.training import device_name, one_cycle

IMAGES = np.random.default_rng(0).random((3, 40, 40, 3), dtype=np.float32)


@pytest.mark.parametrize(
    ("name", "module", "dim"),
    [
        ("MobileNetV2", keras.applications.mobilenet_v2, 1280),
        ("ResNet50", keras.applications.resnet50, 2048),
        ("VGG16", keras.applications.vgg16, 512),
    ],
)
def test_applications_carry_their_own_preprocessing(name, module, dim):
    net = tl.backbone(name, size=40)
    assert tl.extract_features(net, IMAGES).shape == (3, dim)
    scaled = net.get_layer("preprocess")(IMAGES).numpy()
    np.testing.assert_allclose(scaled, module.preprocess_input(IMAGES * 255), atol=1e-3)


def test_weights_of_a_file_are_loaded_and_others_refused(tmp_path):
    one, two = (tl.backbone("MobileNetV2", size=40, seed=seed) for seed in (0, 1))
    one.save_weights(tmp_path / "mobile.weights.h5")
    again = tl.backbone("MobileNetV2", size=40, weights=tmp_path / "mobile.weights.h5", seed=2)
    weights = [net.get_weights() for net in (one, again, two)]
    assert all(map(np.array_equal, weights[0], weights[1]))
    assert not all(map(np.array_equal, weights[0], weights[2]))
    with pytest.raises(ValueError, match="do not fit this net"):
        tl.backbone("small-cnn", weights=tmp_path / "mobile.weights.h5")


def test_a_frozen_application_keeps_its_statistics_bit_by_bit():
    model = tl.TransferModel(tl.backbone("MobileNetV2", size=40), 2)
    tl.freeze(model, "backbone")
    before = {v.path: v.numpy().copy() for v in model.backbone.variables}
    domain = data.Domain("x", IMAGES[[0, 1, 2, 0]], np.array([0, 1, 0, 1]), ("a", "b"))
    tl.fit(model, domain, steps=2, lr=1e-2)
    assert all(np.array_equal(v.numpy(), before[v.path]) for v in model.backbone.variables)


def test_an_mlp_learns_iris():
    split = data.few_shot_split(data.load("iris"), 20, seed=0, test_per_class=20)
    mean, std = split.train.inputs.mean(axis=0), split.train.inputs.std(axis=0)
    train, test = (
        part.with_inputs((part.inputs - mean) / std) for part in (split.train, split.test)
    )
    model = tl.TransferModel(tl.mlp((4,), [10, 10]), 3)
    tl.fit(model, train, steps=150, lr=1e-2)
    assert tl.evaluate(model, test).accuracy > 0.85
    assert tl.count_parameters(model) == 4 * 10 + 10 + 10 * 10 + 10 + 10 * 3 + 3


def test_the_rate_goes_through_pytorchs_one_cycle():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([parameter], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 0.01, total_steps=37, cycle_momentum=False
    )
    for step in range(36):
        assert one_cycle(step, 37, 0.01) == pytest.approx(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()


def test_random_starts_follow_the_seed_and_leave_the_global_state_alone():
    keras.utils.set_random_seed(5)
    wanted = keras.random.normal((3,)).numpy()
    keras.utils.set_random_seed(5)
    kernels = [
        tl.backbone("small-cnn", seed=seed).get_layer("block2_conv").get_weights()[0]
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[0], kernels[2])
    np.testing.assert_array_equal(keras.random.normal((3,)).numpy(), wanted)
    # PyTorch's start: uniform within 1 / sqrt(fan in)
    assert np.abs(kernels[0]).max() <= 1 / np.sqrt(9 * 16) + 1e-6


def test_layers_are_named_from_input_to_head():
    model = tl.TransferModel(tl.backbone("small-cnn"), 10)
    assert list(named_layers(model))[-1] == "head"
    assert tl.layers(model)["backbone.block2_conv"] == (
        "backbone.block2_conv",
        "backbone.block2_norm",
    )


@pytest.mark.parametrize(("given", "wanted"), [("auto", "CPU:0"), ("cpu", "CPU:0"), ("mps", None)])
def test_devices_have_tensorflows_names(monkeypatch, given, wanted):
    monkeypatch.setenv("TLCOURSE_DEVICE", "cpu")
    assert device_name(given) == wanted
    with pytest.raises(ValueError, match="device is 'tpu'"):
        device_name("tpu")
