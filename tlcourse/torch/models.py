"""Backbones that carry their preprocessing, and the model made of a backbone and a linear head.

Design choices
--------------
- Preprocessing is the backbone's first layer. So pictures in [0, 1] are right for every model,
  and the missing ImageNet normalisation, the commonest silent fault, cannot happen.
- Any torchvision classifier becomes a backbone by taking out its last linear layer.
- The course's two nets are small enough for a laptop's CPU, and their layers have plain names.
"""

import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any
from urllib.error import URLError

import safetensors.torch
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from tlcourse import weights as course_weights
from tlcourse.checks import check_integer
from tlcourse.torch.devices import seeded

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Preprocess(nn.Module):
    """Give images the size, channels and scale that a net expects.

    Parameters
    ----------
    size : int
        Height and width in pixels; smaller or larger images are resampled bilinearly.
    channels : {1, 3}
        Grey images are repeated for 3; colour images are weighted by luma (ITU-R BT.601) for 1.
    mean, std : sequence of float
        One number for each channel, subtracted and divided by.
    """

    mean: Tensor
    std: Tensor
    luma: Tensor

    def __init__(
        self, size: int, channels: int, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.size, self.channels = size, channels
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)
        luma = torch.tensor((0.299, 0.587, 0.114)).view(1, 3, 1, 1)
        self.register_buffer("luma", luma, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(n, c, h, w)`` in [0, 1] to ``(n, channels, size, size)``."""
        if images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ValueError(
                f"images have shape {tuple(images.shape)}; a backbone takes (n, 1 or 3, h, w)."
            )
        if images.shape[1] > self.channels:
            images = (images * self.luma).sum(dim=1, keepdim=True)
        images = images.expand(-1, self.channels, -1, -1)
        if images.shape[-2:] != (self.size, self.size):
            images = F.interpolate(
                images, (self.size, self.size), mode="bilinear", antialias=True, align_corners=False
            )
        # a repeated grey channel has no place in memory yet; convolutions want channels last
        images = images.contiguous(memory_format=torch.channels_last)
        images = (images - self.mean).div_(self.std)  # large: one copy, not two
        if self.channels == 1:  # one channel fits both orders; strides say which one is meant
            images = images.reshape(len(images), self.size, self.size, 1).movedim(3, 1)
        return images

    def extra_repr(self) -> str:
        """Show size and channels when the model is printed."""
        return f"size={self.size}, channels={self.channels}"


class Backbone(nn.Module):
    """A feature extractor: images to one feature vector each.

    Parameters
    ----------
    name : str
        Name of the net.
    preprocess : Preprocess
        What it does to images first.
    body : torch.nn.Module
        The net without its last linear layer.
    feature_dim : int
        Length of a feature vector.
    """

    def __init__(self, name: str, preprocess: nn.Module, body: nn.Module, feature_dim: int) -> None:
        super().__init__()
        self.name, self.feature_dim = name, feature_dim
        self.preprocess = preprocess
        self.body = body

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(n, c, h, w)`` in [0, 1] to features ``(n, feature_dim)``."""
        return self.body(self.preprocess(images)).flatten(1)


class TransferModel(nn.Module):
    """A backbone and a fresh linear head for the target's classes.

    Parameters
    ----------
    backbone : Backbone or torch.nn.Module
        Any module with ``feature_dim``. It is used, not copied.
    n_classes : int
        Number of classes of the target.
    seed : int
        Seed of the head's start.

    Attributes
    ----------
    backbone : torch.nn.Module
        Images to features.
    head : torch.nn.Linear
        Features to logits.

    Raises
    ------
    TypeError
        If the backbone has no ``feature_dim``.
    ValueError
        If ``n_classes`` is no integer or below 2.

    Examples
    --------
    >>> import tlcourse.torch as tl
    >>> tl.TransferModel(tl.backbone("small-cnn"), 10).head
    Linear(in_features=128, out_features=10, bias=True)
    """

    def __init__(self, backbone: nn.Module, n_classes: int, *, seed: int = 0) -> None:
        super().__init__()
        feature_dim = getattr(backbone, "feature_dim", None)
        if not isinstance(feature_dim, int):
            raise TypeError(
                f"backbone is a {type(backbone).__name__} without an integer feature_dim; "
                "make one by tlcourse.torch.backbone(name)."
            )
        n_classes = check_integer("n_classes", n_classes, smallest=2)
        self.backbone = backbone
        with seeded(seed):
            self.head = nn.Linear(feature_dim, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(n, c, h, w)`` in [0, 1] to logits ``(n, n_classes)``."""
        return self.head(self.backbone(images))


def backbone(
    name: str,
    *,
    weights: str | os.PathLike | None = None,
    size: int | None = None,
    seed: int = 0,
) -> Backbone:
    """Make a feature extractor.

    Parameters
    ----------
    name : str
        ``"small-cnn"`` (32x32 grey), ``"small-resnet"`` (64x64 colour), or any torchvision
        classification model such as ``"resnet18"``.
    weights : str or path, optional
        None for a random start; ``"letters"`` (small-cnn) or ``"signs"`` (small-resnet) for the
        course's own checkpoints; ``"imagenet"`` for torchvision's best weights; or a file: a
        state dict in safetensors or PyTorch format.
    size : int, optional
        Height and width the net sees; by default 32, 64, or what its ImageNet weights expect.
    seed : int
        Seed of the random start.

    Returns
    -------
    Backbone
        From images ``(n, c, h, w)`` in [0, 1] to features ``(n, feature_dim)``.

    Raises
    ------
    ValueError
        If the name is unknown or the weights do not belong to this net.
    FileNotFoundError
        If the weights are a file that is not there, or ImageNet weights cannot be fetched.

    Examples
    --------
    >>> import torch
    >>> import tlcourse.torch as tl
    >>> net = tl.backbone("small-cnn", weights="letters")
    >>> net(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 128])
    """
    known = (*_COURSE_NETS, *torchvision.models.list_models(module=torchvision.models))
    if name not in known:
        raise ValueError(
            f"name is {name!r}; the nets are {', '.join(map(repr, _COURSE_NETS))} and those of "
            "torchvision.models.list_models(), such as 'resnet18' or 'mobilenet_v2'."
        )
    with seeded(seed):
        if name in _COURSE_NETS:
            return _course_backbone(name, weights, size)
        return _torchvision_backbone(name, weights, size)


def source_model(name: str) -> TransferModel:
    """Load one of the course's checkpoints whole, with the head for its source classes.

    Parameters
    ----------
    name : {"letters", "signs"}
        Which checkpoint.

    Returns
    -------
    TransferModel
        In evaluation mode; its classes are ``tlcourse.weights.card(name)["class_names"]``.

    Raises
    ------
    ValueError
        If the name is unknown.

    Examples
    --------
    >>> import tlcourse.torch as tl
    >>> tl.source_model("letters").head.out_features
    26
    """
    card = course_weights.card(name)
    model = TransferModel(backbone(card["net"]), len(card["class_names"]))
    model.load_state_dict(_as_tensors(course_weights.load_arrays(name)))
    return model.eval()


def count_parameters(model: nn.Module, *, trainable: bool = False) -> int:
    """Count the numbers that a model holds.

    Parameters
    ----------
    model : torch.nn.Module
        Any model.
    trainable : bool
        Whether to count only what is not frozen.

    Returns
    -------
    int

    Examples
    --------
    >>> import tlcourse.torch as tl
    >>> model = tl.TransferModel(tl.backbone("small-cnn"), 10)
    >>> tl.count_parameters(model), tl.count_parameters(model.head)
    (98682, 1290)
    """
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trainable)


def _course_backbone(name, weights, size):
    """Make one of the course's nets and load its checkpoint."""
    make_body, channels, usual_size = _COURSE_NETS[name]
    preprocess = Preprocess(size or usual_size, channels, (0.5,) * channels, (0.5,) * channels)
    body, feature_dim = make_body()
    net = Backbone(name, preprocess, body, feature_dim)
    if weights is None:
        return net
    if weights in course_weights.names():
        card = course_weights.card(weights)
        if card["net"] != name:
            raise ValueError(f"weights={weights!r} belong to {card['net']!r}, not to {name!r}.")
        state = _as_tensors(course_weights.load_arrays(weights))
    elif weights == "imagenet":
        raise ValueError(
            f"{name!r} has no ImageNet weights; use weights from {course_weights.names()}, a "
            "file, or a torchvision net."
        )
    else:
        state = _read_state(weights)
    prefix = "backbone." if any(key.startswith("backbone.") for key in state) else ""
    state = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    _load_exactly(net, state, weights)
    return net


def _torchvision_backbone(name, weights, size):
    """Make a torchvision net, load its weights, and take out its last linear layer."""
    weights_of_net: Any = torchvision.models.get_model_weights(name)
    published = weights_of_net.DEFAULT
    if weights in course_weights.names():
        card = course_weights.card(weights)
        raise ValueError(f"weights={weights!r} belong to {card['net']!r}, not to {name!r}.")
    # the truncated normals of these two take a minute and are no better
    options = {"init_weights": False} if name in ("inception_v3", "googlenet") else {}
    net: Any = torchvision.models.get_model(name, weights=None, **options)
    if weights == "imagenet":
        net.load_state_dict(_fetch_imagenet(name, published))
    elif weights is not None:
        _load_exactly(net, _read_state(weights), weights)
    if getattr(net, "aux_logits", False):
        net.aux_logits = False  # else these nets return three results in training mode
        for auxiliary in ("AuxLogits", "aux1", "aux2"):
            if hasattr(net, auxiliary):
                setattr(net, auxiliary, None)
    feature_dim = _take_out_classifier(net)
    scale = published.transforms()
    preprocess = Preprocess(
        size or scale.crop_size[0],
        3,
        getattr(scale, "mean", _IMAGENET_MEAN),
        getattr(scale, "std", _IMAGENET_STD),
    )
    return Backbone(name, preprocess, net, feature_dim)


def _take_out_classifier(net: Any) -> int:
    """Replace the last layer with 1,000 outputs by the identity; return its input length."""
    layers = {
        name: layer
        for name, layer in net.named_modules()
        if getattr(layer, "out_features", getattr(layer, "out_channels", None)) == 1000
    }
    name, layer = list(layers.items())[-1]
    parent, _, child = name.rpartition(".")
    setattr(net.get_submodule(parent), child, nn.Identity())
    return layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels


def _fetch_imagenet(name, published):
    """Get torchvision's weights, verified by the hash in their name."""
    try:
        return published.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except (URLError, OSError, RuntimeError) as error:
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise FileNotFoundError(
            f"the ImageNet weights of {name!r} are not on this computer and could not be fetched "
            f"({error}). Download {published.url} and put it into {folder}, or give the path of a "
            "file as weights. The course's own weights are no substitute for photographs: they "
            "have read printed letters only."
        ) from error


def _read_state(path):
    """Read a state dict from safetensors, or from PyTorch's format without running its code."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"weights is {str(path)!r}, which is no file; give one of {course_weights.names()}, "
            "'imagenet', or the path of a state dict (.safetensors or .pth)."
        )
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        if isinstance(state, dict):
            return state
        reason = f"it holds a {type(state).__name__}"
    except Exception as error:  # the two readers raise many kinds, with PyTorch's pickle errors
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    raise ValueError(
        f"weights={str(path)!r} is no state dict that can be read safely ({reason}); save one by "
        "torch.save(net.state_dict(), path)."
    )


def _load_exactly(net, state, weights):
    """Load a state dict, or say which entries are missing, left over or misshaped."""
    try:
        net.load_state_dict(state)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"weights={str(weights)!r} do not fit this net: {shorten(str(error), 400)} To copy "
            "what does fit, use tlcourse.torch.copy_parameters."
        ) from error


def _as_tensors(arrays):
    """Turn NumPy arrays into tensors."""
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _convolution_block(channels_in, channels_out):
    """3x3 convolution, BatchNorm, ReLU, and maximum over 2x2: half the height and width."""
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
            norm=nn.BatchNorm2d(channels_out),
            relu=nn.ReLU(),
            pool=nn.MaxPool2d(2),
        )
    )


def _small_cnn():
    """Four convolution blocks and an average over space: 32x32 grey to 128 features."""
    body = nn.Sequential(
        OrderedDict(
            block1=_convolution_block(1, 16),  # (n, 16, 16, 16)
            block2=_convolution_block(16, 32),  # (n, 32, 8, 8)
            block3=_convolution_block(32, 64),  # (n, 64, 4, 4)
            block4=_convolution_block(64, 128),  # (n, 128, 2, 2)
            pool=nn.AdaptiveAvgPool2d(1),  # (n, 128, 1, 1)
        )
    )
    return body, 128


class _ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al., 2016); half the height and width."""

    def __init__(self, channels_in, channels_out):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.shortcut = nn.Sequential(
            OrderedDict(
                conv=nn.Conv2d(channels_in, channels_out, 1, stride=2, bias=False),
                norm=nn.BatchNorm2d(channels_out),
            )
        )

    def forward(self, x):
        """Map ``(n, channels_in, h, w)`` to ``(n, channels_out, h / 2, w / 2)``."""
        residual = F.relu(self.norm1(self.conv1(x)))
        residual = self.norm2(self.conv2(residual))
        return F.relu(residual + self.shortcut(x))


def _small_resnet():
    """Strided convolution, three residual blocks, average: 64x64 colour to 128 features."""
    body = nn.Sequential(
        OrderedDict(
            stem=nn.Sequential(
                OrderedDict(
                    conv=nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False),
                    norm=nn.BatchNorm2d(16),
                    relu=nn.ReLU(),
                )
            ),  # (n, 16, 32, 32)
            block1=_ResidualBlock(16, 32),  # (n, 32, 16, 16)
            block2=_ResidualBlock(32, 64),  # (n, 64, 8, 8)
            block3=_ResidualBlock(64, 128),  # (n, 128, 4, 4)
            pool=nn.AdaptiveAvgPool2d(1),  # (n, 128, 1, 1)
        )
    )
    return body, 128


_COURSE_NETS = {  # name: (maker of the body, channels, image size)
    "small-cnn": (_small_cnn, 1, 32),
    "small-resnet": (_small_resnet, 3, 64),
}
