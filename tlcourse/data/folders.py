"""Load a folder of pictures: the reader's own photographs become a domain.

Design choices
--------------
- The layout is the usual one: ``train/<class>/<pictures>`` beside ``val/<class>/<pictures>``, or
  one folder of class folders, which is split by class with a seed.
- No file is on both sides. Copies, byte for byte, stay together in a split; copies in given
  ``train`` and ``val`` folders, or in two classes, are a problem. Re-encoded or almost equal
  pictures are not noticed: whoever cuts a film into frames must put whole films on one side.
- Nothing is repaired or left out in silence: an error names all problems at once, or they are
  left out by request and named in the result. Hidden files and files that are no pictures, such
  as ``Thumbs.db``, do not count; picture files of formats that are not read are warned about.
- The pictures stay files or bytes (`Pictures`), so a folder may be larger than memory.
- Classes are sorted by name, pictures by class and then by file name, on every system.
"""

from __future__ import annotations

import os
import unicodedata
import warnings
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlcourse.data.domain import Domain
from tlcourse.data.pictures import KEEP_BYTES, Pictures, PictureSource, list_lines

_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
_UNREAD_ENDINGS = (".gif", ".heic", ".heif", ".avif", ".tif", ".tiff", ".jfif", ".jp2", ".jxl")
_NOT_READ = "its format is not read; save it as JPEG or PNG"
_VALIDATION_FOLDERS = ("val", "validation", "valid")


class ImageFolderError(ValueError):
    """A folder of pictures cannot be used; the message names the file or class and the remedy."""


@dataclass(frozen=True, eq=False)
class ImageFolder:
    """The two sides of a folder of pictures, with the same class names.

    ``train, validation = load_image_folder(path)`` unpacks them.

    Parameters
    ----------
    train, validation : Domain
        The two sides.
    left_out : tuple of (str, str)
        Every picture file that is in neither: its path below the folder, and the reason.
    """

    train: Domain
    validation: Domain
    left_out: tuple[tuple[str, str], ...] = ()

    def __iter__(self) -> Iterator[Domain]:
        """Unpack the two sides."""
        return iter((self.train, self.validation))


def load_image_folder(
    path: str | os.PathLike,
    *,
    size: int = 224,
    channels: int = 3,
    validation_share: float = 0.25,
    seed: int = 0,
    on_problem: str = "raise",
    keep_bytes: int = KEEP_BYTES,
) -> ImageFolder:
    """Load a folder of pictures as a training and a validation domain.

    Two layouts are understood. With ``path/train/<class>/<pictures>`` and
    ``path/val/<class>/<pictures>`` (or ``validation``, ``valid``) the sides are as given; a
    ``test`` folder beside them is left alone. With ``path/<class>/<pictures>`` each class is
    split by chance. Pictures are JPEG, PNG, BMP or WebP files, read as by `read_picture`.

    Parameters
    ----------
    path : path
        The folder.
    size : int
        Height and width of the loaded images in pixels, at least 8. Give what your net looks at:
        224 for most nets trained on ImageNet, ``net.preprocess.size`` for any of the course's.
    channels : {3, 1}
        RGB, or grey (ITU-R 601 luma).
    validation_share : float
        Share of each class that validates, in [0, 1), where the folder is not split already; at
        least one picture of each class, unless the share is zero.
    seed : int
        Seed of that split. The same files and seed give the same split on every system.
    on_problem : {"raise", "skip"}
        What to do about pictures that are unreadable, too small or too large, in two classes, or
        on both sides: raise an error that names them, or leave them out. Of a picture in two
        classes every copy is left out, as nobody knows the right one. Of a picture on both sides
        the training copies are left out, so the validation set stays the one that others use.
    keep_bytes : int
        As for `Pictures`: memory for the pixels of both sides together, 1 GiB by default. Pictures
        that do not fit are decoded again on each access.

    Returns
    -------
    ImageFolder
        ``train`` and ``validation``, whose inputs are `Pictures` ``(n, size, size, channels)``
        float32 in [0, 1]; and ``left_out``, which names the pictures that are in neither. A class
        may lack validation pictures only where the folder came split.

    Raises
    ------
    ImageFolderError
        If the layout is another one, there is only one class or a class without training pictures,
        or a picture has a problem that is not to be skipped; it names the first ten files.
    ValueError
        If an argument is not allowed.

    Warns
    -----
    UserWarning
        Once, if there are picture files of other formats, such as GIF or HEIC, and problems are
        not to be skipped. They are left out in any case, and named in ``left_out``.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from tlcourse import data
    >>> folder = Path(tempfile.mkdtemp(), "animals")
    >>> for place, name in enumerate(("ant", "bee")):
    ...     (folder / name).mkdir(parents=True)
    ...     for number in range(4):
    ...         colour = (60 * number, 100 * place, 0)
    ...         Image.new("RGB", (40, 30), colour).save(folder / name / f"{number}.png")
    >>> (folder / "bee" / "broken.jpg").write_bytes(b"no picture")
    10
    >>> sides = data.load_image_folder(folder, size=16, on_problem="skip")
    >>> sides.train
    Domain('animals', 6 x 16x16x3, 2 classes)
    >>> sides.left_out
    (('bee/broken.jpg', 'not a JPEG, PNG, BMP or WebP picture, or its beginning is damaged'),)
    """
    check_share(validation_share)
    if on_problem not in ("raise", "skip"):
        raise ValueError(f"on_problem is {on_problem!r}; choose 'raise' or 'skip'.")
    path = Path(path).expanduser()
    listing = _list_pictures(path)
    source = PictureSource(listing.files, size, channels, keep_bytes)
    problems = listing.find_problems(source, path)
    if on_problem == "raise":
        _report(listing, problems, path)
    rows = np.array([row for row in range(len(listing.files)) if row not in problems], dtype=int)
    labels, keys = listing.labels[rows], [source.digests[row] for row in rows]
    if listing.validates is None:
        validates = choose_validation(keys, labels, listing.class_names, validation_share, seed)
    else:
        validates = listing.validates[rows]
    _refuse_empty_class(labels[~validates], listing.class_names, path)
    domains = [
        Domain(
            path.resolve().name,
            Pictures.of(source, rows[validates == side]),
            labels[validates == side],
            listing.class_names,
            f"image folder {path}",
            "yours",
        )
        for side in (False, True)
    ]
    reasons = {listing.files[row]: reason for row, reason in problems.items()}
    reasons |= dict.fromkeys(listing.unread, _NOT_READ)
    left_out = ((file.relative_to(path).as_posix(), reason) for file, reason in reasons.items())
    return ImageFolder(*domains, left_out=tuple(sorted(left_out)))


@dataclass(frozen=True)
class _Listing:
    """The picture files of a folder, with the class and, where given, the side of each."""

    class_names: tuple[str, ...]
    files: list[Path]
    labels: np.ndarray
    validates: np.ndarray | None
    unread: list[Path]

    def find_problems(self, source, path):
        """Return, by row, why a picture cannot be used."""
        names = [file.relative_to(path).as_posix() for file in self.files]
        good = [row for row in range(len(names)) if row not in source.problems]
        found = dict(source.problems)
        for rows in _copies([source.digests[row] for row in good]):
            found |= self._problems_of_copies([good[place] for place in rows], names)
        return dict(sorted(found.items()))

    def _problems_of_copies(self, rows, names):
        """Return, by row, why copies of one picture cannot stay; nothing if all of them can."""
        if len(set(self.labels[rows])) > 1:
            return dict(_in_two_classes(rows, self.labels, names))
        if self.validates is None or len(set(self.validates[rows])) < 2:
            return {}
        twin = next(names[row] for row in rows if self.validates[row])
        reason = f"it validates, too, as {twin}: validation would only measure memory"
        return {row: reason for row in rows if not self.validates[row]}


def _list_pictures(path):
    """List the pictures of either layout, with checked classes."""
    folders = _given_sides(path)
    sides = [_files_by_class(folder) for folder in folders or [path]]
    if folders:
        unknown = [name for name in sides[1] if name not in sides[0]]
        if unknown:
            raise ImageFolderError(
                f"{folders[1]} has classes that {folders[0]} has not: {', '.join(unknown)}. "
                "Rename the folders alike, or add training pictures of these classes."
            )
    class_names = tuple(sides[0])
    if len(class_names) < 2:
        raise ImageFolderError(
            f"{folders[0] if folders else path} holds one class only, {', '.join(class_names)!r}; "
            "a classifier needs at least two class folders."
        )
    entries = [
        (file, class_names.index(name), side)
        for side, classes in enumerate(sides)
        for name, files in classes.items()
        for file in files
    ]
    pictures = [entry for entry in entries if entry[0].suffix.lower() in _ENDINGS]
    labels, given = np.array([entry[1:] for entry in pictures], dtype=np.int64).T
    return _Listing(
        class_names,
        [file for file, _, _ in pictures],
        labels,
        given == 1 if folders else None,
        [file for file, _, _ in entries if file.suffix.lower() in _UNREAD_ENDINGS],
    )


def _report(listing, problems, path):
    """Raise an error that names the problems, or warn of files that are not read."""
    n, unread = len(listing.files), listing.unread
    if problems:
        lines = [f"{listing.files[row].relative_to(path)}: {why}" for row, why in problems.items()]
        raise ImageFolderError(
            f"{len(problems)} of {n} pictures in {path} cannot be used; repair or remove them, or "
            f"leave them out with on_problem='skip':{list_lines(lines)}"
        )
    if unread:
        endings = ", ".join(sorted({file.suffix.lower() for file in unread}))
        warnings.warn(
            f"left out {len(unread)} of {n + len(unread)} picture files in {path}, of formats that "
            f"are not read ({endings}), such as {unread[0].relative_to(path)}; save them as JPEG "
            "or PNG.",
            stacklevel=3,
        )


def _refuse_empty_class(labels, class_names, path):
    """Refuse a class that has no training picture left."""
    for label, name in enumerate(class_names):
        if label not in labels:
            raise ImageFolderError(
                f"no training picture of class {name!r} in {path} can be used; add some."
            )


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


def _files_by_class(folder):
    """Return the picture files of each class folder, both sorted by name; at least one is read."""
    folders, loose = _visible(folder)
    loose = [file for file in loose if file.suffix.lower() in _ENDINGS]
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
        if not any(file.suffix.lower() in _ENDINGS for file in pictures):
            raise ImageFolderError(
                f"class folder {class_folder} holds no picture ({', '.join(_ENDINGS)}); "
                "add some or remove the folder."
            )
        classes.setdefault(composed(class_folder.name), []).extend(pictures)
    return classes


def _visible(folder):
    """Return the folders and picture files in a folder, sorted, without hidden and other files."""
    entries = [
        entry
        for entry in sorted(folder.iterdir(), key=lambda entry: composed(entry.name))
        if not entry.name.startswith((".", "__MACOSX"))
    ]
    folders = [entry for entry in entries if entry.is_dir()]
    # A broken link is no folder and counts as a picture, so that reading it reports it.
    pictures = [
        entry
        for entry in entries
        if not entry.is_dir() and entry.suffix.lower() in _ENDINGS + _UNREAD_ENDINGS
    ]
    return folders, pictures


def composed(name: str) -> str:
    """Return a name with composed accents: macOS may store them apart, other systems together."""
    return unicodedata.normalize("NFC", name)


def _expected_layout(path):
    """Say what a folder of pictures looks like."""
    return (
        f"expected {path}{os.sep}<class>{os.sep}<pictures> for each class, or the same in two "
        f"folders train and val."
    )


def refuse_two_classes(keys: Sequence[Hashable], labels: np.ndarray, names: Sequence[str]) -> None:
    """Refuse equal keys in two classes; ``labels`` has shape (n,), as many as keys and names."""
    found = {}
    for rows in _copies(keys):
        if len(set(labels[rows])) > 1:
            found |= _in_two_classes(rows, labels, names)
    if found:
        listed = [f"{names[row]}: {reason}" for row, reason in found.items()]
        raise ImageFolderError(
            f"{len(found)} pictures are in two classes; keep the right one:{list_lines(listed)}"
        )


def _copies(keys):
    """Return the rows of each key that occurs more than once."""
    rows_of = defaultdict(list)
    for row, key in enumerate(keys):
        rows_of[key].append(row)
    return [rows for rows in rows_of.values() if len(rows) > 1]


def _in_two_classes(rows, labels, names):
    """Say of each copy which one is in another class."""
    for row in rows:
        twin = next(names[other] for other in rows if labels[other] != labels[row])
        yield row, f"the same picture is in another class, as {twin}"


def choose_validation(
    keys: Sequence[Hashable],
    labels: np.ndarray,
    class_names: Sequence[str],
    share: float,
    seed: int,
) -> np.ndarray:
    """Return which items validate (n,): a share of each class, equal keys on one side."""
    rng = np.random.default_rng(seed)
    chosen = set()
    for label, class_name in enumerate(class_names):
        different = list(dict.fromkeys(keys[int(row)] for row in np.flatnonzero(labels == label)))
        if share and len(different) < 2:
            raise ImageFolderError(
                f"class {class_name!r} has {len(different)} different picture; a split needs at "
                "least 2. Add pictures, or set validation_share=0."
            )
        n_chosen = max(1, min(round(share * len(different)), len(different) - 1)) if share else 0
        chosen.update(different[place] for place in rng.permutation(len(different))[:n_chosen])
    return np.array([key in chosen for key in keys], dtype=bool)


def check_share(share: float) -> None:
    """Refuse a share that leaves no training pictures."""
    if isinstance(share, bool) or not isinstance(share, int | float | np.number):
        raise TypeError(f"validation_share is {share!r}; give a number from 0 to below 1.")
    if not 0 <= share < 1:
        raise ValueError(f"validation_share is {share!r}; give a number from 0 to below 1.")
