"""Frozen features, computed once and kept on disk.

Design choices
--------------
- The key is a hash of everything the features depend on: what the net computes, operation by
  operation with every number in it (see `fingerprint`), and every input. Changed code, weights,
  scale, preprocessing or images miss the cache; changed labels do not.
- A net whose computation cannot be written down is refused: no key is better than one that holds
  half of it.
- Features are written batch by batch to a memory-mapped file and read back so: neither inputs nor
  features need to fit into memory.
- A file appears complete or not at all. Two processes that want the same features compute them
  once.
"""

import hashlib
import os
from contextlib import closing
from pathlib import Path

import numpy as np
from torch import nn
from tqdm import tqdm

from tlcourse.batches import fetch, in_turn
from tlcourse.data import Domain, cache_dir
from tlcourse.data.domain import content_of
from tlcourse.data.fetching import is_writable, locked, user_cache_dir
from tlcourse.torch.devices import choose_device
from tlcourse.torch.feature.fingerprint import fingerprint
from tlcourse.torch.models import TransferModel
from tlcourse.torch.training import predict

_BLOCK_ROWS = 256  # computed at once


def cached_features(
    model: nn.Module,
    domain: Domain,
    *,
    folder: str | os.PathLike | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    progress: bool = False,
) -> Domain:
    """Compute a domain's features once, and find them again.

    Parameters
    ----------
    model : TransferModel or torch.nn.Module
        A model with a ``backbone``, or a backbone itself, whose ``feature_dim`` is known.
    domain : Domain
        Images or rows; they may be memory-mapped, or `tlcourse.data.Pictures`.
    folder : path, optional
        Where to keep the features; by default ``features`` in the course's cache folder or, where
        that may only be read, in the platform's user cache.
    batch_size : int, optional
        Examples computed at once; by default as for `predict`.
    device : str
        See `choose_device`; the model is moved there. Each kind of device has its own features,
        since the last digits differ.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    Domain
        The same labels; inputs are features ``(n, feature_dim)`` float32, memory-mapped.

    Raises
    ------
    TypeError
        If the model has no ``feature_dim``.
    ValueError
        If the domain is empty, or what the model computes cannot be written down, so that a change
        might go unnoticed.

    Examples
    --------
    >>> import tempfile
    >>> from tlcourse import data
    >>> import tlcourse.torch as tl
    >>> net = tl.backbone("small-cnn", weights="letters")
    >>> digits = data.load("handwritten-digits", n=20)
    >>> tl.cached_features(net, digits, folder=tempfile.mkdtemp()).inputs.shape
    (20, 128)
    """
    net = model.backbone if isinstance(model, TransferModel) else model
    if not isinstance(getattr(net, "feature_dim", None), int):
        raise TypeError(f"model is a {type(net).__name__} without feature_dim; give a backbone.")
    if not len(domain):
        raise ValueError(f"domain {domain.name!r} is empty; there are no features to compute.")
    folder = Path(folder) if folder is not None else _usual_folder()
    folder.mkdir(parents=True, exist_ok=True)
    on = choose_device(device)
    net.to(on)
    path = folder / f"{_key(net, domain.inputs, on)}.npy"
    if not path.exists():
        with locked(path):
            if not path.exists():  # another process may have been faster
                _compute(net, domain.inputs, path, batch_size, on, progress)
    return domain.with_inputs(np.load(path, mmap_mode="r"), name=f"{domain.name} features")


def _usual_folder():
    """Return the cache folder's ``features``, or the user's own where a class shares the cache."""
    shared = cache_dir() / "features"
    return shared if is_writable(shared) else user_cache_dir() / "features"


def _key(net, inputs, device):
    """Hash what the features depend on."""
    digest = hashlib.sha256(fingerprint(net, inputs.shape[1:]).encode())
    digest.update(f"{inputs.shape} {inputs.dtype} {device.type}".encode())
    for piece in content_of(inputs):
        digest.update(piece)
    return digest.hexdigest()[:40]


def _compute(net, inputs, path, batch_size, device, progress):
    """Write the features of all inputs to a temporary file, and move it."""
    part = path.with_name(f"{path.name}.part")
    features = np.lib.format.open_memmap(
        part, mode="w+", dtype=np.float32, shape=(len(inputs), net.feature_dim)
    )
    try:
        parts = in_turn(len(inputs), _BLOCK_ROWS if batch_size is None else batch_size)
        with (
            tqdm(total=len(inputs), disable=not progress, unit="example", desc="features") as bar,
            closing(fetch(inputs, parts)) as blocks,
        ):
            for rows, block in zip(parts, blocks, strict=True):
                features[rows] = predict(net, block, batch_size=batch_size, device=device)
                bar.update(len(block))
        features.flush()
    except BaseException:
        del features  # Windows does not delete a mapped file
        part.unlink(missing_ok=True)
        raise
    del features
    os.replace(part, path)
