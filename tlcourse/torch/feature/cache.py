"""Frozen features, computed once and kept on disk.

Design choices
--------------
- The key is a hash of everything the features depend on: every parameter and buffer of the net,
  its structure and preprocessing, and every input. A changed weight or image misses the cache; a
  changed label does not.
- Features are written batch by batch to a memory-mapped file and read back so: neither inputs nor
  features need to fit into memory.
- A file appears complete or not at all. Two processes that want the same features compute them
  once.
"""

import hashlib
import os
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from tlcourse.data import cache_dir
from tlcourse.data.fetching import is_writable, locked, user_cache_dir
from tlcourse.torch.devices import choose_device
from tlcourse.torch.models import TransferModel
from tlcourse.torch.training import evaluating, to_tensor


def cached_features(model, domain, *, folder=None, batch_size=256, device="auto", progress=False):
    """Compute a domain's features once, and find them again.

    Parameters
    ----------
    model : TransferModel or torch.nn.Module
        A model with a ``backbone``, or a backbone itself, whose ``feature_dim`` is known.
    domain : Domain
        Images or rows; they may be memory-mapped.
    folder : path, optional
        Where to keep the features; by default ``features`` in the course's cache folder or, where
        that may only be read, in the platform's user cache.
    batch_size : int
        Examples computed, and held in memory, at once.
    device : str
        See `choose_device`.
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
        If the domain is empty.
    """
    net = model.backbone if isinstance(model, TransferModel) else model
    if not isinstance(getattr(net, "feature_dim", None), int):
        raise TypeError(f"model is a {type(net).__name__} without feature_dim; give a backbone.")
    if not len(domain):
        raise ValueError(f"domain {domain.name!r} is empty; there are no features to compute.")
    folder = Path(folder) if folder is not None else _usual_folder()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{_key(net, domain.inputs)}.npy"
    if not path.exists():
        with locked(path):
            if not path.exists():  # another process may have been faster
                _compute(net, domain.inputs, path, batch_size, device, progress)
    return domain.with_inputs(np.load(path, mmap_mode="r"), name=f"{domain.name} features")


def _usual_folder():
    """Return the cache folder's ``features``, or the user's own where a class shares the cache."""
    shared = cache_dir() / "features"
    return shared if is_writable(shared) else user_cache_dir() / "features"


def _key(net, inputs):
    """Hash what the features depend on."""
    digest = hashlib.sha256(repr(net).encode())
    for name, tensor in sorted([*net.named_parameters(), *net.named_buffers()]):
        array = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {tuple(array.shape)} {array.dtype}".encode())
        digest.update(
            array.view(torch.uint8).numpy().data
            if array.ndim
            else bytes(array.reshape(1).view(torch.uint8).numpy())
        )
    digest.update(f"{inputs.shape} {inputs.dtype}".encode())
    for start in range(0, len(inputs), 1024):  # blocks, as inputs may be larger than memory
        digest.update(np.ascontiguousarray(inputs[start : start + 1024]).data)
    return digest.hexdigest()[:40]


def _compute(net, inputs, path, batch_size, device, progress):
    """Write the features of all inputs to a temporary file, and move it."""
    device = choose_device(device)
    net.to(device)
    part = path.with_name(f"{path.name}.part")
    features = np.lib.format.open_memmap(
        part, mode="w+", dtype=np.float32, shape=(len(inputs), net.feature_dim)
    )
    try:
        with (
            evaluating(net),
            torch.inference_mode(),
            tqdm(total=len(inputs), disable=not progress, unit="example", desc="features") as bar,
        ):
            for start in range(0, len(inputs), batch_size):
                batch = inputs[start : start + batch_size]
                features[start : start + len(batch)] = net(to_tensor(batch, device)).cpu().numpy()
                bar.update(len(batch))
        features.flush()
    except BaseException:
        del features  # Windows does not delete a mapped file
        part.unlink(missing_ok=True)
        raise
    del features
    os.replace(part, path)
