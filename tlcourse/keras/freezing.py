"""Freeze layers so that nothing in them moves: neither parameters nor BatchNorm statistics.

Design choices
--------------
- Layers are chosen by globs on their names, as in the PyTorch door; ``head`` and
  ``backbone.<layer>`` are the names.
- Only the innermost layers are switched. A container that is not trainable would hide all layers
  in it, and part of it could not be let go again.
- A Keras BatchNorm that is not trainable runs in inference mode: its statistics stay.
"""

from fnmatch import fnmatchcase

from tlcourse.keras.devices import keras


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


def match_names(names, patterns, what):
    """Return the names that match, or lie below a match, after checking each glob.

    Parameters
    ----------
    names : iterable of str
        What to choose from.
    patterns : sequence of str
        Globs; ``*`` also matches dots.
    what : str
        What the names stand for, for the message.

    Returns
    -------
    list of str
        In the order of ``names``.

    Raises
    ------
    ValueError
        If no pattern is given or one matches nothing.
    """
    names = list(names)
    if not patterns:
        raise ValueError(f"no pattern is given; give globs on {what} such as 'backbone' or 'head'.")
    for pattern in patterns:
        if not any(matches(name, pattern) for name in names):
            shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
            raise ValueError(f"pattern {pattern!r} matches none of the {what}; there are {shown}.")
    return [name for name in names if any(matches(name, pattern) for pattern in patterns)]


def matches(name, pattern):
    """Say whether a name or a container that it lies in matches."""
    parts = name.split(".")
    return any(fnmatchcase(".".join(parts[: end + 1]), pattern) for end in range(len(parts)))


def _set_trainable(model, patterns, trainable):
    """Switch the matching innermost layers."""
    if not isinstance(model, keras.Model):
        raise TypeError(f"model is a {type(model).__name__}; give a keras.Model.")
    found = named_layers(model)
    for name in match_names(found, patterns, "layers"):
        found[name].trainable = trainable
    return model
