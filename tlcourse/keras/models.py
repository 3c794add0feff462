"""Backbones that carry their preprocessing, and the model made of a backbone and a linear head.

Design choices
--------------
- Preprocessing is the backbone's first layer. So pictures in [0, 1] are right for every model,
  and a forgotten ``preprocess_input``, the commonest silent fault, cannot happen.
- Random starts follow the seed: each layer is made anew with a seeded initialiser, and Keras'
  global random state is left alone.
- ``small-cnn`` is the PyTorch door's net, BatchNorm constants included, and loads its weights.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tlcourse import weights as course_weights
from tlcourse.checks import check_integer
from tlcourse.keras.devices import keras
from tlcourse.keras.freezing import hold_still, is_still

layers, ops = keras.layers, keras.ops

_LUMA = (0.299, 0.587, 0.114)


@keras.saving.register_keras_serializable("tlcourse")
class Preprocess(layers.Layer):
    """Give images the size, channels and scale that a net expects.

    Parameters
    ----------
    size : int
        Height and width in pixels; other images are resampled bilinearly.
    channels : {1, 3}
        Grey images are repeated for 3; colour images are weighted by luma (ITU-R BT.601) for 1.
    scaling : str
        ``"small-cnn"`` for (x - 0.5) / 0.5, or the name of a net in ``keras.applications``, whose
        own ``preprocess_input`` is used.
    """

    def __init__(self, size: int, channels: int, scaling: str, **options: Any) -> None:
        super().__init__(**options)
        self.size, self.channels, self.scaling = size, channels, scaling

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Return ``(n, size, size, channels)``."""
        return (input_shape[0], self.size, self.size, self.channels)

    def call(self, images: Any) -> Any:
        """Map images ``(n, h, w, c)`` in [0, 1] to ``(n, size, size, channels)``."""
        if images.shape[-1] not in (1, 3):
            raise ValueError(
                f"images have shape {tuple(images.shape)}; a backbone takes (n, h, w, 1 or 3)."
            )
        if images.shape[-1] > self.channels:
            images = ops.sum(images * ops.array(_LUMA), axis=-1, keepdims=True)
        elif images.shape[-1] < self.channels:
            images = ops.repeat(images, self.channels, axis=-1)
        if tuple(images.shape[1:3]) != (self.size, self.size):
            images = ops.image.resize(images, (self.size, self.size), antialias=True)
        if self.scaling == "small-cnn":
            return (images - 0.5) / 0.5
        return _application_module(self.scaling).preprocess_input(images * 255.0)

    def get_config(self) -> dict[str, Any]:
        """Return what the layer is made from."""
        own = {"size": self.size, "channels": self.channels, "scaling": self.scaling}
        return super().get_config() | own


@keras.saving.register_keras_serializable("tlcourse")
class TransferModel(keras.Model):
    """A backbone and a fresh linear head for the target's classes.

    Saved by ``model.save("file.keras")``, it is read again by ``keras.saving.load_model``.

    Parameters
    ----------
    backbone : keras.Model
        From inputs to features ``(n, feature_dim)``. It is used, not copied.
    n_classes : int
        Number of classes of the target.
    seed : int
        Seed of the head's start.

    Attributes
    ----------
    backbone : keras.Model
        Inputs to features.
    head : keras.layers.Dense
        Features to logits.

    Raises
    ------
    TypeError
        If the backbone is no Keras model with one feature vector for each input.
    ValueError
        If there are fewer than 2 classes.

    Examples
    --------
    >>> import tlcourse.keras as tl
    >>> tl.TransferModel(tl.backbone("small-cnn"), 10).output_shape
    (None, 10)
    """

    def __init__(self, backbone: keras.Model, n_classes: int, *, seed: int = 0) -> None:
        if not isinstance(backbone, keras.Model) or len(backbone.output_shape) != 2:
            raise TypeError(
                f"backbone is a {type(backbone).__name__}; give a keras.Model that puts out one "
                "feature vector for each input, such as tlcourse.keras.backbone(name)."
            )
        check_integer("n_classes", n_classes, smallest=2)
        # PyTorch's start of a linear layer, so that both doors start alike
        start = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform", seed=seed)
        head = layers.Dense(int(n_classes), name="head", kernel_initializer=start)
        inputs = keras.Input(backbone.input_shape[1:])
        super().__init__(inputs, head(backbone(inputs)))
        self.backbone, self.head = backbone, head

    def get_config(self) -> dict[str, Any]:
        """Return what the model is made from."""
        backbone = keras.saving.serialize_keras_object(self.backbone)
        return {"name": self.name, "backbone": backbone, "n_classes": self.head.units}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> TransferModel:
        """Make the model anew, with parameters that are still to be filled in."""
        backbone = keras.saving.deserialize_keras_object(config["backbone"], custom_objects)
        model = cls(backbone, config["n_classes"])
        model.name = config["name"]
        return model


def backbone(
    name: str,
    *,
    weights: str | Path | None = None,
    size: int | None = None,
    seed: int = 0,
) -> keras.Model:
    """Make a feature extractor.

    Parameters
    ----------
    name : str
        ``"small-cnn"`` (32x32 grey), or any image net of ``keras.applications``, such as
        ``"VGG16"``, ``"MobileNetV2"``, ``"ResNet50"``.
    weights : str or path, optional
        None for a random start; ``"letters"`` for the course's checkpoint of the small net;
        ``"imagenet"`` for Keras' own weights; or a weights file of the net without its top.
    size : int, optional
        Height and width the net sees; by default 32, or 224 for ``keras.applications``.
    seed : int
        Seed of the random start.

    Returns
    -------
    keras.Model
        Named ``"backbone"``; from images ``(n, h, w, c)`` in [0, 1] to features ``(n, d)``.

    Raises
    ------
    ValueError
        If the name is unknown or the weights do not belong to this net.
    FileNotFoundError
        If a weights file is not there, or ImageNet weights cannot be fetched.

    Examples
    --------
    >>> import tlcourse.keras as tl
    >>> tl.backbone("small-cnn", weights="letters").output_shape
    (None, 128)
    """
    if name == "small-cnn":
        net = reseed(_small_cnn(size or 32), seed)
        if weights is not None:
            _load_course_weights(net, weights)
        return net
    if not hasattr(keras.applications, name) or not name[:1].isupper():
        raise ValueError(
            f"name is {name!r}; the nets are 'small-cnn' and those of keras.applications, such as "
            "'VGG16', 'MobileNetV2' or 'ResNet50'."
        )
    if weights in course_weights.names():
        net_name = course_weights.card(str(weights))["net"]
        raise ValueError(f"weights={weights!r} belong to {net_name!r}, not to {name!r}.")
    return _application(name, weights, size or 224, seed)


def mlp(input_shape: Sequence[int], widths: Sequence[int], *, seed: int = 0) -> keras.Model:
    """Make a feature extractor of fully connected layers with ReLU.

    Parameters
    ----------
    input_shape : tuple of int
        Shape of one input, such as ``(4,)`` for Iris or ``(32, 32, 1)`` for digits.
    widths : sequence of int
        Units of each layer; the last one is the number of features.
    seed : int
        Seed of the random start.

    Returns
    -------
    keras.Model
        Named ``"backbone"``.

    Raises
    ------
    ValueError
        If there is no layer or a width is not positive.

    Examples
    --------
    >>> import tlcourse.keras as tl
    >>> tl.mlp((4,), [10, 6]).output_shape
    (None, 6)
    """
    if not len(widths) or min(widths) < 1:
        raise ValueError(f"widths is {widths!r}; give at least one positive width.")
    inputs = keras.Input(tuple(input_shape))
    features = layers.Flatten(name="flatten")(inputs)
    for place, width in enumerate(widths, start=1):
        features = layers.Dense(width, activation="relu", name=f"dense{place}")(features)
    return reseed(keras.Model(inputs, features, name="backbone"), seed)


def source_model(name: str) -> TransferModel:
    """Load one of the course's checkpoints whole, with the head for its source classes.

    Parameters
    ----------
    name : {"letters"}
        Which checkpoint; ``"signs"`` belongs to a net of the PyTorch door.

    Returns
    -------
    TransferModel

    Raises
    ------
    ValueError
        If the name is unknown or its net is not one of this door.

    Examples
    --------
    >>> import tlcourse.keras as tl
    >>> tl.source_model("letters").output_shape
    (None, 26)
    """
    net = backbone("small-cnn", weights=name)
    model = TransferModel(net, len(course_weights.card(name)["class_names"]))
    arrays = course_weights.load_arrays(name)
    model.head.set_weights([arrays["head.weight"].T, arrays["head.bias"]])
    return model


def count_parameters(model: keras.Model, *, trainable: bool = False) -> int:
    """Count the numbers that a model holds; BatchNorm statistics are none.

    Parameters
    ----------
    model : keras.Model
        Any model.
    trainable : bool
        Whether to count only what is not frozen.

    Returns
    -------
    int

    Examples
    --------
    >>> import tlcourse.keras as tl
    >>> tl.count_parameters(tl.mlp((4,), [10]))
    50
    """
    if trainable:
        return sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    return sum(int(np.prod(v.shape)) for v in model.variables if not _is_state(v))


def reseed(model: keras.Model, seed: int) -> keras.Model:
    """Copy a model's layers with fresh parameters that follow a seed.

    Parameters
    ----------
    model : keras.Model
        Functional; its parameters are not used.
    seed : int
        Seed of the start.

    Returns
    -------
    keras.Model
        The same structure and names. What is frozen in the model is frozen in the copy.
    """
    seeds = itertools.count(1000 * seed)

    def fresh(layer):
        config = layer.get_config()
        for key, value in config.items():
            is_random = isinstance(value, dict) and "seed" in value.get("config", {})
            if key.endswith("initializer") and is_random:
                value["config"]["seed"] = next(seeds)
        fresh_layer = layer.__class__.from_config(config)
        if is_still(layer):
            hold_still(fresh_layer)
        return fresh_layer

    return keras.models.clone_model(model, clone_function=fresh)


def _is_state(variable):
    """Say whether a variable is a statistic or a counter rather than a parameter."""
    return any(part in variable.path for part in ("moving_", "seed_generator"))


def _small_cnn(size):
    """Four convolution blocks and an average over space: grey images to 128 features."""
    inputs = keras.Input((None, None, None))
    x = Preprocess(size, 1, "small-cnn", name="preprocess")(inputs)
    start = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform", seed=0)
    for block, channels in enumerate((16, 32, 64, 128), start=1):
        x = layers.Conv2D(
            channels,
            3,
            padding="same",
            use_bias=False,
            kernel_initializer=start,
            name=f"block{block}_conv",
        )(x)
        x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"block{block}_norm")(x)
        x = layers.ReLU(name=f"block{block}_relu")(x)
        x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, x, name="backbone")


def _load_course_weights(net, weights):
    """Put a checkpoint of the PyTorch door into the small net."""
    if weights == "imagenet" or (
        weights in course_weights.names() and course_weights.card(weights)["net"] != "small-cnn"
    ):
        raise ValueError(f"'small-cnn' has no weights {weights!r}; use 'letters' or a file.")
    if weights not in course_weights.names():
        _load_file(net, weights)
        return
    arrays = course_weights.load_arrays(weights)
    for block in range(1, 5):
        prefix = f"backbone.body.block{block}."
        kernel = arrays[prefix + "conv.weight"].transpose(2, 3, 1, 0)  # (h, w, in, out)
        net.get_layer(f"block{block}_conv").set_weights([kernel])
        net.get_layer(f"block{block}_norm").set_weights(
            [
                arrays[prefix + f"norm.{part}"]
                for part in ("weight", "bias", "running_mean", "running_var")
            ]
        )


def _application(name, weights, size, seed):
    """Make a net of keras.applications behind its own preprocessing."""
    inputs = keras.Input((None, None, None))
    scaled = Preprocess(size, 3, name, name="preprocess")(inputs)
    make = getattr(keras.applications, name)
    try:
        net = make(
            include_top=False,
            pooling="avg",
            input_tensor=scaled,
            weights="imagenet" if weights == "imagenet" else None,
        )
    except OSError as error:
        raise FileNotFoundError(
            f"the ImageNet weights of {name!r} are not on this computer and could not be fetched "
            f"({error}). Put the file that the message names into {Path.home() / '.keras/models'}; "
            "or, offline, use backbone('small-cnn', weights='letters'), which comes with the "
            "course."
        ) from error
    net = keras.Model(inputs, net.output, name="backbone")
    if weights == "imagenet":
        return net
    net = reseed(net, seed)
    if weights is not None:
        _load_file(net, weights)
    return net


def _load_file(net, path):
    """Load a weights file of Keras; a whole net's file loads by layer."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"weights is {str(path)!r}, which is no file; give None, 'letters', 'imagenet', or the "
            "path of a weights file (.weights.h5 or .h5)."
        )
    try:
        with warnings.catch_warnings():  # a part that stays random is no success
            warnings.filterwarnings("error", "Skipping nested container", UserWarning)
            net.load_weights(path)
    except (ValueError, KeyError, OSError, UserWarning) as error:
        raise ValueError(f"weights={str(path)!r} do not fit this net: {error}") from error


def _application_module(name):
    """Find the module of a net, which has its preprocessing."""
    for module in vars(keras.applications).values():
        if hasattr(module, "preprocess_input") and hasattr(module, name):
            return module
    raise ValueError(f"keras.applications has no preprocessing for {name!r}.")
