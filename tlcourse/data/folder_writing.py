"""Write a domain as a folder of pictures, which this and other tools can load.

Design choices
--------------
- The folder appears complete or not at all, and nothing that exists is overwritten.
- One picture at a time is in memory.
- What is written can be loaded again: anything that loading refuses is refused when writing.
- The same domain and seed write the same files on every system.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from tlcourse.data.domain import Domain
from tlcourse.data.folders import (
    ImageFolderError,
    check_share,
    choose_validation,
    composed,
    refuse_two_classes,
)
from tlcourse.data.pictures import SMALLEST_SIDE

_SAVE_OPTIONS = {"png": {"format": "PNG"}, "jpg": {"format": "JPEG", "quality": 95}}
# Windows forbids these names with any ending, and names that end in a dot or space.
_DEVICE_NAME = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_UNSAFE_CHARACTERS = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_MAX_NAME_BYTES = 200


def write_image_folder(
    domain: Domain,
    path: str | os.PathLike,
    *,
    validation_share: float = 0.25,
    seed: int,
    format: str = "png",
) -> Path:
    """Write an image domain as a folder of pictures that this and other tools can load.

    The pictures are ``path/train/<class>/<class>-00001.png`` and so on, and the same under
    ``path/val``; numbers count the examples of a class in the order of the domain. The folder
    appears complete or not at all.

    Parameters
    ----------
    domain : Domain
        Images ``(n, h, w, c)`` of at least two classes; they are rounded to 8 bits.
    path : path
        Folder to make; it must not exist or be empty.
    validation_share : float
        Share of each class that goes to ``val``, in [0, 1). Zero writes one folder of class
        folders. Each class has at least one example on each side, and equal pictures stay
        together.
    seed : int
        Seed of the draw; the same seed and domain write the same files.
    format : {"png", "jpg"}
        PNG keeps every pixel; JPEG is smaller and does not.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ImageFolderError
        If ``path`` is in use, one picture has two classes, or a class is too small to split.
    ValueError
        If the domain holds no images, only one class, an empty class or a class name that is not
        safe as a folder name on every system; or another argument is not allowed.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from tlcourse import data
    >>> digits = data.load("handwritten-digits", n=100)
    >>> path = data.write_image_folder(digits, Path(tempfile.mkdtemp(), "digits"), seed=0)
    >>> sorted(folder.name for folder in path.iterdir())
    ['train', 'val']
    """
    path = Path(path).expanduser()
    check_share(validation_share)
    if format not in _SAVE_OPTIONS:
        raise ValueError(f"format is {format!r}; choose {' or '.join(map(repr, _SAVE_OPTIONS))}.")
    _check_writable(domain)
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise ImageFolderError(
            f"path {path} already exists; nothing was written. Give a new or an empty folder."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".writing.") as scratch:
        names = _file_names(domain, format)
        keys = _write_files(domain, names, Path(scratch, "all"), format)
        refuse_two_classes(keys, domain.labels, names)
        validates = choose_validation(
            keys, domain.labels, domain.class_names, validation_share, seed
        )
        complete = Path(scratch, "complete")
        for name, aside in zip(names, validates, strict=True):
            side = ("val" if aside else "train") if validation_share else ""
            (complete / side / name).parent.mkdir(parents=True, exist_ok=True)
            os.rename(Path(scratch, "all", name), complete / side / name)
        if path.exists():
            path.rmdir()  # Windows does not move a folder onto an empty one
        os.rename(complete, path)
    return path


def _write_files(domain, names, folder, format):
    """Write each image under its name; return the SHA-256 of each file."""
    keys = []
    for image, name in zip(domain.inputs, names, strict=True):
        content = _encode(image, format)
        keys.append(hashlib.sha256(content).digest())
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return keys


def _check_writable(domain):
    """Refuse a domain that could not be loaded again from a folder."""
    if not domain.is_image:
        raise ValueError(f"domain {domain.name!r} holds rows, not images (n, h, w, c).")
    if min(domain.inputs.shape[1:3]) < SMALLEST_SIDE:
        raise ValueError(
            f"images of {domain.name!r} have shape {domain.inputs.shape[1:]}; "
            f"each side needs {SMALLEST_SIDE} pixels or more."
        )
    if domain.n_classes < 2:
        raise ValueError(f"domain {domain.name!r} has one class only, {domain.class_names}.")
    counts = np.bincount(domain.labels, minlength=domain.n_classes)
    for name, count in zip(domain.class_names, counts, strict=True):
        _check_folder_name(name)
        if count == 0:
            raise ValueError(f"class {name!r} of {domain.name!r} has no example to write.")
    same = Counter(composed(name).casefold() for name in domain.class_names).most_common(1)[0]
    if same[1] > 1:
        raise ValueError(
            f"{same[1]} classes of {domain.name!r} would share the folder {same[0]!r} where file "
            "names ignore case; rename them with dataclasses.replace(domain, class_names=...)."
        )


def _check_folder_name(name):
    """Refuse a class name that some system cannot keep as a folder name."""
    if (
        not name.strip()
        or name != name.strip()
        or name.startswith((".", "__MACOSX"))
        or name.endswith(".")
        or _UNSAFE_CHARACTERS.search(name)
        or _DEVICE_NAME.fullmatch(name)
        or len(name.encode()) > _MAX_NAME_BYTES
    ):
        raise ValueError(
            f"class name {name!r} is not safe as a folder name on every system; rename it with "
            "dataclasses.replace(domain, class_names=...), such as 'a-b' for 'a/b'."
        )


def _file_names(domain, format):
    """Return ``<class>/<class>-<number>.<format>`` for each example."""
    seen = Counter()
    digits = max(5, len(str(len(domain))))  # so that sorting by name keeps the order
    names = []
    for label in domain.labels:
        name = domain.class_names[label]
        seen[name] += 1
        names.append(f"{name}/{name}-{seen[name]:0{digits}d}.{format}")
    return names


def _encode(image, format):
    """Return one image (h, w, c) as the bytes of a picture file."""
    pixels = np.rint(image * 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(
        buffer, **_SAVE_OPTIONS[format]
    )
    return buffer.getvalue()
