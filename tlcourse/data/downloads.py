"""Domains that are downloaded once: MNIST, Fashion-MNIST, USPS, and photographs of ants and bees.

Design choices
--------------
- One literal table says what is fetched, from where, how it is verified and what stands in.
- The cache has the usual layout (``MNIST/raw/*.gz`` and so on): files that another tool left
  there are used once their SHA-256 is right.
- Mirrors stand in the order in which they are tried; one of MNIST's and Fashion-MNIST's is in
  Beijing. USPS has one host, in Taipei.
- Every file has a SHA-256, and so has each of the 397 photographs: a folder that is already
  unpacked is verified picture by picture, and only these pictures are read. The archive's one
  stray file, ``imageNotFound.gif``, is none of them.
- Files are read as numbers and pictures only. Nothing that is unpickled or run is downloaded.
- ``TLCOURSE_MIRROR``, the address of a server with the layout of the cache, is tried first: for
  class rooms, and for places that cannot reach the others.
"""

import gzip
import math
import os
import tempfile
from importlib import resources
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

import numpy as np
from PIL import Image
from sklearn.datasets import load_svmlight_file

from tlcourse.data.domain import Domain
from tlcourse.data.fetching import DownloadError, cache_dir, fetch, locked, sha256_of
from tlcourse.data.pictures import Pictures


class RemoteFile(NamedTuple):
    """One file of a download: its path in the cache, its length in bytes and its SHA-256."""

    path: str
    size: int
    sha256: str


class Download(NamedTuple):
    """What is known of a downloaded domain before it is there."""

    files: dict[str, tuple[RemoteFile, ...]]
    mirrors: tuple[str, ...]
    folder: str
    class_names: tuple[str, ...]
    image_size: int
    stand_in: str
    origin: str
    licence: str


_DIGITS = tuple("0123456789")
_GARMENTS = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
# The SHA-256 is the one that the PyTorch tutorials verify (.jenkins/download_data.py).
_ANTS_BEES_ZIP = RemoteFile(
    "hymenoptera_data.zip",
    47_286_322,
    "fbc41b31d544714d18dd1230b1e2b455e1557766e13e67f9f5a7a23af7c02209",
)

DOWNLOADS = {
    "mnist": Download(
        files={
            "train": (
                RemoteFile(
                    "MNIST/raw/train-images-idx3-ubyte.gz",
                    9_912_422,
                    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                ),
                RemoteFile(
                    "MNIST/raw/train-labels-idx1-ubyte.gz",
                    28_881,
                    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                ),
            ),
            "test": (
                RemoteFile(
                    "MNIST/raw/t10k-images-idx3-ubyte.gz",
                    1_648_877,
                    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                ),
                RemoteFile(
                    "MNIST/raw/t10k-labels-idx1-ubyte.gz",
                    4_542,
                    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                ),
            ),
        },
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://dataset.bj.bcebos.com/mnist/",  # in Beijing; PaddlePaddle fetches from it
        ),
        folder="MNIST/raw",
        class_names=_DIGITS,
        image_size=32,
        stand_in="handwritten-digits",
        origin="LeCun, Cortes and Burges, the MNIST database of handwritten digits (1998)",
        licence="CC BY-SA 3.0",
    ),
    "fashion-mnist": Download(
        files={
            "train": (
                RemoteFile(
                    "FashionMNIST/raw/train-images-idx3-ubyte.gz",
                    26_421_880,
                    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                ),
                RemoteFile(
                    "FashionMNIST/raw/train-labels-idx1-ubyte.gz",
                    29_515,
                    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                ),
            ),
            "test": (
                RemoteFile(
                    "FashionMNIST/raw/t10k-images-idx3-ubyte.gz",
                    4_422_102,
                    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                ),
                RemoteFile(
                    "FashionMNIST/raw/t10k-labels-idx1-ubyte.gz",
                    5_148,
                    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                ),
            ),
        },
        mirrors=(
            # Plain http is the host's only offer; the SHA-256 makes up for it.
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
            "https://dataset.bj.bcebos.com/fashion_mnist/",  # in Beijing, as for MNIST
        ),
        folder="FashionMNIST/raw",
        class_names=_GARMENTS,
        image_size=32,
        stand_in="rendered-letters",
        origin="Xiao, Rasul and Vollgraf, Fashion-MNIST, arXiv:1708.07747 (2017)",
        licence="MIT",
    ),
    "usps": Download(
        # Both SHA-256 are those of torchvision's prototype datasets.
        files={
            "train": (
                RemoteFile(
                    "USPS/usps.bz2",
                    6_579_383,
                    "3771e9dd6ba685185f89867b6e249233dd74652389f263963b3b741e994b034f",
                ),
            ),
            "test": (
                RemoteFile(
                    "USPS/usps.t.bz2",
                    1_831_726,
                    "a9c0164e797d60142a50604917f0baa604f326e9a689698763793fa5d12ffc4e",
                ),
            ),
        },
        mirrors=("https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/",),
        folder="USPS",
        class_names=_DIGITS,
        image_size=32,
        stand_in="handwritten-digits",
        origin="Hull, A database for handwritten text recognition research (1994); "
        "smoothed grey levels of LIBSVM's data sets",
        licence="none stated",
    ),
    "ants-bees": Download(
        files={"train": (_ANTS_BEES_ZIP,), "test": (_ANTS_BEES_ZIP,)},
        mirrors=("https://download.pytorch.org/tutorial/",),
        folder="hymenoptera_data",
        class_names=("ants", "bees"),
        image_size=64,
        stand_in="signs",
        origin="photographs of the PyTorch transfer learning tutorial, from ImageNet",
        licence="none stated for the photographs",
    ),
}


def fetch_download(name: str, *, part: str | None = None, progress: bool = True) -> Path:
    """Make sure that the files of a domain are in the cache, verified.

    Parameters
    ----------
    name : {"mnist", "fashion-mnist", "usps", "ants-bees"}
        Which domain.
    part : {"train", "test"}, optional
        Which files; by default those of both parts.
    progress : bool
        Whether to show progress bars.

    Returns
    -------
    Path
        The folder in the cache that holds the files or class folders.

    Raises
    ------
    DownloadError
        If a file can neither be found nor downloaded, or is not the right one.
    ValueError
        If the name or part is unknown.

    Examples
    --------
    With a network, or a copy of the files, ``data.fetch_download("mnist")`` returns their folder.

    >>> from tlcourse import data
    >>> data.fetch_download("words")
    Traceback (most recent call last):
        ...
    ValueError: name is 'words'; downloads are mnist, fashion-mnist, usps, ants-bees.
    """
    download = _find(name, part or "train")
    root = cache_dir()
    folder = root / download.folder
    if name == "ants-bees":
        if not folder.exists():
            _unpack_pictures(download, root, folder, progress)
        _check_pictures(folder)
    else:
        for wanted in [part] if part else download.files:
            for file in download.files[wanted]:
                _fetch_file(file, download, root, progress)
    return folder


def load_download(
    name: str, *, part: str = "train", size: int | None = None, progress: bool = True
) -> Domain:
    """Load one part of a downloaded domain, fetching it first where needed.

    Parameters
    ----------
    name : {"mnist", "fashion-mnist", "usps", "ants-bees"}
        Which domain.
    part : {"train", "test"}
        Which of the published parts; for ``"ants-bees"``, ``"test"`` is the folder ``val``.
    size : int, optional
        Height and width in pixels. By default 32 for the grey domains and 64 for the photographs,
        as the course's checkpoints expect. From 28 to 32 pixels, a black border of 2 pixels is
        added; otherwise images are resampled bilinearly, and photographs cut to a square first.
    progress : bool
        Whether to show progress bars while files are downloaded.

    Returns
    -------
    Domain
        Images ``(n, size, size, 1)``, ink 1 on paper 0; or ``(n, size, size, 3)`` for photographs.

    Raises
    ------
    DownloadError
        If a file can neither be found nor downloaded, or is not the right one.
    ValueError
        If the name or part is unknown.

    Examples
    --------
    With a network, or a copy of the files, ``data.load_download("usps", part="test")`` has 2,007
    images.

    >>> from tlcourse import data
    >>> data.load_download("usps", part="validation")
    Traceback (most recent call last):
        ...
    ValueError: part is 'validation'; choose 'train' or 'test'.
    """
    download = _find(name, part)
    size = download.image_size if size is None else size
    folder = fetch_download(name, part=part, progress=progress)
    if name == "ants-bees":
        images, labels = _read_pictures(folder, part, size)
    else:
        files = [cache_dir() / file.path for file in download.files[part]]
        images, labels = _read_usps(*files) if name == "usps" else _read_mnist(*files)
        images = _fit(images, size)
    return Domain(name, images, labels, download.class_names, download.origin, download.licence)


def resize_images(images: np.ndarray, size: int) -> np.ndarray:
    """Resample images bilinearly to a square.

    Parameters
    ----------
    images : ndarray of float32, shape (n, h, w, c)
        Images in [0, 1].
    size : int
        Height and width of the result in pixels.

    Returns
    -------
    ndarray of float32, shape (n, size, size, c)

    Examples
    --------
    >>> import numpy as np
    >>> from tlcourse import data
    >>> data.resize_images(np.zeros((5, 28, 28, 1), dtype=np.float32), 32).shape
    (5, 32, 32, 1)
    """
    n, _, _, channels = images.shape
    resized = np.empty((n, size, size, channels), dtype=np.float32)
    for row in range(n):
        for channel in range(channels):
            plane = Image.fromarray(np.ascontiguousarray(images[row, :, :, channel], np.float32))
            plane = plane.resize((size, size), Image.Resampling.BILINEAR)
            resized[row, :, :, channel] = np.asarray(plane)
    return resized


def read_idx(path: str | os.PathLike) -> np.ndarray:
    """Read an array of bytes from a gzipped file in the idx format of MNIST.

    Parameters
    ----------
    path : path
        File such as ``train-images-idx3-ubyte.gz``.

    Returns
    -------
    ndarray of uint8
        Images ``(n, h, w)`` or labels ``(n,)``.

    Raises
    ------
    ValueError
        If the file is no idx file of bytes, or is longer or shorter than its header says.
    """
    content = gzip.decompress(Path(path).read_bytes())
    # Two zero bytes, the type (8: unsigned bytes), the number of axes, the length of each axis.
    n_axes = content[3] if len(content) > 3 else 0
    body = 4 + 4 * n_axes
    if content[:3] != b"\0\0\x08" or n_axes == 0 or len(content) < body:
        raise ValueError(f"{path} is no idx file of unsigned bytes: it begins {content[:4]!r}.")
    shape = tuple(int(length) for length in np.frombuffer(content[4:body], dtype=">u4"))
    if len(content) - body != math.prod(shape):
        raise ValueError(f"{path} holds {len(content) - body} bytes, but its header says {shape}.")
    return np.frombuffer(content, dtype=np.uint8, offset=body).reshape(shape)


def _find(name, part):
    """Look up a download, or say which there are."""
    if name not in DOWNLOADS:
        raise ValueError(f"name is {name!r}; downloads are {', '.join(DOWNLOADS)}.")
    if part not in ("train", "test"):
        raise ValueError(f"part is {part!r}; choose 'train' or 'test'.")
    return DOWNLOADS[name]


def _fetch_file(file, download, root, progress):
    """Fetch one file, from the reader's own mirror first."""
    urls = [mirror + file.path.rpartition("/")[2] for mirror in download.mirrors]
    own_mirror = os.environ.get("TLCOURSE_MIRROR")
    if own_mirror:
        urls.insert(0, f"{own_mirror.rstrip('/')}/{file.path}")
    return fetch(
        file.path,
        urls,
        file.sha256,
        file.size,
        folder=root,
        stand_in=download.stand_in,
        progress=progress,
    )


def _read_mnist(images_file, labels_file):
    """Read images ``(n, 28, 28, 1)`` in [0, 1], and labels."""
    images = read_idx(images_file)[..., None].astype(np.float32)
    images /= 255
    return images, read_idx(labels_file)


def _read_usps(file):
    """Read images ``(n, 16, 16, 1)`` in [0, 1], and labels."""
    rows, classes = load_svmlight_file(
        str(file),
        n_features=256,
        zero_based=False,  # pyright: ignore[reportArgumentType]
    )[:2]
    # Ink runs from -1 to 1; the clip only removes what rounding to decimals adds.
    images = np.clip((rows.toarray().astype(np.float32) + 1) / 2, 0, 1)
    return images.reshape(-1, 16, 16, 1), classes.astype(np.int64) - 1  # published as 1 to 10


def _fit(images, size):
    """Bring square images to ``size``: MNIST's 28 pixels keep their sharpness on 32."""
    side = images.shape[1]
    if side == size:
        return images
    if (side, size) == (28, 32):
        return np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    return resize_images(images, size)


def _picture_hashes():
    """Read the list of photographs: path such as ``train/ants/x.jpg`` to SHA-256."""
    text = resources.files("tlcourse.data").joinpath("ants_bees.sha256").read_text("utf-8")
    pairs = (line.split("  ", 1) for line in text.splitlines())
    return {path: sha256 for sha256, path in pairs}


def _unpack_pictures(download, root, folder, progress):
    """Fetch the archive and move its pictures into place, once they are verified."""
    archive = _fetch_file(_ANTS_BEES_ZIP, download, root, progress)
    with locked(folder):
        # Another process may have unpacked it while this one waited.
        if folder.exists():
            return
        with tempfile.TemporaryDirectory(dir=root, prefix="unpacking.") as scratch:
            # zipfile leaves nothing outside the folder, whatever the members are called.
            with ZipFile(archive) as zipped:
                zipped.extractall(scratch)
            unpacked = Path(scratch, download.folder)
            _check_pictures(unpacked)
            os.replace(unpacked, folder)


def _check_pictures(folder):
    """Refuse a folder in which a photograph is missing or differs."""
    bad = [
        path
        for path, sha256 in _picture_hashes().items()
        if not (folder / path).is_file() or sha256_of(folder / path) != sha256
    ]
    if bad:
        raise DownloadError(
            f"{folder} is not complete: {len(bad)} of its photographs are missing or differ, "
            f"such as {bad[0]}. It was left as it is. Move or delete the folder, then try again."
        )


def _read_pictures(folder, part, size):
    """Read the listed photographs of one part, cut to squares: ``(n, size, size, 3)``."""
    subfolder = {"train": "train", "test": "val"}[part]
    paths = [path for path in _picture_hashes() if path.startswith(f"{subfolder}/")]
    class_names = DOWNLOADS["ants-bees"].class_names
    labels = np.array([class_names.index(path.split("/")[1]) for path in paths], dtype=np.int64)
    return np.asarray(Pictures([folder / path for path in paths], size)), labels
