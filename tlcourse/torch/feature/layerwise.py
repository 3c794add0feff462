"""What each layer of a net puts out, one vector for each input.

Design choices
--------------
- Outputs are caught by forward hooks, so any net can be looked into without being rewritten.
- An output is averaged at once, so memory holds the vectors and one batch of maps, never the maps
  of all inputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import SwinTransformer

from tlcourse.data import Pictures
from tlcourse.torch.devices import choose_device
from tlcourse.torch.training import evaluating, to_tensor


def layer_features(
    model: nn.Module,
    inputs: np.ndarray | Pictures,
    layers: Sequence[str],
    *,
    batch_size: int = 256,
    device: str = "auto",
) -> dict[str, np.ndarray]:
    """Compute what several layers of a net put out, averaged over space or over tokens.

    Feature maps ``(n, c, h, w)`` are averaged over space, tokens ``(n, tokens, c)`` over tokens. Of
    a layer with several outputs, such as attention, the first one counts. Of a layer that runs
    several times for one input, such as a ReLU that a block uses twice, the last run counts.

    Parameters
    ----------
    model : torch.nn.Module
        Any net of images ``(n, c, h, w)`` or rows ``(n, d)``.
    inputs : ndarray of float32 or Pictures
        Images ``(n, h, w, c)`` or rows ``(n, d)``.
    layers : sequence of str
        Names of modules, such as ``"backbone.body.block1"``.
    batch_size : int
        Examples computed at once.
    device : str
        See `choose_device`.

    Returns
    -------
    dict of str to ndarray of float32, shape (n, c)
        One entry for each layer.

    Raises
    ------
    ValueError
        If a layer does not exist, does not run, or puts out no such shape; for Swin transformers,
        which keep channels last inside.

    Examples
    --------
    >>> import numpy as np
    >>> import tlcourse.torch as tl
    >>> images = np.zeros((3, 32, 32, 1), dtype=np.float32)
    >>> found = tl.layer_features(tl.backbone("small-cnn"), images, ["body.block1", "body.block4"])
    >>> {name: rows.shape for name, rows in found.items()}
    {'body.block1': (3, 16), 'body.block4': (3, 128)}
    """
    modules = dict(model.named_modules())
    unknown = [name for name in layers if name not in modules]
    if unknown:
        names = ", ".join(list(modules)[1:12])
        raise ValueError(f"layers has {unknown[0]!r}; the model has {names}, ...")
    if keeps_channels_last(model):
        raise ValueError(
            "model is a Swin transformer, whose channels come last inside; give another."
        )
    on = choose_device(device)
    model.to(on)
    found, latest = {name: [] for name in layers}, {}

    def keep(name):
        def hook(_module, _arguments, output):
            latest[name] = output

        return hook

    hooks = [modules[name].register_forward_hook(keep(name)) for name in layers]
    try:
        with evaluating(model), torch.inference_mode():
            for start in range(0, len(inputs), batch_size):
                batch = inputs[start : start + batch_size]
                model(to_tensor(batch, on))
                for name, rows in found.items():
                    rows.append(_average(name, latest.pop(name, None), len(batch)))
    finally:
        for hook in hooks:
            hook.remove()
    return {name: torch.cat(rows).numpy() for name, rows in found.items()}


def average_features(features: Tensor) -> Tensor:
    """Average feature maps over space or tokens over the image.

    Parameters
    ----------
    features : torch.Tensor of float
        Shape ``(n, c, h, w)``, ``(n, tokens, c)`` or ``(n, c)``.

    Returns
    -------
    torch.Tensor of float, shape (n, c)

    Examples
    --------
    >>> import torch
    >>> from tlcourse.torch.feature.layerwise import average_features
    >>> tuple(average_features(torch.zeros(5, 16, 8, 8)).shape)
    (5, 16)
    """
    if features.ndim == 3:
        return features.mean(dim=1)
    return features.flatten(2).mean(dim=2) if features.ndim == 4 else features


def keeps_channels_last(net: nn.Module) -> bool:
    """Say whether maps inside a net are ``(n, h, w, c)``, which nothing in their shape tells.

    Parameters
    ----------
    net : torch.nn.Module
        Any net.

    Returns
    -------
    bool

    Examples
    --------
    >>> from torchvision.models import resnet18
    >>> from tlcourse.torch.feature.layerwise import keeps_channels_last
    >>> keeps_channels_last(resnet18())
    False
    """
    return any(isinstance(module, SwinTransformer) for module in net.modules())


def _average(name, output, n):
    """Average a layer's output for a batch of n inputs: float32, (n, c)."""
    output = output[0] if isinstance(output, list | tuple) else output
    if isinstance(output, torch.Tensor) and 2 <= output.ndim <= 4 and len(output) == n:
        return average_features(output).float().cpu()
    given = "nothing: it does not run"
    if output is not None:
        given = f"the shape {tuple(getattr(output, 'shape', ())) or type(output).__name__}"
    raise ValueError(
        f"layers has {name!r}, which puts out {given}; for {n} inputs a layer must put out "
        f"({n}, c), ({n}, tokens, c) or ({n}, c, h, w)."
    )
