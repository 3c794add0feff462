"""Fetch a file once, verified.

Design choices
--------------
- Nothing is used before its SHA-256 is right: not a download, not a file found in the cache.
- A right file in the cache costs no network and no write, so a read-only cache folder works.
- A wrong file in the cache is neither used, overwritten nor deleted: the error says what to do.
- pooch transfers: to a temporary file, which is moved into place once its hash is right. What it
  leaves to us are several mirrors, one process at a time, and words for a reader without network.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import platformdirs
import pooch
from filelock import FileLock
from tqdm import tqdm

_TIMEOUT_SECONDS = 30
_BLOCK_BYTES = 1 << 16
_READABLE_BY_ALL = 0o644


class DownloadError(RuntimeError):
    """A file could not be had, or is not what it should be; the message says what to do."""


def cache_dir() -> Path:
    """Return the folder that holds downloaded files; it need not exist yet.

    Returns
    -------
    Path
        The environment variable ``TLCOURSE_DATA`` if set, else the platform's user cache.

    Examples
    --------
    >>> import os
    >>> from tlcourse import data
    >>> before = os.environ.get("TLCOURSE_DATA", "")
    >>> os.environ["TLCOURSE_DATA"] = "class/data"
    >>> data.cache_dir().as_posix()
    'class/data'
    >>> os.environ["TLCOURSE_DATA"] = before
    """
    chosen = os.environ.get("TLCOURSE_DATA")
    return Path(chosen).expanduser() if chosen else user_cache_dir()


def user_cache_dir() -> Path:
    """Return the platform's folder for what can be fetched or computed again."""
    return Path(platformdirs.user_cache_dir("tlcourse", appauthor=False))


def is_writable(folder: Path) -> bool:
    """Find out whether files can be made in a folder, by making one.

    Permissions do not tell: on Windows a folder's read-only mark means nothing, and lists of
    access rights, read-only mounts and full quotas are not in them.

    Parameters
    ----------
    folder : Path
        It need not exist; then its nearest parent that does is tried.

    Returns
    -------
    bool
    """
    there = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    try:
        with tempfile.TemporaryFile(dir=there):
            return True
    except OSError:
        return False


def fetch(
    filename: str,
    urls: Sequence[str],
    sha256: str,
    size: int,
    *,
    folder: str | os.PathLike,
    stand_in: str | None = None,
    progress: bool = True,
) -> Path:
    """Return a verified file, downloading it only if it is not there yet.

    Parameters
    ----------
    filename : str
        Path below ``folder``, with forward slashes.
    urls : sequence of str
        Mirrors, tried in this order; ``https`` or ``http``.
    sha256 : str
        SHA-256 of the file in hexadecimal digits.
    size : int
        Length of the file in bytes, for the progress bar and the error message.
    folder : path
        Cache folder; created when needed.
    stand_in : str, optional
        Name of the embedded domain that the error of a failed download recommends.
    progress : bool
        Whether to show a progress bar while bytes arrive.

    Returns
    -------
    Path
        The file, whose SHA-256 is right.

    Raises
    ------
    DownloadError
        If every mirror fails, if the folder cannot be written, or if another file already has
        this name; that file is left as it is.
    ValueError
        If there is no URL, or one is neither ``https`` nor ``http``.
    """
    if not urls:
        raise ValueError(f"urls is empty; give at least one mirror of {filename}.")
    for url in urls:
        if not url.lower().startswith(("https://", "http://")):
            raise ValueError(f"urls holds {url!r}; give addresses that begin with https or http.")
    target = Path(folder, filename)
    if _is_right(target, sha256):
        return target
    with locked(target):
        # Another process may have finished the file while this one waited.
        if not _is_right(target, sha256):
            reasons = _download_from_any(urls, target, sha256, size, progress)
            if reasons:
                raise DownloadError(_advice(filename, target, sha256, size, reasons, stand_in))
    return target


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Let one process at a time make ``target``; its folder is created.

    Parameters
    ----------
    target : Path
        File or folder about to be made. The lock is ``<target>.lock`` beside it.

    Raises
    ------
    DownloadError
        If nothing can be written there.
    """
    lock = FileLock(target.with_name(target.name + ".lock"))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise DownloadError(
            f"{target} is missing and cannot be made: {error}. Set the environment variable "
            "TLCOURSE_DATA to a folder that you may write in."
        ) from error
    try:
        yield
    finally:
        lock.release()


def sha256_of(path: str | os.PathLike) -> str:
    """Compute the SHA-256 of a file.

    Parameters
    ----------
    path : path
        File to read.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_right(target, sha256):
    """Return whether the file is there; refuse another file of the same name."""
    if not target.exists():
        return False
    found = sha256_of(target)
    if found != sha256:
        raise DownloadError(
            f"{target} is not the file it should be: its SHA-256 is {found} instead of {sha256}. "
            "It was left as it is. Move or delete it, then try again to download the right one."
        )
    return True


def _download_from_any(urls, target, sha256, size, progress):
    """Download from the first mirror that can; return why each failed, else nothing."""
    pooch.get_logger().setLevel("WARNING")  # the progress bar says what is downloaded
    reasons = []
    for url in urls:
        with tqdm(
            total=size,
            desc=target.name,
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            disable=not progress,
        ) as bar:
            download = pooch.HTTPDownloader(
                progressbar=bar,  # pyright: ignore[reportArgumentType]
                chunk_size=_BLOCK_BYTES,
                timeout=_TIMEOUT_SECONDS,
                headers={"Accept-Encoding": "identity"},  # a .gz is to arrive as it is
            )
            try:
                pooch.retrieve(
                    url,
                    f"sha256:{sha256}",
                    target.name,
                    target.parent,
                    downloader=download,  # pyright: ignore[reportArgumentType]
                )
            except (OSError, ValueError) as error:  # from the network; of a wrong hash
                reasons.append(f"{url}\n    {error or type(error).__name__}")
                continue
        target.chmod(_READABLE_BY_ALL)  # pooch's file is its maker's only; a class shares a cache
        return []
    return reasons


def _advice(filename, target, sha256, size, reasons, stand_in):
    """Write what a reader without network needs to know."""
    tried = "\n".join(f"  {reason}" for reason in reasons)
    text = (
        f"{filename} could not be downloaded ({size:,} bytes, SHA-256 {sha256}).\n"
        f"Tried:\n{tried}\n"
        f"Put the file by hand at\n  {target.absolute()}\n"
        "or set the environment variable TLCOURSE_DATA to a folder that holds it as\n"
        f"  {filename}"
    )
    if stand_in:
        text += f'\nor go on without network: load("{stand_in}") stands in and needs no download.'
    return text
