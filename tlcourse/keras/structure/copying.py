"""Structure transfer: take over the architecture, whole or in part, with fresh or old parameters.

Design choices
--------------
- Every function returns a new model and leaves the source as it is.
- "Fresh" means made anew from the seed: no value of the source survives, BatchNorm's statistics
  included.
"""

from tlcourse.keras.devices import keras
from tlcourse.keras.freezing import named_layers
from tlcourse.keras.models import TransferModel, reseed
from tlcourse.keras.parameter.layers import layers
from tlcourse.layering import check_depth


def fresh_copy(model, *, seed=0):
    """Copy a model's structure with fresh parameters.

    Parameters
    ----------
    model : TransferModel or keras.Model
        The structure.
    seed : int
        Seed of the new start.

    Returns
    -------
    TransferModel or keras.Model
    """
    if isinstance(model, TransferModel):
        return TransferModel(reseed(model.backbone, seed), model.head.units, seed=seed)
    return reseed(model, seed)


def copy_first(source, k, *, seed=0):
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
    """
    groups = list(layers(source).values())
    check_depth("k", k, len(groups), least=0)
    copy = fresh_copy(source, seed=seed)
    given, taking = named_layers(source), named_layers(copy)
    for members in groups[:k]:
        for name in members:
            taking[name].set_weights(given[name].get_weights())
    return copy


def cut(model, layer):
    """Cut a net after a layer: a shallower backbone.

    Parameters
    ----------
    model : TransferModel or keras.Model
        Its backbone is cut; parameters are shared with it.
    layer : str
        Name of one of the backbone's layers, such as ``"block2_pool"``.

    Returns
    -------
    keras.Model
        Named ``"backbone"``; images are averaged over space.

    Raises
    ------
    ValueError
        If there is no such layer.
    """
    net = model.backbone if isinstance(model, TransferModel) else model
    known = [one.name for one in net.layers]
    if layer not in known:
        raise ValueError(f"layer is {layer!r}; the net has {', '.join(known[1:])}.")
    output = net.get_layer(layer).output
    if len(output.shape) == 4:
        output = keras.layers.GlobalAveragePooling2D(name=f"{layer}_average")(output)
    return keras.Model(net.input, output, name="backbone")
