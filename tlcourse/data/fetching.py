"""Fetch a file once, verified; and unpack an archive without trusting it.

Design choices
--------------
- Nothing is used before its SHA-256 is right: not a download, not a file found in the cache.
- A right file in the cache costs no network and no write, so a read-only cache folder works.
- A wrong file in the cache is neither used, overwritten nor deleted: the error says what to do.
- A download grows in ``<file>.part`` under a lock and is moved into place in one step. A broken
  download is resumed; the size is known beforehand, so a body can never fill the disk.
- Only the standard library speaks to the network.
"""

import hashlib
import os
import stat
import tempfile
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from zipfile import ZipFile

import platformdirs
from filelock import FileLock
from tqdm import tqdm

_TIMEOUT_SECONDS = 30
_BLOCK_BYTES = 1 << 16
_CONNECTIONS_PER_MIRROR = 10


class DownloadError(RuntimeError):
    """A file could not be had, or is not what it should be; the message says what to do."""


def cache_dir():
    """Return the folder that holds downloaded files; it need not exist yet.

    Returns
    -------
    Path
        The environment variable ``TLCOURSE_DATA`` if set, else the platform's user cache.
    """
    chosen = os.environ.get("TLCOURSE_DATA")
    return Path(chosen).expanduser() if chosen else user_cache_dir()


def user_cache_dir():
    """Return the platform's folder for what can be fetched or computed again."""
    return Path(platformdirs.user_cache_dir("tlcourse", appauthor=False))


def fetch(filename, urls, sha256, size, *, folder, stand_in=None, progress=True):
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
        Length of the file in bytes.
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
            part = target.with_name(target.name + ".part")
            reasons = _fill_from_any(part, urls, sha256, size, progress)
            if reasons:
                raise DownloadError(_advice(filename, target, sha256, size, reasons, stand_in))
            os.replace(part, target)
    return target


@contextmanager
def locked(target):
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


def sha256_of(path):
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


def extract_zip(archive, folder, *, max_bytes):
    """Unpack a zip archive into a new folder, completely or not at all.

    Parameters
    ----------
    archive : path
        Zip file.
    folder : path
        Folder to make; its parent must exist and it must not.
    max_bytes : int
        Most bytes that the unpacked members may have together.

    Raises
    ------
    FileExistsError
        If ``folder`` is already there.
    ValueError
        If a member would land outside the folder or is a link, or the members are too big.
        Nothing is written then.
    """
    archive, folder = Path(archive), Path(folder)
    if folder.exists():
        raise FileExistsError(f"{folder} is already there; move it away, or choose another folder.")
    with ZipFile(archive) as zipped:
        for member in zipped.infolist():
            _refuse_escape(archive, member)
        # zipfile never reads more from a member than its stated size.
        total = sum(member.file_size for member in zipped.infolist())
        if total > max_bytes:
            raise ValueError(
                f"{archive.name} unpacks to {total:,} bytes, more than max_bytes={max_bytes:,}."
            )
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.") as scratch:
            unpacked = Path(scratch, "unpacked")
            unpacked.mkdir()
            zipped.extractall(unpacked)
            os.replace(unpacked, folder)


def _refuse_escape(archive, member):
    """Refuse a member that is a link or whose name could leave the folder on any platform."""
    # ``filename`` may have been normalised for this platform; the original name has not.
    name = member.orig_filename.replace("\\", "/")
    if name.startswith("/") or ":" in name or "\0" in name or ".." in name.split("/"):
        raise ValueError(
            f"{archive.name} holds {member.orig_filename!r}, which leads out of the folder; "
            "the archive is not to be trusted."
        )
    if stat.S_ISLNK(member.external_attr >> 16):
        raise ValueError(
            f"{archive.name} holds the link {member.orig_filename!r}; only files are unpacked."
        )


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


def _fill_from_any(part, urls, sha256, size, progress):
    """Complete ``part`` from the first mirror that can; return why each failed, else nothing."""
    reasons = []
    for url in urls:
        try:
            _fill_verified(part, url, sha256, size, progress)
        except (OSError, HTTPException, DownloadError) as error:
            reasons.append(f"{url}\n    {error or type(error).__name__}")
        else:
            return []
    return reasons


def _fill_verified(part, url, sha256, size, progress):
    """Complete ``part`` from one mirror; delete it and raise if its bytes are wrong."""
    resumed = _length(part) > 0
    _fill(part, url, size, progress)
    found = sha256_of(part)
    if found == sha256:
        return
    part.unlink()
    if not resumed:
        raise DownloadError(f"sent wrong bytes, of SHA-256 {found}")
    # The wrong bytes may be those of an earlier mirror, so this one gets a clean start.
    _fill_verified(part, url, sha256, size, progress)


def _fill(part, url, size, progress):
    """Bring ``part`` to its full length; connections that break but bring bytes are renewed."""
    connections = 0
    while (start := _length(part)) < size:
        connections += 1
        try:
            _transfer(part, url, start, size, progress)
        except (OSError, HTTPException):
            if _length(part) <= start or connections == _CONNECTIONS_PER_MIRROR:
                raise


def _transfer(part, url, start, size, progress):
    """Receive bytes ``start`` to ``size`` over one connection, or all where the server must."""
    headers = {"User-Agent": "tlcourse"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        response = urlopen(Request(url, headers=headers), timeout=_TIMEOUT_SECONDS)
    except HTTPError as error:
        error.close()
        if error.code == 416 and start:
            return _transfer(part, url, 0, size, progress)
        raise
    with response:
        received = _first_byte(response, start, size)
        name = part.name.removesuffix(".part")
        with (
            open(part, "ab" if received else "wb") as file,
            tqdm(
                total=size,
                initial=received,
                desc=name,
                unit="B",
                unit_scale=True,
                unit_divisor=1024,
                disable=not progress,
            ) as bar,
        ):
            while received < size:
                block = response.read1(min(_BLOCK_BYTES, size - received))
                if not block:
                    raise ConnectionError(f"the connection ended after {received:,} bytes")
                file.write(block)
                received += len(block)
                bar.update(len(block))


def _first_byte(response, asked, size):
    """Return where in the file the body begins; refuse a body that cannot be the file's."""
    begin = 0
    if response.status == 206:
        content_range = response.headers.get("Content-Range", "")
        if not content_range.startswith(f"bytes {asked}-"):
            raise ConnectionError(f"asked for bytes {asked}-, but sent {content_range!r}")
        begin = asked
    length = response.headers.get("Content-Length")
    # Looked at before the first byte is written, so an error page does not cost the .part.
    if length is not None and length != str(size - begin):
        raise ConnectionError(f"offers {length} bytes instead of {size - begin}")
    return begin


def _length(path):
    """Return the length of a file, zero if it is not there."""
    return path.stat().st_size if path.exists() else 0


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
