"""Freeze layers so that nothing in them moves: neither parameters nor BatchNorm statistics.

Design choices
--------------
- Layers are chosen by globs on their names; a glob that matches nothing is an error.
- ``requires_grad = False`` alone is not frozen: in training mode BatchNorm still updates its
  running statistics, and dropout still drops. So a frozen module switches itself to evaluation
  mode each time it runs, whatever ``model.train()`` has said before.
"""

from fnmatch import fnmatchcase

from torch import nn


def freeze(model, *patterns):
    """Keep the matching layers exactly as they are during training.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place.
    *patterns : str
        Globs on the names of modules or parameters, such as ``"backbone"``,
        ``"backbone.body.block[12]"`` or ``"*.norm"``; ``*`` also matches dots. All below a
        matching module is frozen with it.

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
    >>> freeze(model, "backbone")  # only the head learns
    >>> freeze(model, "*.norm")  # all learns but the normalisation layers
    """
    modules, parameters = _matching(model, patterns)
    for module in modules:
        if _stay_still not in module._forward_pre_hooks.values():
            module.register_forward_pre_hook(_stay_still)
        module.training = False
    for parameter in parameters:
        parameter.requires_grad = False
    return model


def unfreeze(model, *patterns):
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
    """
    modules, parameters = _matching(model, patterns)
    for module in modules:
        for key, hook in list(module._forward_pre_hooks.items()):
            if hook is _stay_still:
                del module._forward_pre_hooks[key]
    for parameter in parameters:
        parameter.requires_grad = True
    return model


def is_frozen(module):
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


def match_names(names, patterns, what):
    """Return the names that match at least one glob, after checking that each glob matches.

    Parameters
    ----------
    names : iterable of str
        What to choose from.
    patterns : sequence of str
        Globs.
    what : str
        What the names stand for, for the message.

    Returns
    -------
    set of str

    Raises
    ------
    ValueError
        If no pattern is given or one matches nothing.
    """
    names = list(names)
    if not patterns:
        raise ValueError(f"no pattern is given; give globs on {what} such as 'backbone' or 'head'.")
    chosen = set()
    for pattern in patterns:
        matching = {name for name in names if fnmatchcase(name, pattern)}
        if not matching:
            raise ValueError(
                f"pattern {pattern!r} matches none of the {what}; there are {_some(names)}."
            )
        chosen |= matching
    return chosen


def _stay_still(module, _inputs):
    """Run this module in evaluation mode."""
    module.training = False


def _matching(model, patterns):
    """Return the modules and the parameters at or below a matching name."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is a {type(model).__name__}; give a torch.nn.Module.")
    modules = {name: module for name, module in model.named_modules() if name}
    parameters = dict(model.named_parameters())
    chosen = match_names([*modules, *parameters], patterns, "modules and parameters")

    def below(name):
        parts = name.split(".")
        return any(".".join(parts[: end + 1]) in chosen for end in range(len(parts)))

    return (
        [module for name, module in modules.items() if below(name)],
        [parameter for name, parameter in parameters.items() if below(name)],
    )


def _some(names, most=12):
    """List names, the shortest paths first."""
    ordered = sorted((name for name in names if name), key=lambda name: (name.count("."), name))
    more = ", ..." if len(ordered) > most else ""
    return ", ".join(ordered[:most]) + more
