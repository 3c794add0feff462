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
from torchvision.ops import StochasticDepth

from tlcourse.layering import check_depth
from tlcourse.torch.devices import seeded
from tlcourse.torch.feature.layerwise import average_features, keeps_channels_last
from tlcourse.torch.models import Backbone, Preprocess, TransferModel
from tlcourse.torch.parameter.layers import layer_names, layers
from tlcourse.torch.training import evaluating


def fresh_copy(model: nn.Module, *, seed: int = 0) -> nn.Module:
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

    Raises
    ------
    TypeError
        If it is no module.

    Examples
    --------
    >>> import tlcourse.torch as tl
    >>> letters = tl.backbone("small-cnn", weights="letters")
    >>> fresh = tl.fresh_copy(letters)
    >>> fresh.body.block1.norm.running_mean.abs().sum().item()
    0.0
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is a {type(model).__name__}; give a torch.nn.Module.")
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


def copy_first(source: nn.Module, k: int, *, seed: int = 0) -> nn.Module:
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
    >>> import tlcourse.torch as tl
    >>> letters = tl.backbone("small-cnn", weights="letters")
    >>> net = tl.copy_first(letters, 2)
    >>> [bool((net.body[i].conv.weight == letters.body[i].conv.weight).all()) for i in (1, 2)]
    [True, False]
    >>> model = tl.freeze(tl.TransferModel(net, 10), "backbone.body.block[12]")
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


def cut(model: Backbone | TransferModel, layer: str) -> Backbone:
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

    Examples
    --------
    >>> import tlcourse.torch as tl
    >>> tl.cut(tl.backbone("small-cnn"), "body.block2").feature_dim
    32
    """
    net = model.backbone if isinstance(model, TransferModel) else model
    if not isinstance(net, Backbone):
        raise TypeError(f"model is a {type(model).__name__}; give a Backbone or a TransferModel.")
    names = [name for name in layer_names(model) if name != "head"]
    if layer not in names:
        raise ValueError(f"layer is {layer!r}; one can cut after {', '.join(names)}.")
    if keeps_channels_last(net):
        raise ValueError(f"{net.name!r} keeps channels last inside, so it cannot be cut here.")
    modules = dict(model.named_modules())
    last = [name for name in layers(model)[layer] if name in modules][-1]
    body = _run_up_to(copy.deepcopy(net.body), last.partition("body.")[2])
    pooled = Backbone(net.name, copy.deepcopy(net.preprocess), body, 0).train(net.training)
    pooled.feature_dim = _count_features(pooled)
    return pooled


def trace(net: nn.Module) -> fx.Graph:
    """Write down what a net computes, as a graph of its layers.

    Parameters
    ----------
    net : torch.nn.Module
        A net without choices that depend on the values of its input.

    Returns
    -------
    torch.fx.Graph

    Examples
    --------
    >>> import torch
    >>> from tlcourse.torch.structure.copying import trace
    >>> [node.op for node in trace(torch.nn.Sequential(torch.nn.ReLU())).nodes]
    ['placeholder', 'call_module', 'output']
    """
    with evaluating(net):
        return _Tracer().trace(net)


class _Tracer(fx.Tracer):
    """Traces into all but PyTorch's layers and those that depend on the training mode."""

    def is_leaf_module(self, module, name):
        """Keep preprocessing and stochastic depth whole."""
        return isinstance(module, Preprocess | StochasticDepth) or super().is_leaf_module(
            module, name
        )


def _run_up_to(body, layer):
    """Make the part of a net that computes a layer's output, averaged."""
    graph = trace(body)
    nodes = list(graph.nodes)
    end = max(
        row for row, node in enumerate(nodes) if layer in node.meta.get("nn_module_stack", ())
    )
    with graph.inserting_before(nodes[-1]):
        nodes[-1].args = (graph.call_function(average_features, (nodes[end],)),)
    for node in reversed(nodes[end + 1 : -1]):
        graph.erase_node(node)
    return fx.GraphModule(body, graph)


def _count_features(net):
    """Run a backbone on one black image and count what comes out."""
    probe = copy.deepcopy(net).cpu().eval()
    images = torch.zeros(1, probe.preprocess.channels, *[probe.preprocess.size] * 2)
    with torch.no_grad():
        return probe(images).shape[1]
