"""Picture files that look like one array, in bounded memory.

Design choices
--------------
- The learner sees ``(n, size, size, channels)`` float32 in [0, 1], but only the rows that are
  asked for are ever float32: 20,000 photographs of 224 pixels would take 12 GB.
- Every file is read and decoded once at the beginning, so a bad one is known before training.
  What fits is kept as bytes; else rows are decoded each time, by threads, as Pillow lets others
  run meanwhile. A file must then still be the one that was read: its hash is compared.
- A subset shares the pictures of the whole: splits copy no pixel.
- Only JPEG, PNG, BMP and WebP are decoded, whatever a file is called, and Pillow's limit on the
  number of pixels holds: it guards against pictures that unpack to many gigabytes.
- One function decodes, for a folder and for a single file alike.
"""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import DTypeLike
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from tlcourse.checks import check_integer

SMALLEST_SIDE = 8
KEEP_BYTES = 2**30
_DECODERS = ("JPEG", "PNG", "BMP", "WEBP")
_SHOW_PROGRESS_ABOVE = 200
# A JPEG may be decoded at a half, a quarter or an eighth, several times faster. At four times the
# wanted size or more that changes photographs by 0.1 of 255 grey levels on average.
_JPEG_OVERSIZE = 4


class Pictures:
    """Picture files as an array-like ``(n, size, size, channels)`` of float32 in [0, 1].

    Index the first axis as that of an array, with an integer, a slice, an index array or a mask,
    and the pictures arrive as an ndarray; ``np.asarray(pictures)`` decodes them all. For
    arithmetic on pictures, take these arrays.

    Parameters
    ----------
    files : sequence of path
        JPEG, PNG, BMP or WebP files, one for each row. All are read and decoded once.
    size : int
        Height and width in pixels, at least 8. See `read_picture` for how a picture is cut.
    channels : {3, 1}
        RGB, or grey (ITU-R 601 luma).
    keep_bytes : int
        Memory for pixels. If ``n * size * size * channels`` bytes fit, all pictures are kept as
        bytes; else each access decodes its rows again. The default is 1 GiB.

    Raises
    ------
    ValueError
        If an argument is not allowed or a file cannot be used; the first ten are named. Also on
        access, if a file has changed since.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from tlcourse import data
    >>> folder = Path(tempfile.mkdtemp())
    >>> for grey in (0, 51, 255):
    ...     Image.new("L", (40, 30), grey).save(folder / f"{grey}.png")
    >>> pictures = data.Pictures(sorted(folder.iterdir()), 16)
    >>> pictures
    Pictures(3 x 16x16x3, kept in memory)
    >>> pictures[:2].shape, pictures[-1].max().item()
    ((2, 16, 16, 3), 0.2...)
    """

    ndim = 4
    dtype = np.dtype(np.float32)

    def __init__(
        self,
        files: Sequence[str | os.PathLike],
        size: int,
        channels: int = 3,
        *,
        keep_bytes: int = KEEP_BYTES,
    ):
        source = PictureSource(files, size, channels, keep_bytes)
        if source.problems:
            listed = [f"{source.files[row]}: {why}" for row, why in source.problems.items()]
            raise ValueError(
                f"{len(listed)} of {len(source.files)} pictures cannot be used:{list_lines(listed)}"
            )
        self._source, self._rows = source, np.arange(len(source.files))

    @classmethod
    def of(cls, source: PictureSource, rows: np.ndarray) -> Pictures:
        """Return some rows (n,) of files that are already read, without copying pixels."""
        pictures = cls.__new__(cls)
        pictures._source, pictures._rows = source, rows
        return pictures

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape of the array that the pictures look like."""
        return (len(self._rows), *self._source.picture_shape)

    @property
    def files(self) -> tuple[Path, ...]:
        """The file of each row."""
        return tuple(self._source.files[row] for row in self._rows)

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self._rows)

    def __repr__(self) -> str:
        """Describe the pictures in one line."""
        shape = "x".join(map(str, self.shape[1:]))
        where = "decoded on access" if self._source.kept is None else "kept in memory"
        return f"Pictures({len(self)} x {shape}, {where})"

    def __getitem__(self, key: Any) -> np.ndarray:
        """Return the pictures of an index of the first axis, decoded, float32 in [0, 1]."""
        if isinstance(key, tuple) and len(key) > 1:
            return self._index_axes(key)
        rows = np.asarray(self._rows[key])
        images = self._source.read(rows.ravel())
        return images.reshape(*rows.shape, *self._source.picture_shape)

    def _index_axes(self, key):
        """Index several axes with integers and slices, which decodes the rows of the first."""
        if not all(isinstance(part, int | np.integer | slice) for part in key):
            raise IndexError(
                "Pictures take one index array or mask, for the first axis; for more, index "
                "np.asarray(pictures)."
            )
        images = self[key[0]]
        return images[key[1:]] if images.ndim == 3 else images[(slice(None), *key[1:])]

    def __iter__(self) -> Iterator[np.ndarray]:
        """Go through the pictures one by one."""
        return (self[row] for row in range(len(self)))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        """Decode all pictures."""
        if copy is False:
            raise ValueError("Pictures become an array by decoding, never without a copy.")
        return self[:].astype(dtype or np.float32, copy=False)

    def subset(self, rows: slice | Sequence[int] | np.ndarray) -> Pictures:
        """Return some of the pictures without decoding or copying any.

        Parameters
        ----------
        rows : slice, or array of int or bool
            Rows to keep, in this order.

        Returns
        -------
        Pictures
            They share files and memory with these.
        """
        kept = self._rows[rows]
        if np.ndim(kept) != 1:
            raise IndexError(f"rows are {rows!r}; give a slice, a list of rows or a mask.")
        return Pictures.of(self._source, kept)

    def fingerprint(self) -> str:
        """Name the pixels by their content, without decoding: for keys of caches.

        Returns
        -------
        str
            64 hexadecimal digits, which depend on the bytes of every file in order, on size and
            channels, and on what decodes them. Equal fingerprints mean equal pixels. File names
            play no part; neither does whether the pictures are kept in memory.
        """
        recipe = f"{self.shape} upright central square, bilinear, Pillow {PIL.__version__}"
        digest = hashlib.sha256(recipe.encode())
        for row in self._rows:
            digest.update(self._source.digests[row])
        return digest.hexdigest()


class PictureSource:
    """The files behind `Pictures`, each read and decoded once, the bad ones told apart.

    Parameters are those of `Pictures`. ``digests`` holds the SHA-256 of each file, ``problems``
    by row why a file cannot be used, and ``kept`` the pixels as bytes, or None.
    """

    def __init__(
        self, files: Sequence[str | os.PathLike[str]], size: int, channels: int, keep_bytes: int
    ) -> None:
        check_integer("size", size, smallest=SMALLEST_SIDE)
        if channels not in (1, 3):
            raise ValueError(f"channels is {channels!r}; it must be 3 (RGB) or 1 (grey).")
        check_integer("keep_bytes", keep_bytes, smallest=0)
        self.files = [Path(file) for file in files]
        self.picture_shape = (int(size), int(size), int(channels))
        self.digests = [b""] * len(self.files)
        self.problems: dict[int, str] = {}
        shape = (len(self.files), *self.picture_shape)
        self.kept = np.empty(shape, np.uint8) if np.prod(shape) <= keep_bytes else None
        self._look_at_all()

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return the pictures of some rows (m,) as ``(m, size, size, channels)`` float32."""
        if self.kept is not None:
            return _to_float(self.kept[rows])
        images = np.empty((len(rows), *self.picture_shape), np.float32)

        def fill(place):
            images[place] = _to_float(self._decode_again(rows[place]))

        if len(rows) < 2:
            for place in range(len(rows)):
                fill(place)
            return images
        with _threads() as pool:
            list(pool.map(fill, range(len(rows))))
        return images

    def _look_at_all(self):
        """Decode each file once; note its hash, its problem, and its pixels where they fit."""
        with warnings.catch_warnings(), _threads() as pool:
            # Too many pixels are a problem of the file, whatever the caller's filters are; they
            # hold for all threads, so they are set once, around them.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            reasons = tqdm(
                pool.map(self._look_at, range(len(self.files))),
                total=len(self.files),
                desc="reading pictures",
                unit="picture",
                leave=False,
                delay=2,
                disable=len(self.files) <= _SHOW_PROGRESS_ABOVE,
            )
            self.problems = {row: reason for row, reason in enumerate(reasons) if reason}

    def _look_at(self, row):
        """Read one file; return why it cannot be used, or None."""
        try:
            content = self.files[row].read_bytes()
            self.digests[row] = hashlib.sha256(content).digest()
            pixels = _decode(content, self.picture_shape)
        except MemoryError:
            raise
        # Decoders meet broken bytes with errors of many types.
        except Exception as error:
            return _reason(error)
        if self.kept is not None:
            self.kept[row] = pixels
        return None

    def _decode_again(self, row):
        """Return the pixels of a file that was good in the beginning, if it is still the same."""
        file = self.files[row]
        try:
            content = file.read_bytes()
        except OSError as error:
            raise ValueError(f"picture {file} can no longer be read: {_reason(error)}") from error
        if hashlib.sha256(content).digest() != self.digests[row]:
            raise ValueError(f"picture {file} has changed since it was loaded; load it again.")
        return _decode(content, self.picture_shape)


def read_picture(path: str | os.PathLike, size: int, channels: int = 3) -> np.ndarray:
    """Read one picture file exactly as `load_image_folder` reads it.

    A picture is turned upright as its EXIF data say, laid on white where transparent, resized with
    antialiased bilinear interpolation until the shorter side has ``size`` pixels, and cut to the
    central square.

    Parameters
    ----------
    path : path
        JPEG, PNG, BMP or WebP file.
    size : int
        Height and width of the result in pixels, at least 8.
    channels : {3, 1}
        RGB, or grey (ITU-R 601 luma).

    Returns
    -------
    ndarray of float32, shape (size, size, channels)
        In [0, 1]. A model wants a batch: ``read_picture(path, 64)[None]``.

    Raises
    ------
    ValueError
        If an argument is not allowed, or the file is unreadable, too large, or smaller than 8
        pixels.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from tlcourse import data
    >>> path = Path(tempfile.mkdtemp(), "red.png")
    >>> Image.new("RGB", (40, 30), "red").save(path)
    >>> image = data.read_picture(path, 16)
    >>> image.shape, image[8, 8].tolist()
    ((16, 16, 3), [1.0, 0.0, 0.0])
    """
    return Pictures([path], size, channels)[0]


def list_lines(lines: Sequence[str], most: int = 10) -> str:
    """Return the first lines as a list for a message, and how many more there are."""
    more = [f"and {len(lines) - most} more"] if len(lines) > most else []
    return "".join(f"\n  {line}" for line in [*lines[:most], *more])


def _threads():
    """Make a pool for decoding."""
    Image.init()  # else Pillow knows only some of the decoders
    return ThreadPoolExecutor(min(8, os.cpu_count() or 1), thread_name_prefix="decoding")


def _to_float(pixels):
    """Scale bytes to [0, 1]."""
    return np.divide(pixels, 255, dtype=np.float32)


def _decode(content, shape):
    """Return the upright central square of a picture file's bytes as uint8 of this shape."""
    size, _, channels = shape
    if not content:
        raise ValueError("the file is empty")
    with Image.open(io.BytesIO(content), formats=_DECODERS) as opened:
        width, height = opened.size
        if min(width, height) < SMALLEST_SIDE:
            raise ValueError(f"{width}x{height} pixels; each side needs {SMALLEST_SIDE} or more")
        if Image.MAX_IMAGE_PIXELS and width * height > Image.MAX_IMAGE_PIXELS:
            raise Image.DecompressionBombError
        opened.draft(None, (_JPEG_OVERSIZE * size, _JPEG_OVERSIZE * size))
        picture = ImageOps.exif_transpose(opened)
    if picture.mode.startswith("I"):  # 16-bit grey, which Pillow would cut off at 255
        wide = np.asarray(picture, dtype=np.float32)
        picture = Image.fromarray(np.rint(np.clip(wide / 257, 0, 255)).astype(np.uint8))
    elif picture.has_transparency_data:
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture.convert("RGBA"))
    picture = picture.convert("L" if channels == 1 else "RGB")
    square = ImageOps.fit(picture, (size, size), Image.Resampling.BILINEAR)
    return np.asarray(square).reshape(shape)


def _reason(error):
    """Say in a few words why a file cannot be used."""
    if isinstance(error, UnidentifiedImageError):
        return "not a JPEG, PNG, BMP or WebP picture, or its beginning is damaged"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"more than {Image.MAX_IMAGE_PIXELS} pixels; save it smaller"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
