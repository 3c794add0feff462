"""Random changes of small pictures that keep their meaning, a whole batch at once.

Design choices
--------------
- A transform is a function ``(n, c, h, w) -> (n, c, h, w)`` for `fit`, `adapt` and the recipes. It
  draws from PyTorch's random state, which those follow from their seed.
- Each picture gets its own change, and all are computed in a few tensor operations: torchvision's
  transforms change a batch alike, or one picture at a time.
- Ink is 1 on paper 0; what comes in from outside is paper.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from tlcourse.checks import check_positive

_BLUR = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 16


def strokes_augmentation(
    *,
    rotation: float = 15.0,
    shear: float = 0.3,
    scale: float = 0.25,
    aspect: float = 0.15,
    shift: float = 2.0,
    pen: bool = True,
) -> Callable[[Tensor], Tensor]:
    """Make a transform that redraws handwriting: another slant, size and place, another pen.

    Parameters
    ----------
    rotation : float
        Largest rotation to each side, in degrees.
    shear : float
        Largest shear to each side, as the tangent of the angle.
    scale, aspect : float
        Largest change of the logarithm of the size, and of that of height over width.
    shift : float
        Largest shift in each direction, in pixels.
    pen : bool
        Whether strokes become thicker or thinner, blurred, and of another contrast, each for a
        third of the pictures or so.

    Returns
    -------
    callable
        ``augment(images) -> images``, for float tensors ``(n, c, h, w)`` with ink near 1 on
        paper 0; shape, type and device stay, and so does the range from 0 to 1.

    Raises
    ------
    ValueError
        If a number is negative.

    Examples
    --------
    >>> import torch
    >>> import tlcourse.torch as tl
    >>> augment = tl.strokes_augmentation(rotation=10)
    >>> augment(torch.zeros(5, 1, 32, 32)).shape
    torch.Size([5, 1, 32, 32])
    """
    limits = {"rotation": rotation, "shear": shear, "scale": scale, "aspect": aspect}
    for name, limit in (limits | {"shift": shift}).items():
        check_positive(name, limit, or_zero=True)

    def augment(images: Tensor) -> Tensor:
        images = _moved(images, math.radians(rotation), shear, scale, aspect, shift)
        return _redrawn(images) if pen else images

    return augment


def _moved(images, rotation, shear, scale, aspect, shift):
    """Turn, slant, scale and shift each picture by its own amounts."""
    n, _, height, width = images.shape

    def drawn(limit):
        return limit * (2 * torch.rand(n, device=images.device) - 1)

    angle, slant = drawn(rotation), drawn(shear)
    size, ratio = drawn(scale), drawn(aspect)
    across, down = torch.exp(-size - ratio / 2), torch.exp(-size + ratio / 2)
    cos, sin = torch.cos(angle), torch.sin(angle)
    # where each pixel of the result comes from: rows of the inverse map
    rows = torch.stack(
        [
            torch.stack([across * cos, across * (slant * cos - sin), 2 * drawn(shift) / width], 1),
            torch.stack([down * sin, down * (slant * sin + cos), 2 * drawn(shift) / height], 1),
        ],
        dim=1,
    ).to(images)  # (n, 2, 3)
    grid = F.affine_grid(rows, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def _redrawn(images):
    """Give a part of the pictures another pen: thicker, thinner, blurred, paler or darker."""
    n, channels = images.shape[:2]

    def some(share):
        return (torch.rand(n, device=images.device) < share).view(n, 1, 1, 1)

    thicker = some(1 / 6)
    thinner = some(1 / 6) & ~thicker
    images = torch.where(thicker, F.max_pool2d(images, 3, 1, 1), images)
    images = torch.where(thinner, -F.max_pool2d(-images, 3, 1, 1), images)
    kernel = _BLUR.to(images).expand(channels, 1, 3, 3)
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    images = torch.where(some(1 / 3), F.conv2d(padded, kernel, groups=channels), images)
    gamma = torch.exp(0.5 * (2 * torch.rand(n, 1, 1, 1, device=images.device) - 1)).to(images)
    contrast = (0.7 + 0.3 * torch.rand(n, 1, 1, 1, device=images.device)).to(images)
    paler = torch.where(some(1 / 3), contrast, torch.ones_like(contrast))
    return paler * images.clamp(0, 1) ** torch.where(some(1 / 3), gamma, torch.ones_like(gamma))
