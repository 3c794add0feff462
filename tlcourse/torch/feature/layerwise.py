"""What each layer of a net puts out, one vector for each input.

Design choices
--------------
- Outputs are caught by forward hooks, so any net can be looked into without being rewritten.
- Outputs are averaged batch by batch in `predict`, so memory holds the vectors and one batch of
  maps, never the maps of all inputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import SwinTransformer

from tlcourse.data import Pictures
from tlcourse.torch.training import predict


def layer_features(
    model: nn.Module,
    inputs: np.ndarray | Pictures,
    layers: Sequence[str],
    *,
    batch_size: int | None = None,
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
    batch_size : int, optional
        Examples computed at once; by default as for `predict`.
    device : str
        See `choose_device`.

    Returns
    -------
    dict of str to ndarray of float32, shape (n, c)
        One entry for each layer.

    Raises
    ------
    ValueError
        If there is no layer, or one does not exist, does not run, or puts out no such shape; for
        Swin transformers, which keep channels last inside.

    Examples
    --------
    >>> import numpy as np
    >>> import tlcourse.torch as tl
    >>> images = np.zeros((3, 32, 32, 1), dtype=np.float32)
    >>> found = tl.layer_features(tl.backbone("small-cnn"), images, ["body.block1", "body.block4"])
    >>> {name: rows.shape for name, rows in found.items()}
    {'body.block1': (3, 16), 'body.block4': (3, 128)}
    """
    modules, layers = dict(model.named_modules()), list(dict.fromkeys(layers))
    if not layers:
        raise ValueError("layers is empty; give at least one name, such as 'backbone'.")
    unknown = [name for name in layers if name not in modules]
    if unknown:
        names = ", ".join(list(modules)[1:12])
        raise ValueError(f"layers has {unknown[0]!r}; the model has {names}, ...")
    if keeps_channels_last(model):
        raise ValueError(
            "model is a Swin transformer, whose channels come last inside; give another."
        )
    watched = _Watched(model, layers)
    try:
        rows = predict(watched, inputs, batch_size=batch_size, device=device)
    finally:
        watched.stop()
    columns = np.split(rows, np.cumsum(watched.widths)[:-1], axis=1)
    return dict(zip(layers, columns, strict=True))


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


class _Watched(nn.Module):
    """A net whose output is what its layers put out: averaged and side by side, (n, sum of c)."""

    def __init__(self, model, names):
        super().__init__()
        self.model, self.names, self.latest, self.widths = model, names, {}, []
        modules = dict(model.named_modules())
        self.hooks = [modules[name].register_forward_hook(self._keep(name)) for name in names]

    def forward(self, inputs: Tensor) -> Tensor:
        """Run the net and average what was kept."""
        self.model(inputs)
        rows = [_average(name, self.latest.pop(name, None), len(inputs)) for name in self.names]
        self.widths = [part.shape[1] for part in rows]
        return torch.cat(rows, dim=1)

    def stop(self):
        """Take the hooks out of the net."""
        for hook in self.hooks:
            hook.remove()

    def _keep(self, name):
        def hook(_module, _arguments, output):
            self.latest[name] = output

        return hook


def _average(name, output, n):
    """Average a layer's output for a batch of n inputs: float32, (n, c)."""
    output = output[0] if isinstance(output, list | tuple) else output
    if isinstance(output, torch.Tensor) and 2 <= output.ndim <= 4 and len(output) == n:
        return average_features(output).float()
    given = "nothing: it does not run"
    if output is not None:
        given = f"the shape {tuple(getattr(output, 'shape', ())) or type(output).__name__}"
    raise ValueError(
        f"layers has {name!r}, which puts out {given}; for {n} inputs a layer must put out "
        f"({n}, c), ({n}, tokens, c) or ({n}, c, h, w)."
    )
