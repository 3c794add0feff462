"""Magnitude pruning: find a sparse structure on the source and reuse it on the target.

Design choices
--------------
- A mask is a plain dict of boolean arrays by parameter name. So a structure found in one model
  goes into another: with the source's parameters, or with fresh ones of the same start.
- A pruned weight is held at zero by the layer itself: it zeroes the weight before it runs, and
  the weight's gradient after. Names, state dicts and optimisers stay what they were.
"""

import numpy as np
import torch
from torch import nn

from tlcourse.torch.models import TransferModel


def prune_mask(model: nn.Module, sparsity: float) -> dict[str, np.ndarray]:
    """Find the smallest weights of all linear and convolution layers together.

    The head of a `TransferModel` is left out, since it does not travel to the target. Biases and
    normalisation layers are never pruned.

    Parameters
    ----------
    model : torch.nn.Module
        The trained model; not changed.
    sparsity : float
        Share of the weights to prune, in [0, 1).

    Returns
    -------
    dict of str to ndarray of bool
        For each weight by its parameter's name, in the weight's shape: True where it is kept.
        Exactly ``round(sparsity * number of weights)`` entries are False.

    Raises
    ------
    ValueError
        If ``sparsity`` is out of range or there is no such layer.

    References
    ----------
    Han, Pool, Tran and Dally, "Learning both Weights and Connections for Efficient Neural
    Networks", NIPS 2015.

    Examples
    --------
    >>> import torch
    >>> import tlcourse.torch as tl
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 1))
    >>> net[0].weight.data = torch.tensor([[0.1, -0.9, 0.5, -0.2]])
    >>> tl.prune_mask(net, 0.5)["0.weight"].tolist()
    [[False, True, True, False]]
    """
    if not 0 <= sparsity < 1:
        raise ValueError(f"sparsity is {sparsity!r}; it must be in [0, 1).")
    weights = {
        f"{name}.weight": module.weight.detach().cpu().numpy()
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
        and not (isinstance(model, TransferModel) and module is model.head)
    }
    if not weights:
        raise ValueError("model has no linear or convolution layer to prune.")
    sizes = np.concatenate([np.abs(weight).ravel() for weight in weights.values()])
    keep = np.ones(len(sizes), dtype=bool)
    keep[np.argsort(sizes, kind="stable")[: round(sparsity * len(sizes))]] = False
    parts = np.split(keep, np.cumsum([weight.size for weight in weights.values()])[:-1])
    return {
        name: part.reshape(weights[name].shape) for name, part in zip(weights, parts, strict=True)
    }


def prune(model: nn.Module, mask: dict[str, np.ndarray]) -> nn.Module:
    """Set weights to zero and hold them there during training.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place. With the source's parameters it is a pruned pretrained net; with the
        parameters the source once started from, a lottery ticket; with a `fresh_copy`'s, the
        bare structure.
    mask : dict of str to ndarray of bool
        From `prune_mask`. A second mask prunes what the first one left.

    Returns
    -------
    torch.nn.Module
        The same model.

    Raises
    ------
    ValueError
        If a name or shape is not the model's.

    References
    ----------
    Frankle and Carbin, "The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural
    Networks", ICLR 2019.

    Examples
    --------
    >>> import tlcourse.torch as tl
    >>> model = tl.TransferModel(tl.backbone("small-cnn"), 10)
    >>> mask = tl.prune_mask(model, 0.75)
    >>> weights = tl.prune(model, mask).backbone.body.block4.conv.weight
    >>> ((weights != 0).numpy() == mask["backbone.body.block4.conv.weight"]).all().item()
    True
    """
    parameters = dict(model.named_parameters())
    for name, keep in mask.items():
        if name not in parameters or parameters[name].shape != keep.shape:
            there = tuple(parameters[name].shape) if name in parameters else "missing"
            raise ValueError(
                f"mask for {name!r} has shape {keep.shape}, but in the model it is "
                f"{there}; give a mask found on the same structure."
            )
    for name, keep in mask.items():
        module_name, _, weight = name.rpartition(".")
        module = model.get_submodule(module_name)
        hold = _HoldAtZero(weight, torch.from_numpy(keep))
        module.register_forward_pre_hook(hold)
        hold(module, ())
    return model


class _HoldAtZero:
    """Zeroes the pruned entries of a weight and of its gradient; copied along with the layer."""

    def __init__(self, weight, keep):
        self.weight, self.keep = weight, keep

    def __call__(self, module, _inputs):
        weight = getattr(module, self.weight)
        self.keep = self.keep.to(weight.device)
        weight.data.mul_(self.keep)
        # a deep copy of the layer has this object but not the weight's gradient hook
        watching = (weight._backward_hooks or {}).values()
        if weight.requires_grad and self._mask_gradient not in watching:
            weight.register_hook(self._mask_gradient)

    def _mask_gradient(self, gradient):
        return gradient * self.keep
