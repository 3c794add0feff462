"""Load a folder of pictures: the reader's own photographs become a domain.

Design choices
--------------
- The layout is the usual one: ``train/<class>/<pictures>`` beside ``val/<class>/<pictures>``, or
  one folder of class folders, which is split by class with a seed.
- No file is on both sides. Copies, byte for byte, stay together in a split; copies in given
  ``train`` and ``val`` folders, or in two classes, are an error. Re-encoded or almost equal
  pictures are not noticed: whoever cuts a film into frames must put whole films on one side.
- Nothing is repaired or left out in silence: all bad pictures are named in one error. Hidden
  files and files with other endings, such as ``Thumbs.db`` or a stray ``.gif``, are no pictures.
- Only JPEG, PNG, BMP and WebP are decoded, whatever a file is called, and Pillow's limit on the
  number of pixels holds: it guards against pictures that unpack to many gigabytes.
- Classes are sorted by name, pictures by class and then by file name, on every system.
"""

import hashlib
import os
import unicodedata
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm.auto import tqdm

from tlcourse.data.domain import Domain

_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
_DECODERS = ("JPEG", "PNG", "BMP", "WEBP")
_VALIDATION_FOLDERS = ("val", "validation", "valid")
SMALLEST_SIDE = 8
_SHOW_PROGRESS_ABOVE = 200
_MAX_LISTED = 10


class ImageFolderError(ValueError):
    """A folder of pictures cannot be used; the message names the file or class and the remedy."""


class ImageFolder(NamedTuple):
    """The two sides of a folder of pictures, with the same class names."""

    train: Domain
    validation: Domain


def load_image_folder(path, *, size=64, channels=3, validation_share=0.25, seed=0):
    """Load a folder of pictures as a training and a validation domain.

    Two layouts are understood. With ``path/train/<class>/<pictures>`` and
    ``path/val/<class>/<pictures>`` (or ``validation``, ``valid``) the sides are as given; a
    ``test`` folder beside them is left alone. With ``path/<class>/<pictures>`` each class is
    split by chance. Pictures are JPEG, PNG, BMP or WebP files. They are turned upright as their
    EXIF data say, laid on white where transparent, resized with antialiased bilinear
    interpolation until the shorter side has ``size`` pixels, and cut to the central square.

    Parameters
    ----------
    path : path
        The folder.
    size : int
        Height and width of the loaded images in pixels, at least 8.
    channels : {3, 1}
        RGB, or grey (ITU-R 601 luma).
    validation_share : float
        Share of each class that validates, in [0, 1), where the folder is not split already; at
        least one picture of each class, unless the share is zero.
    seed : int
        Seed of that split. The same files and seed give the same split on every system.

    Returns
    -------
    ImageFolder
        ``train`` and ``validation``, images ``(n, size, size, channels)`` float32 in [0, 1]. A
        class may lack validation pictures only where the folder came split.

    Raises
    ------
    ImageFolderError
        If the layout is another one, there is only one class or a class without pictures, copies
        of a file are on both sides or in two classes, or pictures are unreadable, too large, or
        smaller than 8 pixels; it names the first ten files.
    ValueError
        If an argument is not allowed.
    """
    check_share(validation_share)
    if not isinstance(size, int | np.integer) or size < SMALLEST_SIDE:
        raise ValueError(f"size is {size!r}; it must be an integer >= {SMALLEST_SIDE} pixels.")
    if channels not in (1, 3):
        raise ValueError(f"channels is {channels!r}; it must be 3 (RGB) or 1 (grey).")
    path = Path(path).expanduser()
    class_names, files, labels, validates = _find_pictures(path, validation_share, seed)
    domains, problems = [], []
    for side in (False, True):
        rows = np.flatnonzero(validates == side)
        images, unusable = _read_pictures([files[row] for row in rows], size, channels)
        problems += unusable
        if not problems:
            name, origin = path.resolve().name, f"image folder {path}"
            domains.append(Domain(name, images, labels[rows], class_names, origin, "yours"))
    if problems:
        listed = [f"{file.relative_to(path)}: {why}" for file, why in problems]
        raise ImageFolderError(
            f"{len(problems)} pictures in {path} cannot be used; repair or remove:{_list(listed)}"
        )
    return ImageFolder(*domains)


def _find_pictures(path, validation_share, seed):
    """Return class names, files, labels (n,) and which files validate (n,), all checked."""
    folders = _given_sides(path)
    if folders is None:
        sides = [_pictures_by_class(path)]
    else:
        sides = [_pictures_by_class(folder) for folder in folders]
        unknown = [name for name in sides[1] if name not in sides[0]]
        if unknown:
            raise ImageFolderError(
                f"{folders[1]} has classes that {folders[0]} has not: {', '.join(unknown)}. "
                "Rename the folders alike, or add training pictures of these classes."
            )
    class_names = tuple(sides[0])
    if len(class_names) < 2:
        raise ImageFolderError(
            f"{folders[0] if folders else path} holds one class only, {class_names[0]!r}; "
            "a classifier needs at least two class folders."
        )
    entries = [
        (file, class_names.index(name), side)
        for side, classes in enumerate(sides)
        for name, pictures in classes.items()
        for file in pictures
    ]
    files = [file for file, _, _ in entries]
    labels, given = np.array([entry[1:] for entry in entries], dtype=np.int64).T
    keys, names = _content_keys(files), [str(file.relative_to(path)) for file in files]
    if folders:
        _refuse_leak(keys, given, names)
    refuse_two_classes(keys, labels, names)
    if folders:
        return class_names, files, labels, given == 1
    validates = choose_validation(keys, labels, class_names, validation_share, seed)
    return class_names, files, labels, validates


def _given_sides(path):
    """Return the folders of training and validation, or None if ``path`` holds the classes."""
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise ImageFolderError(f"path {path} {what}; {_expected_layout(path)}")
    folders = {folder.name.casefold(): folder for folder in _visible(path)[0]}
    validation = [folders[name] for name in _VALIDATION_FOLDERS if name in folders]
    if "train" not in folders:
        return None
    # A folder "train" alone, full of pictures, may be a class among other vehicles.
    if not validation and "test" not in folders and not _visible(folders["train"])[0]:
        return None
    if len(validation) != 1:
        found = " and ".join(folder.name for folder in validation) or "no validation folder"
        raise ImageFolderError(
            f"{path} has {folders['train'].name} and {found}; {_expected_layout(path)} "
            f"To have the training pictures split, give {folders['train']}."
        )
    return folders["train"], validation[0]


def _pictures_by_class(folder):
    """Return the pictures of each class folder, both sorted by name."""
    folders, loose = _visible(folder)
    if loose or not folders:
        found = f"the picture {loose[0].name} outside class folders" if loose else "no class folder"
        raise ImageFolderError(f"{folder} holds {found}; {_expected_layout(folder)}")
    classes = {}
    for class_folder in folders:
        inner, pictures = _visible(class_folder)
        if inner:
            raise ImageFolderError(
                f"class folder {class_folder} holds a folder, {inner[0].name}; "
                f"{_expected_layout(folder)}"
            )
        if not pictures:
            raise ImageFolderError(
                f"class folder {class_folder} holds no picture ({', '.join(_ENDINGS)}); "
                "add some or remove the folder."
            )
        classes.setdefault(composed(class_folder.name), []).extend(pictures)
    return classes


def _visible(folder):
    """Return the folders and the pictures in a folder, sorted, without hidden and other files."""
    entries = [
        entry
        for entry in sorted(folder.iterdir(), key=lambda entry: composed(entry.name))
        if not entry.name.startswith((".", "__MACOSX"))
    ]
    folders = [entry for entry in entries if entry.is_dir()]
    # A broken link is no folder and counts as a picture, so that reading it reports it.
    pictures = [
        entry for entry in entries if not entry.is_dir() and entry.suffix.lower() in _ENDINGS
    ]
    return folders, pictures


def composed(name):
    """Return a name with composed accents: macOS may store them apart, other systems together."""
    return unicodedata.normalize("NFC", name)


def _expected_layout(path):
    """Say what a folder of pictures looks like."""
    return (
        f"expected {path}{os.sep}<class>{os.sep}<pictures> for each class, or the same in two "
        f"folders train and val."
    )


def _content_keys(files):
    """Return one key for each file; keys are equal where the bytes are."""
    sizes = [file.stat().st_size if file.exists() else 0 for file in files]
    frequency = Counter(sizes)
    keys = []
    for file, size in zip(files, sizes, strict=True):
        if size == 0:
            keys.append(str(file))  # empty or missing: reading it says so
        elif frequency[size] == 1:
            keys.append(size)
        else:
            with file.open("rb") as opened:
                keys.append(hashlib.file_digest(opened, "sha256").digest())
    return keys


def _refuse_leak(keys, sides, names):
    """Refuse equal keys on both sides."""
    pairs = _pairs_apart(keys, sides, names)
    if pairs:
        raise ImageFolderError(
            f"{len(pairs)} files are in training and validation alike, so validation would only "
            f"measure memory; keep one copy of each:{_list(pairs)}"
        )


def refuse_two_classes(keys, labels, names):
    """Refuse equal keys in two classes."""
    pairs = _pairs_apart(keys, labels, names)
    if pairs:
        raise ImageFolderError(
            f"{len(pairs)} pictures are in two classes; keep the right one:{_list(pairs)}"
        )


def _pairs_apart(keys, parts, names):
    """Describe each item whose key occurred before in another part."""
    first, pairs = {}, []
    for key, part, name in zip(keys, parts, names, strict=True):
        first_part, first_name = first.setdefault(key, (part, name))
        if part != first_part:
            pairs.append(f"{first_name} = {name}")
    return pairs


def choose_validation(keys, labels, class_names, share, seed):
    """Return which items validate (n,): a share of each class, equal keys on one side."""
    rng = np.random.default_rng(seed)
    chosen = set()
    for label, class_name in enumerate(class_names):
        different = list(dict.fromkeys(keys[row] for row in np.flatnonzero(labels == label)))
        if share and len(different) < 2:
            raise ImageFolderError(
                f"class {class_name!r} has {len(different)} different picture; a split needs at "
                "least 2. Add pictures, or set validation_share=0."
            )
        n_chosen = max(1, min(round(share * len(different)), len(different) - 1)) if share else 0
        chosen.update(different[place] for place in rng.permutation(len(different))[:n_chosen])
    return np.array([key in chosen for key in keys], dtype=bool)


def _read_pictures(files, size, channels):
    """Read files in parallel: images (n, size, size, channels), and (file, reason) where bad."""
    images = np.empty((len(files), size, size, channels), dtype=np.float32)
    Image.init()  # else Pillow knows only some of the decoders

    def read_row(row):
        try:
            pixels = _read_picture(files[row], size, channels)
        except MemoryError:
            raise
        # Decoders meet broken bytes with errors of many types.
        except Exception as error:
            return files[row], _reason(files[row], error)
        np.divide(pixels.reshape(size, size, channels), 255, out=images[row], dtype=np.float32)
        return None

    # Filters hold for all threads, so they are set once, around them.
    with warnings.catch_warnings(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        results = tqdm(
            pool.map(read_row, range(len(files))),
            total=len(files),
            desc="reading pictures",
            unit="picture",
            leave=False,
            delay=2,
            disable=len(files) <= _SHOW_PROGRESS_ABOVE,
        )
        return images, [result for result in results if result]


def _read_picture(file, size, channels):
    """Return the upright central square of one picture, (size, size[, 3]) uint8."""
    with Image.open(file, formats=_DECODERS) as opened:
        if min(opened.size) < SMALLEST_SIDE:
            width, height = opened.size
            raise ValueError(f"{width}x{height} pixels; each side needs {SMALLEST_SIDE} or more")
        picture = ImageOps.exif_transpose(opened)
    if picture.mode.startswith("I"):  # 16-bit grey, which Pillow would cut off at 255
        wide = np.asarray(picture, dtype=np.float32)
        picture = Image.fromarray(np.rint(np.clip(wide / 257, 0, 255)).astype(np.uint8))
    elif picture.has_transparency_data:
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture.convert("RGBA"))
    picture = picture.convert("L" if channels == 1 else "RGB")
    return np.asarray(ImageOps.fit(picture, (size, size), Image.Resampling.BILINEAR))


def _reason(file, error):
    """Say in a few words why a file cannot be used."""
    if file.is_file() and file.stat().st_size == 0:
        return "the file is empty"
    if isinstance(error, UnidentifiedImageError):
        return "not a JPEG, PNG, BMP or WebP picture, or its beginning is damaged"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"more than {Image.MAX_IMAGE_PIXELS} pixels; save it smaller"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _list(lines):
    """Return the first lines as a list for a message."""
    more = [f"and {len(lines) - _MAX_LISTED} more"] if len(lines) > _MAX_LISTED else []
    return "".join(f"\n  {line}" for line in lines[:_MAX_LISTED] + more)


def check_share(share):
    """Refuse a share that leaves no training pictures."""
    if isinstance(share, bool) or not isinstance(share, int | float | np.number):
        raise TypeError(f"validation_share is {share!r}; give a number from 0 to below 1.")
    if not 0 <= share < 1:
        raise ValueError(f"validation_share is {share!r}; give a number from 0 to below 1.")
