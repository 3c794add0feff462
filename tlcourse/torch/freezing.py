"""Freeze layers so that nothing in them moves: neither parameters nor BatchNorm statistics.

Design choices
--------------
- Layers are chosen by globs on their names; a glob that matches nothing is an error.
- ``requires_grad = False`` alone is not frozen: in training mode BatchNorm still updates its
  running statistics, and dropout still drops. So a frozen module switches itself to evaluation
  mode each time it runs, whatever ``model.train()`` has said before.
"""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tlcourse.layering import match_names


def freeze(model: nn.Module, *patterns: str) -> nn.Module:
    """Keep the matching layers exactly as they are during training.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place.
    *patterns : str
        Globs on the names of modules or parameters, such as ``"backbone"``,
        ``"backbone.body.block[12]"`` or ``"*.norm"``; ``*`` also matches dots. All below a
        matching module is frozen with it. ``"*"`` also freezes what the model itself does
        between its parts, such as a functional dropout.

    Returns
    -------
    torch.nn.Module
        The same model.

    Raises
    ------
    ValueError
        If no pattern is given or one matches nothing.

    Examples
    --------
    >>> import tlcourse.torch as tl
    >>> model = tl.TransferModel(tl.backbone("small-cnn"), 10)
    >>> _ = tl.freeze(model, "backbone")  # only the head learns
    >>> tl.count_parameters(model, trainable=True)
    1290
    >>> _ = tl.unfreeze(tl.freeze(model, "*.norm"), "*.conv")  # all but the normalisation
    >>> sum(not parameter.requires_grad for parameter in model.parameters())
    8
    """
    modules, parameters = _matching(model, patterns)
    for module in modules:
        if _stay_still not in module._forward_pre_hooks.values():
            module.register_forward_pre_hook(_stay_still)
        module.training = False
    for parameter in parameters:
        parameter.requires_grad = False
    return model


def unfreeze(model: nn.Module, *patterns: str) -> nn.Module:
    """Let the matching layers learn again.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place.
    *patterns : str
        As for `freeze`.

    Returns
    -------
    torch.nn.Module
        The same model.

    Raises
    ------
    ValueError
        If no pattern is given or one matches nothing.

    Examples
    --------
    >>> import tlcourse.torch as tl
    >>> model = tl.freeze(tl.TransferModel(tl.backbone("small-cnn"), 10), "*")
    >>> _ = tl.unfreeze(model, "head")
    >>> [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    ['head.weight', 'head.bias']
    """
    modules, parameters = _matching(model, patterns)
    for parameter in parameters:
        parameter.requires_grad = True
    if all(parameter.requires_grad for parameter in model.parameters()):
        modules.append(model)  # the whole is no longer frozen once all of its parts learn
    for module in modules:
        for key, hook in list(module._forward_pre_hooks.items()):
            if hook is _stay_still:
                del module._forward_pre_hooks[key]
    return model


def freeze_batch_norm(model: nn.Module) -> nn.Module:
    """Keep every BatchNorm layer exactly as it is: statistics, scale and shift.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place. A net without BatchNorm stays as it is.

    Returns
    -------
    torch.nn.Module
        The same model.

    Examples
    --------
    >>> import tlcourse.torch as tl
    >>> from tlcourse.torch.freezing import freeze_batch_norm
    >>> model = freeze_batch_norm(tl.TransferModel(tl.backbone("small-cnn"), 10))
    >>> [name for name, p in model.named_parameters() if not p.requires_grad][:2]
    ['backbone.body.block1.norm.weight', 'backbone.body.block1.norm.bias']
    """
    norms = [name for name, part in model.named_modules() if isinstance(part, _BatchNorm)]
    return freeze(model, *norms) if norms else model


def is_frozen(module: nn.Module) -> bool:
    """Say whether this module itself was frozen.

    Parameters
    ----------
    module : torch.nn.Module
        Any module.

    Returns
    -------
    bool
    """
    return _stay_still in module._forward_pre_hooks.values()


def _stay_still(module, _inputs):
    """Run this module in evaluation mode."""
    module.training = False


def _matching(model, patterns):
    """Return the modules and the parameters at or below a matching name."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is a {type(model).__name__}; give a torch.nn.Module.")
    modules = dict(model.named_modules())  # the model itself has the name ""
    parameters = dict(model.named_parameters())
    chosen = set(match_names([*modules, *parameters], patterns, "modules and parameters"))
    return (
        [module for name, module in modules.items() if name in chosen],
        [parameter for name, parameter in parameters.items() if name in chosen],
    )
