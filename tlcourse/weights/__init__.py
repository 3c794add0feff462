"""The course's own pretrained weights: small, shipped with the package, and remade by one command.

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
from pathlib import Path

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


def names():
    """List the checkpoints.

    Returns
    -------
    tuple of str
    """
    return tuple(RECIPES)


def card(name):
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
    """
    return json.loads(_file(name, ".json").read_text(encoding="utf-8"))


def load_arrays(name):
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
    """
    content = _file(name, ".safetensors").read_bytes()
    if hashlib.sha256(content).hexdigest() != card(name)["sha256"]:
        raise ValueError(
            f"the weights {name!r} are damaged: their SHA-256 is not the card's. Install the "
            f"package again, or remake them: python -m tlcourse pretrain {name}"
        )
    return load(content)


def find(net, *suffixes):
    """Find a weights file of a net in the folder that ``TLCOURSE_WEIGHTS`` names.

    Parameters
    ----------
    net : str
        Beginning of the file's name, such as ``"mobilenet_v2"``.
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
    >>> find("mobilenet_v2", ".pth", ".safetensors")
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
    return next(
        (
            path
            for path in sorted(folder.iterdir())
            if path.name.startswith(net) and path.suffix in suffixes
        ),
        None,
    )


def _file(name, suffix):
    """Return the path of a checkpoint's file."""
    if name not in RECIPES:
        raise ValueError(f"name is {name!r}; the course's weights are {', '.join(RECIPES)}.")
    return _FOLDER / f"{name}{suffix}"
