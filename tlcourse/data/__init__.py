"""Domains to learn from and to transfer to.

The map
-------
``domain``          `Domain`, inputs with labels; the few-shot split; checks of arguments
``pictures``        picture files that look like an array, in bounded memory; one file
``folders``         a folder of pictures becomes two domains
``folder_writing``  a domain becomes a folder of pictures
``embedded``        domains that need no network, on the images of ``rendering``
``downloads``       domains that are downloaded, by ``fetching``, which verifies files
``framing``         digits of any origin in the frame of MNIST
``perturbing``      harder versions of a domain: imbalance, noise, mixtures, drift

Design choices
--------------
- ``load(name)`` is the one door: embedded, rendered and downloaded domains alike.
- Embedded and rendered domains need no network; downloads are verified before use.
- Your own pictures come in by ``load_image_folder``; any arrays by ``Domain`` itself.
"""

import numpy as np

from tlcourse.checks import check_integer
from tlcourse.data import embedded
from tlcourse.data.domain import Domain, Split, few_shot_split
from tlcourse.data.downloads import DOWNLOADS, fetch_download, load_download, resize_images
from tlcourse.data.fetching import DownloadError, cache_dir
from tlcourse.data.folder_writing import write_image_folder
from tlcourse.data.folders import (
    ImageFolder,
    ImageFolderError,
    load_image_folder,
)
from tlcourse.data.framing import frame_digits
from tlcourse.data.perturbing import corrupt_labels, drifting, imbalanced, mix_domains
from tlcourse.data.pictures import Pictures, read_picture

_EMBEDDED = {
    "handwritten-digits": embedded.handwritten_digits,
    "signs": embedded.signs,
    "iris": embedded.iris,
    "wine": embedded.wine,
    "breast-cancer": embedded.breast_cancer,
}
_RENDERED = {
    "rendered-letters": embedded.rendered_letters,
    "rendered-digits": embedded.rendered_digits,
    "rendered-signs": embedded.rendered_signs,
}

__all__ = [
    "Domain",
    "DownloadError",
    "ImageFolder",
    "ImageFolderError",
    "Pictures",
    "Split",
    "cache_dir",
    "corrupt_labels",
    "drifting",
    "fetch_download",
    "few_shot_split",
    "frame_digits",
    "imbalanced",
    "load",
    "load_download",
    "load_image_folder",
    "mix_domains",
    "names",
    "read_picture",
    "resize_images",
    "write_image_folder",
]


def names() -> tuple[str, ...]:
    """List the domains that `load` knows.

    Returns
    -------
    tuple of str
        Embedded, rendered and downloaded domains, in this order.

    Examples
    --------
    >>> from tlcourse import data
    >>> "iris" in data.names()
    True
    """
    return (*_EMBEDDED, *_RENDERED, *DOWNLOADS)


def load(name: str, *, n: int | None = None, seed: int = 0) -> Domain:
    """Load a domain by its name.

    Parameters
    ----------
    name : str
        One of `names`. Downloaded domains give their published training part; for the test part
        call `load_download`.
    n : int, optional
        Number of examples. A rendered domain renders so many; of any other a random choice of
        so many is kept. By default all, or the rendered domain's usual number.
    seed : int
        Seed of rendering and choice. The bundled and downloaded data themselves never vary.

    Returns
    -------
    Domain

    Raises
    ------
    ValueError
        If the name is unknown, or ``n`` is not between 1 and the number of examples.
    DownloadError
        If a download can neither be found in the cache nor fetched.

    Examples
    --------
    >>> from tlcourse import data
    >>> data.load("handwritten-digits")
    Domain('handwritten-digits', 1797 x 32x32x1, 10 classes)
    """
    if name not in names():
        raise ValueError(f"name is {name!r}; the domains are {', '.join(names())}.")
    if n is not None:
        n = check_integer("n", n)
    if name in _RENDERED:
        return _RENDERED[name](seed=seed) if n is None else _RENDERED[name](n, seed=seed)
    domain = _EMBEDDED[name]() if name in _EMBEDDED else load_download(name)
    if n is None:
        return domain
    if n > len(domain):
        raise ValueError(f"n is {n}, but {name!r} has {len(domain)} examples; give at most these.")
    return domain.subset(np.random.default_rng(seed).permutation(len(domain))[:n])
