"""What each layer of a net puts out, one vector for each input.

Design choices
--------------
- Outputs are caught by forward hooks, so any net can be looked into without being rewritten.
"""

import torch

from tlcourse.torch.devices import choose_device
from tlcourse.torch.training import evaluating, to_tensor


def layer_features(model, inputs, layers, *, batch_size=256, device="auto"):
    """Compute what several layers of a net put out, averaged over space.

    Parameters
    ----------
    model : torch.nn.Module
        Any net of images ``(n, c, h, w)`` or rows ``(n, d)``.
    inputs : ndarray of float32
        Images ``(n, h, w, c)`` or rows ``(n, d)``.
    layers : sequence of str
        Names of modules, such as ``"backbone.body.block1"``.
    batch_size : int
        Examples computed at once.
    device : str
        See `choose_device`.

    Returns
    -------
    dict of str to ndarray of float32, shape (n, channels)
        One entry for each layer.

    Raises
    ------
    ValueError
        If a layer does not exist.
    """
    modules = dict(model.named_modules())
    unknown = [name for name in layers if name not in modules]
    if unknown:
        names = ", ".join(list(modules)[1:12])
        raise ValueError(f"layers has {unknown[0]!r}; the model has {names}, ...")
    device = choose_device(device)
    model.to(device)
    outputs = {name: [] for name in layers}

    def keep(name):
        def hook(_module, _arguments, output):
            outputs[name].append(
                output.flatten(2).mean(2).cpu() if output.ndim > 2 else output.cpu()
            )

        return hook

    hooks = [modules[name].register_forward_hook(keep(name)) for name in layers]
    try:
        with evaluating(model), torch.inference_mode():
            for start in range(0, len(inputs), batch_size):
                model(to_tensor(inputs[start : start + batch_size], device))
    finally:
        for hook in hooks:
            hook.remove()
    return {name: torch.cat(parts).float().numpy() for name, parts in outputs.items()}
