"""Structure transfer: reuse the shape of a net, with or without some of its parameters.

Design choices
--------------
- Every function returns a new model and leaves the given one alone.
- Layers are those of `layer_names`, the same that parameter transfer counts.
- A cut net runs only up to the cut: what follows is taken out, not computed and thrown away.
- Related modules: `net2net` widens and deepens, `pruning` thins out, `distillation` and
  `multitask` reuse what a net computes.
"""

import copy

import torch
from torch import fx, nn
from torchvision.models.feature_extraction import create_feature_extractor

from tlcourse.torch.devices import seeded
from tlcourse.torch.models import Backbone, TransferModel
from tlcourse.torch.parameter import check_depth, layer_names, layers


def fresh_copy(model, *, seed=0):
    """Copy a net's structure with fresh random parameters.

    Every layer is initialised as PyTorch initialises it when made; buffers such as BatchNorm's
    statistics are reset. Parameters outside PyTorch's layers, such as ViT's position embedding,
    are drawn from a normal distribution with standard deviation 0.02.

    Parameters
    ----------
    model : torch.nn.Module
        Not changed. What is frozen in it is frozen in the copy.
    seed : int
        Seed of the fresh parameters.

    Returns
    -------
    torch.nn.Module
        A new model.
    """
    fresh = copy.deepcopy(model)
    with seeded(seed), torch.no_grad():
        for module in fresh.modules():
            reset = getattr(module, "reset_parameters", getattr(module, "_reset_parameters", None))
            if reset is not None:
                reset()
            else:
                for parameter in module.parameters(recurse=False):
                    nn.init.normal_(parameter, std=0.02)
    return fresh


def copy_first(source, k, *, seed=0):
    """Copy the first layers of a net and start the rest afresh.

    Parameters
    ----------
    source : torch.nn.Module
        The pretrained net; not changed.
    k : int
        How many layers to copy, counted from the input; 0 copies only the structure.
    seed : int
        Seed of the fresh parameters.

    Returns
    -------
    torch.nn.Module
        A new model.

    Raises
    ------
    ValueError
        If ``k`` is not between 0 and the number of layers.

    References
    ----------
    Yosinski, Clune, Bengio and Lipson, "How transferable are features in deep neural networks?",
    NIPS 2014.

    Examples
    --------
    >>> net = copy_first(backbone("small-cnn", weights="letters"), 2)
    >>> model = freeze(TransferModel(net, 10), "backbone.body.block[12]")
    """
    parts = list(layers(source).values())
    check_depth("k", k, len(parts), least=0)
    prefixes = tuple(name for members in parts[:k] for name in members)
    fresh = fresh_copy(source, seed=seed)
    state = fresh.state_dict()
    with torch.no_grad():
        for name, tensor in source.state_dict().items():
            if any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes):
                state[name].copy_(tensor)
    return fresh


def cut(model, layer):
    """Cut a net after a layer and pool what comes out there into one feature vector.

    Feature maps ``(n, c, h, w)`` are averaged over space, tokens ``(n, tokens, d)`` over tokens.

    Parameters
    ----------
    model : Backbone or TransferModel
        Not changed.
    layer : str
        One of ``layer_names(model)``, not the head. Its normalisation is still part of the net.

    Returns
    -------
    Backbone
        A new backbone with its own copy of the parameters and the right ``feature_dim``.

    Raises
    ------
    TypeError
        If the model has no backbone.
    ValueError
        If there is no such layer, or its output has no such shape.
    """
    net = model.backbone if isinstance(model, TransferModel) else model
    if not isinstance(net, Backbone):
        raise TypeError(f"model is a {type(model).__name__}; give a Backbone or a TransferModel.")
    members = layers(model)
    names = [name for name in layer_names(model) if ".body." in f".{name}"]
    if layer not in names:
        raise ValueError(f"layer is {layer!r}; one can cut after {', '.join(names)}.")
    if net.name.startswith("swin"):
        raise ValueError(f"{net.name!r} keeps channels last inside; it cannot be cut here.")
    prefix = "backbone.body." if isinstance(model, TransferModel) else "body."
    last = [name.removeprefix(prefix) for name in members[layer]
            if isinstance(model.get_submodule(name.rpartition(".")[0]), nn.Module)
            and name not in dict(model.named_parameters())][-1]
    body = create_feature_extractor(copy.deepcopy(net.body), [last])
    _pool_output(body)
    pooled = Backbone(net.name, copy.deepcopy(net.preprocess), body, 0).eval()
    with torch.no_grad():
        device = next(body.parameters()).device
        images = torch.zeros(1, net.preprocess.channels, *[net.preprocess.size] * 2, device=device)
        pooled.feature_dim = pooled(images).shape[1]
    return pooled


def _pool_output(body):
    """Let a traced net return the pooled features instead of a dict of its one output."""
    for node in body.graph.nodes:
        if node.op == "output":
            (features,) = node.args[0].values()
            with body.graph.inserting_before(node):
                node.args = (body.graph.call_function(_average, (features,)),)
    body.graph.lint()
    body.recompile()


@fx.wrap
def _average(features):
    """Average ``(n, c, h, w)`` over space or ``(n, tokens, d)`` over tokens: ``(n, d)``."""
    if features.ndim == 3:
        return features.mean(dim=1)
    return features.flatten(2).mean(dim=2) if features.ndim == 4 else features
