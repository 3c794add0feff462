"""Freeze layers so that nothing in them moves: neither parameters nor BatchNorm statistics.

Design choices
--------------
- Layers are chosen by globs on their names, as in the PyTorch door; ``head`` and
  ``backbone.<layer>`` are the names.
- Only the innermost layers are switched. A container that is not trainable would hide all layers
  in it, and part of it could not be let go again.
- A Keras BatchNorm that is not trainable runs in inference mode: its statistics stay.
"""

from tlcourse.keras.devices import keras
from tlcourse.layering import match_names


def freeze(model, *patterns):
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
    """
    return _set_trainable(model, patterns, False)


def unfreeze(model, *patterns):
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
    """
    return _set_trainable(model, patterns, True)


def named_layers(model):
    """Name the innermost layers of a model.

    Parameters
    ----------
    model : keras.Model
        Any model.

    Returns
    -------
    dict of str to keras.layers.Layer
        From input to output; layers of a nested model are ``<model>.<layer>``.
    """
    found = {}
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            inner = named_layers(layer)
            found |= {f"{layer.name}.{name}": one for name, one in inner.items()}
        else:
            found[layer.name] = layer
    return found


def _set_trainable(model, patterns, trainable):
    """Switch the matching innermost layers."""
    if not isinstance(model, keras.Model):
        raise TypeError(f"model is a {type(model).__name__}; give a keras.Model.")
    found = named_layers(model)
    for name in match_names(found, patterns, "layers"):
        found[name].trainable = trainable
    return model
