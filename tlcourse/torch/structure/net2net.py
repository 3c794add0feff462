"""Net2Net: make a net wider or deeper without changing what it computes.

Design choices
--------------
- The net is traced, so a layer's readers are known, not guessed from the order of definition.
  A layer whose output goes anywhere else than into plain layers is refused: widening it would
  change the function in silence.
- Both return a new model; the grown layers have the names of the old ones.
"""

import copy
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.nn import functional as F

from tlcourse.data import Pictures
from tlcourse.torch.structure.copying import trace
from tlcourse.torch.training import evaluating, to_tensor

_CHANNELWISE_LAYERS = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.ELU,
    nn.GELU,
    nn.SiLU,
    nn.Hardswish,
    nn.Sigmoid,
    nn.Tanh,
    nn.Identity,
    nn.Dropout,
    nn.Dropout2d,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
    nn.Flatten,
)
_CHANNELWISE_FUNCTIONS = (
    F.relu,
    F.relu6,
    F.gelu,
    F.silu,
    F.dropout,
    F.max_pool2d,
    F.avg_pool2d,
    F.adaptive_avg_pool2d,
    torch.relu,
    torch.flatten,
    torch.tanh,
    torch.sigmoid,
    "relu",
    "relu_",
    "flatten",
)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def widen(
    model: nn.Module, layer: str, width: int, *, noise: float = 0.0, seed: int = 0
) -> nn.Module:
    """Give a layer more units, copied from those it has, and share out what is read from them.

    Each new unit is a copy of a random old one, with its normalisation; the layers that read
    them divide their weights among the copies.

    Parameters
    ----------
    model : torch.nn.Module
        Not changed.
    layer : str
        Name of a linear or ungrouped convolution layer whose output goes, through activations,
        BatchNorm, dropout and pooling, only into such layers.
    width : int
        New number of units or channels, more than now.
    noise : float
        Standard deviation of Gaussian noise on the new units' weights, relative to that of the
        layer's weights. Without it and without dropout, copies stay copies during training;
        with it, the function changes a little.
    seed : int
        Seed of the choice and the noise.

    Returns
    -------
    torch.nn.Module
        A new model that computes the same, in evaluation and in training mode.

    Raises
    ------
    ValueError
        If there is no such layer, ``width`` is not larger, or the output goes elsewhere.

    References
    ----------
    Chen, Goodfellow and Shlens, "Net2Net: Accelerating Learning via Knowledge Transfer", ICLR
    2016, section 2.2 (Net2WiderNet).

    Examples
    --------
    >>> import torch
    >>> import tlcourse.torch as tl
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    >>> wide, rows = tl.widen(net, "0", 5), torch.ones(4, 2)
    >>> wide[0].out_features, torch.allclose(wide(rows), net(rows))
    (5, True)
    """
    wide = copy.deepcopy(model)
    module: Any = _plain_layer(wide, layer)
    n = module.weight.shape[0]
    if not isinstance(width, int | np.integer) or width <= n:
        raise ValueError(f"width is {width!r}; {layer!r} has {n} units, so give an integer > {n}.")
    norms, readers = _followers(wide, layer)
    rng = np.random.default_rng(seed)
    origin = np.concatenate([np.arange(n), rng.integers(n, size=width - n)])
    share = torch.from_numpy(1 / np.bincount(origin)[origin])
    origin = torch.from_numpy(origin)
    _take_units(module, origin)
    if noise:
        new = module.weight[n:].detach()
        drawn = torch.from_numpy(rng.normal(size=new.shape)).to(new.dtype).to(new.device)
        with torch.no_grad():
            module.weight[n:] += noise * module.weight.std() * drawn
    for name in norms:
        _take_units(wide.get_submodule(name), origin)
    for name in readers:
        _read_shares(wide.get_submodule(name), origin, share, n)
    return wide


def deepen(
    model: nn.Module, activation: str, inputs: np.ndarray | Pictures | None = None
) -> nn.Module:
    """Insert a layer that computes the identity, followed by the same activation, behind a ReLU.

    Parameters
    ----------
    model : torch.nn.Module
        Not changed.
    activation : str
        Name of a ReLU layer that is used once; it becomes a sequence of itself, the new layer
        (3x3 convolution or linear) and another ReLU.
    inputs : ndarray of float32, optional
        Images ``(n, h, w, c)`` or rows ``(n, d)``. Given, a BatchNorm follows the new layer; its
        statistics are those of these inputs, and its weights undo it.

    Returns
    -------
    torch.nn.Module
        A new model that computes the same in evaluation mode; in training mode too, without
        BatchNorm.

    Raises
    ------
    ValueError
        If there is no such ReLU, it is used more than once, or its width cannot be told.

    References
    ----------
    Chen, Goodfellow and Shlens, "Net2Net: Accelerating Learning via Knowledge Transfer", ICLR
    2016, section 2.3 (Net2DeeperNet).

    Examples
    --------
    >>> import torch
    >>> import tlcourse.torch as tl
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    >>> deep, rows = tl.deepen(net, "1"), torch.ones(4, 2)
    >>> deep[1][1], torch.allclose(deep(rows), net(rows))
    (Linear(in_features=3, out_features=3, bias=True), True)
    """
    deep = copy.deepcopy(model)
    relus = [name for name, module in deep.named_modules() if isinstance(module, nn.ReLU)]
    if activation not in relus:
        raise ValueError(f"activation is {activation!r}; the ReLU layers are {', '.join(relus)}.")
    before = _layer_before(deep, activation)
    width, device = before.weight.shape[0], before.weight.device
    is_spatial = isinstance(before, nn.Conv2d)
    identity: Any = (
        nn.utils.skip_init(nn.Conv2d, width, width, 3, padding=1)
        if is_spatial
        else (nn.utils.skip_init(nn.Linear, width, width))
    )
    (nn.init.dirac_ if is_spatial else nn.init.eye_)(identity.weight)
    nn.init.zeros_(identity.bias)
    new = [identity]
    if inputs is not None:
        mean, variance = _statistics(deep, activation, inputs)
        norm: Any = (nn.BatchNorm2d if is_spatial else nn.BatchNorm1d)(width)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        with torch.no_grad():
            norm.weight.copy_((variance + norm.eps).sqrt())
            norm.bias.copy_(mean)
        new.append(norm)
    relu = deep.get_submodule(activation)
    grown = nn.Sequential(relu, *new, nn.ReLU()).to(device).train(relu.training)
    deep.set_submodule(activation, grown)
    return deep


def _plain_layer(model, layer):
    """Find a linear or ungrouped convolution layer by name."""
    names = {name: module for name, module in model.named_modules() if _is_plain(module)}
    if layer not in names:
        raise ValueError(
            f"layer is {layer!r}; the linear and ungrouped convolution layers are "
            f"{', '.join(names)}."
        )
    return names[layer]


def _is_plain(module):
    """Say whether a layer is linear or an ungrouped convolution."""
    return isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)


def _only_call(graph, name):
    """Find the one place where a layer is used."""
    calls = [node for node in graph.nodes if node.op == "call_module" and node.target == name]
    if len(calls) != 1:
        raise ValueError(
            f"{name!r} is used {len(calls)} times in this net; give a layer that is used once."
        )
    return calls[0]


def _followers(model, layer):
    """Follow a layer's output to the layers that read it; return norms and readers by name."""
    graph = trace(model)
    waiting = list(_only_call(graph, layer).users)
    norms, readers = [], []
    while waiting:
        node = waiting.pop()
        module = model.get_submodule(node.target) if node.op == "call_module" else None
        if _is_plain(module):
            readers.append(node.target)
            continue
        if isinstance(module, _NORMS):
            norms.append(node.target)
        elif not isinstance(module, _CHANNELWISE_LAYERS) and not (
            node.op in ("call_function", "call_method") and node.target in _CHANNELWISE_FUNCTIONS
        ):
            raise ValueError(
                f"{layer!r} cannot be widened alone: its output goes into {node.name!r}; choose "
                "a layer that only linear and convolution layers read."
            )
        waiting.extend(node.users)
    for name in norms + readers:
        _only_call(graph, name)
    return norms, readers


def _take_units(module, origin):
    """Let a layer or a normalisation have one unit for each entry of ``origin``."""
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if tensor.ndim:
            _set(module, name, tensor.detach()[origin.to(tensor.device)])
    for attribute in ("out_features", "out_channels", "num_features"):
        if hasattr(module, attribute):
            setattr(module, attribute, len(origin))


def _read_shares(module, origin, share, n):
    """Let a layer read copies in place of units, each with its share of the weight."""
    weight = module.weight.detach()
    spatial = weight.shape[1] // n  # flattened maps have several inputs for each channel
    parts = weight.unflatten(1, (n, spatial))[:, origin.to(weight.device)]
    parts = parts * share.to(weight.dtype).to(weight.device).view(1, -1, *[1] * (parts.ndim - 2))
    _set(module, "weight", parts.flatten(1, 2))
    attribute = "in_features" if isinstance(module, nn.Linear) else "in_channels"
    setattr(module, attribute, len(origin) * spatial)


def _set(module, name, tensor):
    """Replace a parameter or a buffer; a frozen parameter stays frozen."""
    old = getattr(module, name)
    if isinstance(old, nn.Parameter):
        tensor = nn.Parameter(tensor, requires_grad=old.requires_grad)
    setattr(module, name, tensor)


def _layer_before(model, activation):
    """Find the linear or convolution layer whose output, perhaps normalised, a ReLU sees."""
    node = _only_call(trace(model), activation).args[0]
    while isinstance(node, fx.Node) and node.op == "call_module":
        module = model.get_submodule(node.target)
        if isinstance(module, nn.Linear | nn.Conv2d):
            return module
        if not isinstance(module, (*_NORMS, nn.Dropout, nn.Dropout2d, nn.MaxPool2d)):
            break
        node = node.args[0]
    raise ValueError(
        f"{activation!r} does not follow a linear or convolution layer, so the width "
        "of a new layer cannot be told."
    )


def _statistics(model, activation, inputs):
    """Measure mean and variance of each unit behind an activation, in evaluation mode."""
    seen = []
    hook = model.get_submodule(activation).register_forward_hook(
        lambda _module, _inputs, outputs: seen.append(outputs.cpu().double())
    )
    with evaluating(model), torch.no_grad():
        model(to_tensor(inputs, next(model.parameters()).device))
    hook.remove()
    outputs = seen[0].transpose(0, 1).flatten(1)  # (units, examples and places)
    return outputs.mean(dim=1).float(), outputs.var(dim=1, unbiased=False).float()
