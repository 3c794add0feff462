"""Freeze layers so that nothing in them moves: neither parameters nor BatchNorm statistics.

Design choices
--------------
- Layers are chosen by globs on their names, as in the PyTorch door; ``head`` and
  ``backbone.<layer>`` are the names.
- Only the innermost layers are switched. A container that is not trainable would hide all layers
  in it, and part of it could not be let go again.
- ``trainable = False`` alone is not frozen: BatchNorm then keeps its statistics, but dropout still
  drops, and noise and random augmentation go on. So a frozen layer runs in inference mode whatever
  ``training`` says. Keras does not save this with a model: freeze again after loading.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from tlcourse.keras.devices import keras
from tlcourse.layering import match_names


def freeze(model: keras.Model, *patterns: str) -> keras.Model:
    """Keep the matching layers exactly as they are during training.

    Parameters
    ----------
    model : keras.Model
        Changed in place.
    *patterns : str
        Globs on layer names, such as ``"backbone"``, ``"backbone.block[12]_*"`` or ``"*_norm"``.
        All below a matching container is frozen with it.

    Returns
    -------
    keras.Model
        The same model.

    Raises
    ------
    ValueError
        If no pattern is given or one matches nothing.

    Examples
    --------
    >>> import tlcourse.keras as tl
    >>> model = tl.freeze(tl.TransferModel(tl.mlp((4,), [8]), 3), "backbone")
    >>> tl.count_parameters(model, trainable=True)  # 3 * 8 weights and 3 biases
    27
    """
    return _set_trainable(model, patterns, False)


def unfreeze(model: keras.Model, *patterns: str) -> keras.Model:
    """Let the matching layers learn again.

    Parameters
    ----------
    model : keras.Model
        Changed in place.
    *patterns : str
        As for `freeze`.

    Returns
    -------
    keras.Model
        The same model.

    Raises
    ------
    ValueError
        If no pattern is given or one matches nothing.

    Examples
    --------
    >>> import tlcourse.keras as tl
    >>> model = tl.freeze(tl.TransferModel(tl.mlp((4,), [8]), 3), "*")
    >>> tl.count_parameters(tl.unfreeze(model, "head"), trainable=True)
    27
    """
    return _set_trainable(model, patterns, True)


def freeze_batch_norm(model: keras.Model) -> keras.Model:
    """Keep every BatchNorm layer exactly as it is: statistics, scale and shift.

    Parameters
    ----------
    model : keras.Model
        Changed in place. A net without BatchNorm stays as it is.

    Returns
    -------
    keras.Model
        The same model.

    Examples
    --------
    >>> import tlcourse.keras as tl
    >>> from tlcourse.keras.freezing import freeze_batch_norm
    >>> model = freeze_batch_norm(tl.TransferModel(tl.backbone("small-cnn"), 10))
    >>> tl.count_parameters(model) - tl.count_parameters(model, trainable=True)
    480
    """
    norms = [
        name
        for name, layer in named_layers(model).items()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    return freeze(model, *norms) if norms else model


def named_layers(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """Name the innermost layers of a model.

    Parameters
    ----------
    model : keras.Model
        Any model.

    Returns
    -------
    dict of str to keras.layers.Layer
        From input to output; layers of a nested model are ``<model>.<layer>``.

    Examples
    --------
    >>> import tlcourse.keras as tl
    >>> from tlcourse.keras.freezing import named_layers
    >>> list(named_layers(tl.TransferModel(tl.mlp((4,), [8]), 3)))[-2:]
    ['backbone.dense1', 'head']
    """
    found = {}
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            inner = named_layers(layer)
            found |= {f"{layer.name}.{name}": one for name, one in inner.items()}
        else:
            found[layer.name] = layer
    return found


def hold_still(layer: keras.layers.Layer) -> None:
    """Let a layer, and all inside it, run in inference mode whatever ``training`` says.

    Parameters
    ----------
    layer : keras.layers.Layer
        Changed in place; `let_go` undoes it.
    """
    for inner in layer._flatten_layers():
        _hold_still(inner)


def let_go(layer: keras.layers.Layer) -> None:
    """Undo `hold_still`.

    Parameters
    ----------
    layer : keras.layers.Layer
        Changed in place.
    """
    for inner in layer._flatten_layers():
        _let_go(inner)


def is_still(layer: keras.layers.Layer) -> bool:
    """Say whether a layer was frozen so that it runs in inference mode.

    Parameters
    ----------
    layer : keras.layers.Layer
        Any layer.

    Returns
    -------
    bool
    """
    return isinstance(layer.call, _StillCall)


def _hold_still(layer: keras.layers.Layer) -> None:
    """Let one layer run in inference mode, not those inside it."""
    if not is_still(layer) and "training" in inspect.signature(layer.call).parameters:
        layer.call = _StillCall(layer.call)


def _let_go(layer: keras.layers.Layer) -> None:
    """Undo `_hold_still`."""
    if is_still(layer):
        del layer.call  # the class's own method shows again


class _StillCall:
    """A layer's ``call`` with ``training=False``."""

    def __init__(self, call: Callable):
        self.call = call

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self.call(*args, **options | {"training": False})


def _set_trainable(model: keras.Model, patterns: tuple[str, ...], trainable: bool) -> keras.Model:
    """Switch the matching innermost layers."""
    if not isinstance(model, keras.Model):
        raise TypeError(f"model is a {type(model).__name__}; give a keras.Model.")
    found = named_layers(model)
    for name in match_names(found, patterns, "layers"):
        found[name].trainable = trainable
        (let_go if trainable else hold_still)(found[name])
    for container in _containers(model):
        # its own call may drop too; the layers in it are switched one by one
        if any(layer.trainable for layer in named_layers(container).values()):
            _let_go(container)
        else:
            _hold_still(container)
    return model


def _containers(model: keras.Model) -> Iterator[keras.Model]:
    """Yield a model and the models nested in it."""
    yield model
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _containers(layer)
