"""Structure transfer: take over the architecture, whole or in part, with fresh or old parameters.

Design choices
--------------
- Every function returns a new model and leaves the source as it is.
- "Fresh" means made anew from the seed: no value of the source survives, BatchNorm's statistics
  included.
"""

from __future__ import annotations

from tlcourse.keras.devices import keras
from tlcourse.keras.freezing import freeze, named_layers
from tlcourse.keras.models import TransferModel, reseed
from tlcourse.keras.parameter.layers import layers
from tlcourse.layering import check_depth


def fresh_copy(model: TransferModel | keras.Model, *, seed: int = 0) -> TransferModel | keras.Model:
    """Copy a model's structure with fresh parameters.

    Parameters
    ----------
    model : TransferModel or keras.Model
        Functional; not changed. What is frozen in it is frozen in the copy.
    seed : int
        Seed of the fresh parameters.

    Returns
    -------
    TransferModel or keras.Model
        A new model.

    Examples
    --------
    >>> import tlcourse.keras as tl
    >>> net = tl.mlp((4,), [8], seed=0)
    >>> tl.layer_names(tl.fresh_copy(net, seed=1)) == tl.layer_names(net)
    True
    """
    if not isinstance(model, TransferModel):
        return reseed(model, seed)
    fresh = TransferModel(reseed(model.backbone, seed), model.head.units, seed=seed)
    return fresh if model.head.trainable else freeze(fresh, "head")


def copy_first(
    source: TransferModel | keras.Model, k: int, *, seed: int = 0
) -> TransferModel | keras.Model:
    """Copy the first k layers with their parameters, the rest fresh.

    Parameters
    ----------
    source : TransferModel or keras.Model
        Where structure and parameters come from.
    k : int
        Layers to copy, from 0 to all (see `tlcourse.keras.layers`).
    seed : int
        Seed of the fresh layers.

    Returns
    -------
    TransferModel or keras.Model

    Raises
    ------
    ValueError
        If the model has fewer layers.

    References
    ----------
    Yosinski, Clune, Bengio and Lipson, "How transferable are features in deep neural networks?",
    NIPS 2014.

    Examples
    --------
    >>> import tlcourse.keras as tl
    >>> net = tl.backbone("small-cnn", weights="letters")
    >>> half = tl.copy_first(net, 2)  # block1 and block2 of the letters, the rest fresh
    """
    groups = list(layers(source).values())
    check_depth("k", k, len(groups), least=0)
    copy = fresh_copy(source, seed=seed)
    given, taking = named_layers(source), named_layers(copy)
    for members in groups[:k]:
        for name in members:
            taking[name].set_weights(given[name].get_weights())
    return copy


def cut(model: TransferModel | keras.Model, layer: str) -> keras.Model:
    """Cut a net after a layer and pool what comes out there into one feature vector.

    Feature maps ``(n, h, w, c)`` are averaged over space, tokens ``(n, tokens, d)`` over tokens.

    Parameters
    ----------
    model : TransferModel or keras.Model
        Its backbone is cut; it is not changed.
    layer : str
        Name of one of the backbone's layers, such as ``"block2_pool"``.

    Returns
    -------
    keras.Model
        Named ``"backbone"``, with its own copy of the parameters.

    Raises
    ------
    ValueError
        If there is no such layer.

    Examples
    --------
    >>> import tlcourse.keras as tl
    >>> tl.cut(tl.backbone("small-cnn"), "block2_pool").output_shape
    (None, 32)
    """
    net = model.backbone if isinstance(model, TransferModel) else model
    known = [one.name for one in net.layers]
    if layer not in known:
        raise ValueError(f"layer is {layer!r}; the net has {', '.join(known[1:])}.")
    output = net.get_layer(layer).output
    average = {
        3: keras.layers.GlobalAveragePooling1D,
        4: keras.layers.GlobalAveragePooling2D,
    }.get(len(output.shape))
    if average is not None:
        output = average(name=f"{layer}_average")(output)
    shared = keras.Model(net.input, output, name="backbone")
    own = reseed(shared, 0)
    own.set_weights(shared.get_weights())
    return own
