"""The course's own pretrained weights: small, shipped with the package, and remade by one command.

The map
-------
``names``        the checkpoints that come with the package
``card``         what one was trained on, how, and how good it is
``load_arrays``  its parameters, as NumPy arrays whose hash was checked
``find``         a file of ImageNet weights that the reader has

Design choices
--------------
- Each checkpoint travels with a card that says what it was trained on, how, and how well it does
  on source examples it has not seen.
- The recipes are one literal table; ``python -m tlcourse pretrain letters`` follows it.
- Arrays are read as NumPy, so both doors can use them.
- ImageNet weights that the reader has are found by name in the folder ``TLCOURSE_WEIGHTS``. The
  book never downloads such weights by itself.
"""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load

_FOLDER = Path(__file__).parent

RECIPES = {
    "letters": {
        "net": "small-cnn",
        "domain": "rendered-letters",
        "examples": 25_000,
        "held_out": 1_000,
        "epochs": 6,
        "batch_size": 64,
        "lr": 3e-3,
        "seed": 0,
    },
    "signs": {
        "net": "small-resnet",
        "domain": "rendered-signs",
        "examples": 25_000,
        "held_out": 1_000,
        "epochs": 8,
        "batch_size": 64,
        "lr": 3e-3,
        "seed": 0,
    },
}


def names() -> tuple[str, ...]:
    """List the checkpoints.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> from tlcourse import weights
    >>> weights.names()
    ('letters', 'signs')
    """
    return tuple(RECIPES)


def card(name: str) -> dict[str, Any]:
    """Read a checkpoint's card.

    Parameters
    ----------
    name : str
        One of `names`.

    Returns
    -------
    dict
        With the recipe and ``class_names``, ``accuracy`` on the held-out source examples,
        ``parameters``, ``sha256``, ``origin``, ``licence``, ``made_with``.

    Raises
    ------
    ValueError
        If the name is unknown.

    Examples
    --------
    >>> from tlcourse import weights
    >>> card = weights.card("letters")
    >>> card["domain"], card["held_out"]
    ('rendered-letters', 1000)
    """
    return json.loads(_file(name, ".json").read_text(encoding="utf-8"))


def load_arrays(name: str) -> dict[str, np.ndarray]:
    """Read a checkpoint's arrays.

    Parameters
    ----------
    name : str
        One of `names`.

    Returns
    -------
    dict of str to ndarray
        Parameters and buffers under PyTorch's names: ``backbone.body...``, ``head...``.
        Convolutions are ``(channels_out, channels_in, h, w)``, linear layers ``(out, in)``.

    Raises
    ------
    ValueError
        If the name is unknown or the file is not the one that its card describes.

    Examples
    --------
    >>> from tlcourse import weights
    >>> arrays = weights.load_arrays("letters")
    >>> arrays["head.weight"].shape  # (letters, features)
    (26, 128)
    """
    content = _file(name, ".safetensors").read_bytes()
    if hashlib.sha256(content).hexdigest() != card(name)["sha256"]:
        raise ValueError(
            f"the weights {name!r} are damaged: their SHA-256 is not the card's. Install the "
            f"package again, or remake them: python -m tlcourse pretrain {name}"
        )
    return load(content)


def find(net: str, *suffixes: str) -> Path | None:
    """Find a weights file of a net in the folder that ``TLCOURSE_WEIGHTS`` names.

    Parameters
    ----------
    net : str
        The net's whole name, such as ``"mobilenet_v2"``. In the file's name a hash or a remark of
        the publisher may follow: ``mobilenet_v2-7ebf99e0.pth``, ``vgg16_weights_tf_notop.h5``.
        Another net is another net: ``vgg16_bn-6c64b313.pth`` is not taken for ``vgg16``.
    *suffixes : str
        Endings to accept: ``".pth"`` and ``".safetensors"`` for PyTorch, ``".h5"`` and ``".keras"``
        for Keras.

    Returns
    -------
    Path or None
        The first file by name; None without the environment variable or without such a file.

    Raises
    ------
    ValueError
        If the environment variable names no folder.

    Examples
    --------
    >>> import os, pathlib, tempfile
    >>> from tlcourse import weights
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     os.environ["TLCOURSE_WEIGHTS"] = folder
    ...     pathlib.Path(folder, "vgg16_bn-6c64b313.pth").touch()
    ...     pathlib.Path(folder, "vgg16-397923af.pth").touch()
    ...     found = weights.find("vgg16", ".pth", ".safetensors")
    ...     del os.environ["TLCOURSE_WEIGHTS"]
    >>> found.name
    'vgg16-397923af.pth'
    """
    folder = os.environ.get("TLCOURSE_WEIGHTS")
    if not folder:
        return None
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise ValueError(
            f"TLCOURSE_WEIGHTS is {str(folder)!r}, which is no folder; name the folder with your "
            "weights files, or unset it."
        )
    named = re.compile(re.escape(net) + r"([-.].*|_(weights|top|notop|no_top)(_.*)?)?")
    files = (path for path in sorted(folder.iterdir()) if path.suffix in suffixes)
    return next((path for path in files if named.fullmatch(path.stem)), None)


def _file(name, suffix):
    """Return the path of a checkpoint's file."""
    if name not in RECIPES:
        raise ValueError(f"name is {name!r}; the course's weights are {', '.join(RECIPES)}.")
    return _FOLDER / f"{name}{suffix}"
