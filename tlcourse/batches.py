"""Examples in batches: how many updates, in which order, how many at once, and loaded ahead.

Design choices
--------------
- Batches of a training are equal in size but for one example. So no last batch of a single example
  breaks BatchNorm or weighs more than the others.
- Without gradients, what a net holds at once grows with the pixels it sees; the usual batch has as
  many pixels for every size of picture, so memory does not depend on the data.
- Pictures that are decoded on the way are decoded one batch ahead in a thread, beside the net.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from tlcourse.checks import check_counts

_MOST_AT_ONCE = 256
_PIXELS_AT_ONCE = 16 * 224 * 224
_TOLERANCE = 0.1


def count_updates(examples: int, *, epochs: int, steps: int | None, batch_size: int) -> int:
    """Count the updates of a training.

    Parameters
    ----------
    examples : int
        Size of the training set.
    epochs : int
        Passes over it.
    steps : int or None
        Given, it replaces ``epochs``.
    batch_size : int
        Largest number of examples in an update.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If a number is below 1.

    Examples
    --------
    >>> count_updates(100, epochs=2, steps=None, batch_size=32)
    8
    >>> count_updates(100, epochs=2, steps=5, batch_size=32)
    5
    """
    check_counts(epochs=epochs, steps=steps, batch_size=batch_size)
    return epochs * -(-examples // batch_size) if steps is None else steps


def endless_batches(
    examples: int, batch_size: int, order: np.random.Generator
) -> Iterator[np.ndarray]:
    """Yield the rows of one batch after another, reshuffled in every epoch.

    Batches are equal in size but for one example.

    Parameters
    ----------
    examples : int
        Size of the training set.
    batch_size : int
        Largest number of examples in a batch.
    order : numpy.random.Generator
        Where the order comes from.

    Yields
    ------
    ndarray of int64

    Examples
    --------
    >>> batches = endless_batches(5, 2, np.random.default_rng(0))
    >>> [len(next(batches)) for _ in range(4)]
    [2, 2, 1, 2]
    """
    while True:
        yield from np.array_split(order.permutation(examples), -(-examples // batch_size))


def usual_batch_size(pixels: int | None) -> int:
    """Choose how many examples a net computes at once, without gradients.

    Parameters
    ----------
    pixels : int or None
        Height times width of what the net sees; None for rows.

    Returns
    -------
    int

    Examples
    --------
    >>> usual_batch_size(224 * 224), usual_batch_size(32 * 32), usual_batch_size(None)
    (16, 256, 256)
    """
    return min(_MOST_AT_ONCE, max(1, _PIXELS_AT_ONCE // pixels)) if pixels else _MOST_AT_ONCE


def check_inputs(inputs: Any) -> Any:
    """Refuse what is neither images nor rows, without reading the numbers.

    Parameters
    ----------
    inputs : array-like
        Images ``(n, h, w, c)`` or rows ``(n, d)``. What has a shape and can be indexed by rows,
        such as pictures that are decoded when needed, is left as it is.

    Returns
    -------
    array-like
        With ``shape``, ``ndim`` and ``dtype``.

    Raises
    ------
    ValueError
        If the shape is another one, or there is no example.

    Examples
    --------
    >>> check_inputs([[1.0, 2.0]]).shape
    (1, 2)
    """
    if not all(hasattr(inputs, name) for name in ("shape", "ndim", "dtype")):
        inputs = np.asarray(inputs, dtype=np.float32)
    if inputs.ndim not in (2, 4) or not len(inputs):
        raise ValueError(
            f"inputs have shape {tuple(inputs.shape)}; give at least one image (n, h, w, c) or row "
            "(n, d)."
        )
    return inputs


def to_float(batch: np.ndarray) -> np.ndarray:
    """Turn a batch into float32; bytes of images become numbers in [0, 1].

    Parameters
    ----------
    batch : ndarray
        Images ``(n, h, w, c)``, uint8 from 0 to 255 or float in [0, 1]; or rows ``(n, d)``.

    Returns
    -------
    ndarray of float32, of the same shape

    Raises
    ------
    ValueError
        If images of another type are clearly outside [0, 1].

    Examples
    --------
    >>> to_float(np.full((1, 1, 1, 1), 255, dtype=np.uint8)).item()
    1.0
    """
    batch = np.asarray(batch)
    if batch.ndim != 4:
        return batch.astype(np.float32, copy=False)
    if batch.dtype == np.uint8:
        return batch.astype(np.float32) / np.float32(255)
    low, high = batch.min(), batch.max()
    if low < -_TOLERANCE or high > 1 + _TOLERANCE:
        raise ValueError(
            f"images span [{low:.3g}, {high:.3g}]; give floats in [0, 1] or bytes (uint8). "
            "Normalisation belongs to the model's preprocessing."
        )
    return batch.astype(np.float32, copy=False)


def in_order(examples: int, batch_size: int) -> list[np.ndarray]:
    """Part rows into batches, in order.

    Parameters
    ----------
    examples : int
        Number of rows.
    batch_size : int
        Largest number of rows in a batch.

    Returns
    -------
    list of ndarray of int64
        All of ``batch_size`` rows but the last.

    Raises
    ------
    ValueError
        If the batch size is below 1.

    Examples
    --------
    >>> [rows.tolist() for rows in in_order(5, 2)]
    [[0, 1], [2, 3], [4]]
    """
    check_counts(batch_size=batch_size)
    return np.split(np.arange(examples), range(batch_size, examples, batch_size))


def load_batches(inputs: Any, parts: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Load one batch after another, one ahead of need where pictures are still to be decoded.

    Parameters
    ----------
    inputs : array-like
        Images or rows; anything that ``inputs[rows]`` reads.
    parts : iterable of ndarray of int
        The rows of each batch.

    Yields
    ------
    ndarray of float32
        As from `to_float`.

    Raises
    ------
    ValueError
        As from `to_float`.

    Examples
    --------
    >>> rows = np.arange(6, dtype=np.float32).reshape(3, 2)
    >>> [batch.shape for batch in load_batches(rows, in_order(3, 2))]
    [(2, 2), (1, 2)]
    """

    def load(rows: Sequence[int]) -> np.ndarray:
        return to_float(inputs[rows])

    if isinstance(inputs, np.ndarray):
        yield from map(load, parts)
        return
    with ThreadPoolExecutor(max_workers=1) as reader:
        waiting = None
        for rows in parts:
            ready, waiting = waiting, reader.submit(load, rows)
            if ready is not None:
                yield ready.result()
        if waiting is not None:
            yield waiting.result()
