"""LoRA: learn a low-rank change of the weights instead of the weights.

Design choices
--------------
- An adapted layer keeps its pretrained layer as ``.base`` and adds ``.up(.down(x))`` to it. The
  second factor starts at zero, so nothing changes until training does.
- After training, the change is added into the weights and the adapters are gone: a merged model
  costs no more than the one it came from.
- Grouped convolutions and attention's fused projections are not adapted: the first have little
  to gain, the second are no layers of their own in PyTorch.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from tlcourse.layering import match_names
from tlcourse.torch.devices import seeded
from tlcourse.torch.freezing import freeze, unfreeze
from tlcourse.torch.parameter.layers import layer_names


class LoRA(nn.Module):
    r"""A linear or convolution layer with a low-rank change beside it.

    .. math:: h = W x + \frac{\alpha}{r} B A x

    Parameters
    ----------
    base : torch.nn.Linear or torch.nn.Conv2d
        The pretrained layer, with weights :math:`W`.
    rank : int
        Rank :math:`r` of the change.
    alpha : float
        Scale of the change before division by the rank.

    Attributes
    ----------
    down : torch.nn.Module
        :math:`A`: inputs to ``rank`` numbers, with the kernel, stride and padding of the base.
    up : torch.nn.Module
        :math:`B`: ``rank`` numbers to outputs; zero at the start.

    References
    ----------
    Hu, Shen, Wallis, Allen-Zhu, Li, Wang, Wang and Chen, "LoRA: Low-Rank Adaptation of Large
    Language Models", ICLR 2022, equation 3.

    Examples
    --------
    >>> import torch
    >>> import tlcourse.torch as tl
    >>> layer = tl.LoRA(torch.nn.Linear(5, 3), rank=2, alpha=4)
    >>> layer.scale, layer.down, layer.up
    (2.0, Linear(in_features=5, out_features=2, bias=False),
     Linear(in_features=2, out_features=3, bias=False))
    """

    def __init__(self, base: nn.Linear | nn.Conv2d, rank: int, alpha: float) -> None:
        super().__init__()
        self.base, self.scale = base, alpha / rank
        if isinstance(base, nn.Linear):
            self.down = nn.Linear(base.in_features, rank, bias=False)
            self.up = nn.Linear(rank, base.out_features, bias=False)
        else:
            same = ("kernel_size", "stride", "padding", "dilation", "padding_mode")
            options = {name: getattr(base, name) for name in same}
            self.down = nn.Conv2d(base.in_channels, rank, bias=False, **options)
            self.up = nn.Conv2d(rank, base.out_channels, 1, bias=False)
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` as the base does, plus the low-rank change."""
        return self.base(x) + self.scale * self.up(self.down(x))

    def merged(self) -> nn.Linear | nn.Conv2d:
        """Add the change to the base's weights and return the base.

        Returns
        -------
        torch.nn.Linear or torch.nn.Conv2d
        """
        with torch.no_grad():
            change = torch.einsum("or,ri...->oi...", self.up.weight.flatten(1), self.down.weight)
            self.base.weight += self.scale * change
        return self.base


def add_lora(
    model: nn.Module, *patterns: str, rank: int = 4, alpha: float = 8, seed: int = 0
) -> nn.Module:
    """Freeze a model but for its head, and give layers a low-rank change to learn.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place. Its last layer is taken for the head and learns whole.
    *patterns : str
        Globs on the names of linear and ungrouped convolution layers, such as
        ``"backbone.*"``.
    rank : int
        Rank of the change; a layer then learns ``rank * (inputs + outputs)`` numbers, for
        convolutions with ``inputs`` times the kernel's area.
    alpha : float
        Scale of the change before division by the rank.
    seed : int
        Seed of the random factor.

    Returns
    -------
    torch.nn.Module
        The same model, which computes what it computed before.

    Raises
    ------
    ValueError
        If a glob matches no such layer, a layer is adapted already, or ``rank`` or ``alpha`` is
        not positive.

    Examples
    --------
    >>> import tlcourse.torch as tl
    >>> model = tl.TransferModel(tl.backbone("small-cnn"), 10)
    >>> model = tl.add_lora(model, "backbone.body.block4.conv", rank=2)
    >>> tl.count_parameters(model, trainable=True)  # 2 * (9 * 64 + 128), and the head's 1290
    2698
    """
    if not isinstance(rank, int) or rank < 1 or not alpha > 0:
        raise ValueError(
            f"rank is {rank!r} and alpha {alpha!r}; rank must be an integer >= 1 and alpha > 0."
        )
    if any(isinstance(module, LoRA) for module in model.modules()):
        raise ValueError("model has LoRA already; name all layers in one call or merge_lora first.")
    head = layer_names(model)[-1]
    candidates = [
        name for name, module in model.named_modules() if name != head and _is_adaptable(module)
    ]
    chosen = match_names(candidates, patterns, "linear and ungrouped convolution layers")
    freeze(model, "*")
    unfreeze(model, head)
    with seeded(seed):
        for name in candidates:
            if name in chosen:
                base: Any = model.get_submodule(name)
                adapted = LoRA(base, rank, alpha).to(base.weight.device)
                model.set_submodule(name, adapted)
    return model


def merge_lora(model: nn.Module) -> nn.Module:
    """Add the learnt changes to the weights and take the adapters out.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place; computes what it computed before. What was frozen stays so.

    Returns
    -------
    torch.nn.Module
        The same model.

    Raises
    ------
    ValueError
        If the model has no LoRA.

    Examples
    --------
    >>> import tlcourse.torch as tl
    >>> model = tl.add_lora(tl.TransferModel(tl.backbone("small-cnn"), 10), "backbone.*")
    >>> tl.merge_lora(model).backbone.body.block4.conv
    Conv2d(64, 128, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)
    """
    adapted = {name: module for name, module in model.named_modules() if isinstance(module, LoRA)}
    if not adapted:
        raise ValueError("model has no LoRA to merge; call add_lora first.")
    for name, module in adapted.items():
        model.set_submodule(name, module.merged())
    return model


def _is_adaptable(module):
    """Say whether a layer is called itself and maps all inputs to all outputs."""
    if isinstance(module, nn.Conv2d):
        return module.groups == 1
    # attention reads the weights of this subclass without calling it
    fused = nn.modules.linear.NonDynamicallyQuantizableLinear
    return isinstance(module, nn.Linear) and not isinstance(module, fused)
