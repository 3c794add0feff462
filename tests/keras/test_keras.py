"""What only the Keras door has: nets of keras.applications, plain MLPs, and its own schedule."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf
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


class Shaky(keras.Model):
    """A model whose own call drops too, beside a layer that does."""

    def __init__(self):
        super().__init__()
        self.noise = keras.random.SeedGenerator(1)
        self.hidden = keras.layers.Dense(6)

    def call(self, inputs, training=False):
        hidden = self.hidden(inputs)
        return keras.random.dropout(hidden, 0.5, seed=self.noise) if training else hidden


RANDOM_LAYERS = [
    keras.layers.Dropout(0.5),
    keras.layers.SpatialDropout2D(0.5),
    keras.layers.GaussianNoise(1.0),
    keras.layers.GaussianDropout(0.5),
    keras.layers.RandomFlip(),
    keras.layers.RandomTranslation(0.4, 0.4),
    keras.layers.RandomBrightness(0.5, value_range=(0, 1)),
]


@pytest.mark.parametrize("layer", RANDOM_LAYERS, ids=lambda layer: type(layer).__name__)
def test_a_frozen_random_layer_lets_its_input_through(layer):
    inputs = keras.Input((40, 40, 3))
    model = keras.Model(inputs, layer.from_config(layer.get_config())(inputs))
    free = [model(IMAGES, training=True).numpy() for _ in range(8)]
    assert any(np.abs(one - IMAGES).max() > 1e-3 for one in free)
    tl.freeze(model, "*")
    np.testing.assert_allclose(model(IMAGES, training=True), IMAGES, atol=1e-6)
    tl.unfreeze(model, "*")
    again = [model(IMAGES, training=True).numpy() for _ in range(8)]
    assert any(np.abs(one - IMAGES).max() > 1e-3 for one in again)


def test_dropout_inside_a_frozen_layer_is_still_too():
    inputs = keras.Input((5, 8))
    attended = keras.layers.MultiHeadAttention(2, 4, dropout=0.5, name="attention")(inputs, inputs)
    model = keras.Model(inputs, attended)
    rows = np.random.default_rng(0).normal(size=(2, 5, 8)).astype(np.float32)
    tl.freeze(model, "attention")
    np.testing.assert_array_equal(model(rows, training=True), model(rows, training=False))
    tl.unfreeze(model, "attention")
    assert np.abs(model(rows, training=True) - model(rows, training=False)).max() > 1e-4


def test_the_models_own_dropout_is_still_when_all_in_it_is_frozen():
    model, rows = Shaky(), np.ones((4, 3), dtype=np.float32)
    model(rows)
    tl.freeze(model, "*")
    np.testing.assert_array_equal(model(rows, training=True), model(rows))
    tl.unfreeze(model, model.hidden.name)
    assert np.abs(model(rows, training=True) - model(rows)).max() > 1e-3


def test_a_frozen_model_saves_and_loads_its_weights(tmp_path):
    one, two = (tl.freeze(tl.TransferModel(tl.mlp((4,), [6], seed=s), 3), "*") for s in (0, 1))
    one.save_weights(tmp_path / "frozen.weights.h5")
    two.load_weights(tmp_path / "frozen.weights.h5")
    rows = np.ones((2, 4), dtype=np.float32)
    np.testing.assert_array_equal(tl.predict(one, rows), tl.predict(two, rows))


def test_a_saved_model_is_read_again_whole(tmp_path):
    model = tl.freeze(tl.TransferModel(tl.backbone("small-cnn", weights="letters"), 3), "backbone")
    model.save(tmp_path / "model.keras")
    read = keras.saving.load_model(tmp_path / "model.keras")
    pictures = np.random.default_rng(0).random((2, 20, 20, 3), dtype=np.float32)
    np.testing.assert_allclose(tl.predict(read, pictures), tl.predict(model, pictures), atol=1e-6)
    assert isinstance(read, tl.TransferModel) and read.head.units == 3


def test_a_training_leaves_all_random_states_as_they_were():
    inputs = keras.Input((4,))
    dropped = keras.layers.Dropout(0.5)(inputs)
    model = tl.TransferModel(keras.Model(inputs, dropped, name="backbone"), 3)
    states = [v for v in model.variables if "seed_generator" in v.path]
    before = [v.numpy() for v in states]
    drawn = []
    for trains in (False, True):
        keras.utils.set_random_seed(5)
        if trains:
            tl.fit(model, data.load("iris"), steps=2, augment=lambda x: x + tf.random.normal([4]))
        drawn.append(
            [
                float(tf.random.uniform([])),
                float(keras.random.uniform([])),
                np.random.random(),
                random.random(),
            ]
        )
    assert drawn[0] == drawn[1]
    assert len(states) == 1
    np.testing.assert_array_equal(before, [v.numpy() for v in states])


def test_the_seed_decides_what_an_augmentation_draws():
    def losses(seed, augment):
        model = tl.TransferModel(tl.mlp((4,), [6]), 3)
        options = {"steps": 3, "batch_size": 150, "seed": seed}
        return tl.fit(model, data.load("iris"), augment=augment, **options).loss

    for make in (lambda: lambda x: x + tf.random.normal(tf.shape(x)), make_noise):
        np.testing.assert_allclose(losses(1, make()), losses(1, make()), rtol=1e-6)
        assert np.abs(np.subtract(losses(1, make()), losses(2, make()))).max() > 1e-3


def make_noise():
    """Make noise as a layer, which has to be told that it is training."""
    noise = keras.layers.GaussianNoise(1.0)
    noise.build((None, 4))

    class Noisy(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.noise = noise

        def call(self, inputs):
            return self.noise(inputs, training=True)

    return Noisy()


def test_joint_training_is_compiled_once():
    trunk = tl.SharedTrunk(tl.mlp((4,), [6]), {"species": 3, "size": 2})
    iris, traces = data.load("iris"), []
    layer = trunk.backbone.get_layer("dense1")
    inner = layer.call
    layer.call = lambda x, **options: (traces.append(1), inner(x, **options))[1]
    halves = data.Domain("size", iris.inputs, iris.labels % 2, ("small", "large"))
    tl.fit_jointly(trunk, {"species": iris, "size": halves}, steps=20, batch_size=40)
    assert len(traces) <= 4  # two tasks, and TensorFlow may trace a function twice


def test_many_batches_are_compiled_and_a_few_are_not(monkeypatch):
    model, compiled = tl.TransferModel(tl.mlp((4,), [6]), 3), []
    real = type(model).predict_on_batch
    monkeypatch.setattr(
        type(model),
        "predict_on_batch",
        lambda self, batch: (compiled.append(len(batch)), real(self, batch))[1],
    )
    rows = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    few = tl.predict(model, rows)
    assert compiled == []
    many = tl.predict(model, rows, batch_size=8)
    assert compiled == [8, 8, 8, 8, 8, 8, 2]
    np.testing.assert_allclose(few, many, atol=1e-6)


def test_the_usual_batch_is_smaller_for_what_the_net_sees_large():
    seen = []
    net = tl.backbone("MobileNetV2", size=112)
    inner = net.call
    net.call = lambda inputs, **options: (seen.append(len(inputs)), inner(inputs, **options))[1]
    tl.predict(net, np.zeros((70, 8, 8, 3), dtype=np.float32))
    assert seen == [66, 4]  # 2,500,000 numbers of 112 x 112 x 3 each


def test_a_model_of_other_classes_is_refused_before_training():
    model = tl.TransferModel(tl.mlp((4,), [6]), 5)
    with pytest.raises(ValueError, match="model has 5 outputs, but train has 3 classes"):
        tl.fit(model, data.load("iris"), steps=1)


def test_a_model_of_mixed_precision_learns_and_predicts_in_float32():
    iris = data.load("iris")
    wanted = tl.predict(tl.TransferModel(tl.mlp((4,), [16]), 3), iris.inputs)
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    try:
        model = tl.TransferModel(tl.mlp((4,), [16]), 3)
    finally:
        keras.mixed_precision.set_dtype_policy(before)
    got = tl.predict(model, iris.inputs)
    assert got.dtype == np.float32 and not np.array_equal(got, wanted)
    np.testing.assert_allclose(got, wanted, atol=0.1)
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    history = tl.fit(model, iris, steps=60, lr=1e-2)
    assert history.loss[-1] < 0.7 * history.loss[0]
