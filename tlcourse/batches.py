"""Examples in batches: how many updates, in which order, how many at once, and loaded ahead.

Design choices
--------------
- Batches of a training are equal in size but for one example. So no last batch of a single example
  breaks BatchNorm or weighs more than the others.
- Unless told otherwise, a prediction sizes its batches by what the net sees of each example, so
  that its memory does not grow with the pictures.
- Inputs are never held whole: a batch is taken, and decoded where they are files, while the net
  computes the one before.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterable, Iterator, Mapping, Sized
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from tlcourse.checks import check_counts

_EXAMPLES_AT_ONCE = 256
_NUMBERS_AT_ONCE = 2_500_000  # what 16 pictures of 224 x 224 x 3 hold; they fit a CPU's caches best
_TOLERANCE = 0.1  # resampling with a sharp kernel goes a little beyond [0, 1]


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
    >>> from tlcourse.batches import count_updates
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
    >>> import numpy as np
    >>> from tlcourse.batches import endless_batches
    >>> batches = endless_batches(5, 2, np.random.default_rng(0))
    >>> [len(next(batches)) for _ in range(4)]
    [2, 2, 1, 2]
    """
    while True:
        yield from np.array_split(order.permutation(examples), -(-examples // batch_size))


def equal_batches(
    examples: int, batch_size: int, order: np.random.Generator
) -> Iterator[np.ndarray]:
    """Yield batches without end, all of one size: each goes on where the last one stopped.

    One permutation follows the other; a batch may hold the end of one and the start of the next.

    Parameters
    ----------
    examples : int
        Number of examples.
    batch_size : int
        Examples in a batch; all of them, if there are fewer.
    order : numpy.random.Generator
        Where the order comes from.

    Yields
    ------
    ndarray of int64

    Examples
    --------
    >>> import numpy as np
    >>> from tlcourse.batches import equal_batches
    >>> batches = equal_batches(5, 2, np.random.default_rng(0))
    >>> [len(next(batches)) for _ in range(4)]
    [2, 2, 2, 2]
    """
    batch_size = min(batch_size, examples)
    rows = order.permutation(examples)
    while True:
        if len(rows) < batch_size:
            rows = np.concatenate([rows, order.permutation(examples)])
        yield rows[:batch_size]
        rows = rows[batch_size:]


def task_batches(
    trains: Mapping[str, Sized], batch_size: int, seed: int
) -> dict[str, Iterator[np.ndarray]]:
    """Give each of several tasks its own endless batches, in an order of its own.

    Parameters
    ----------
    trains : dict of str to sized
        The training set of each task.
    batch_size : int
        Largest number of examples of a task in a batch.
    seed : int
        Seed of all orders; a task's place in the dict tells its order from the others'.

    Returns
    -------
    dict of str to iterator of ndarray of int64
        See `endless_batches`.

    Examples
    --------
    >>> from tlcourse.batches import task_batches
    >>> streams = task_batches({"digits": range(4), "letters": range(6)}, 4, seed=0)
    >>> {task: len(next(batches)) for task, batches in streams.items()}
    {'digits': 4, 'letters': 3}
    """
    return {
        task: endless_batches(len(train), batch_size, np.random.default_rng([seed, row]))
        for row, (task, train) in enumerate(trains.items())
    }


def usual_batch_size(numbers: int, *, on_gpu: bool = False) -> int:
    """Choose how many examples a net computes at once, without gradients.

    Parameters
    ----------
    numbers : int
        How many numbers the net sees of an example: height times width times channels.
    on_gpu : bool
        A GPU takes 16 times as much as a CPU.

    Returns
    -------
    int
        From 1 to 256.

    Examples
    --------
    >>> from tlcourse.batches import usual_batch_size
    >>> usual_batch_size(224 * 224 * 3), usual_batch_size(32 * 32 * 1), usual_batch_size(4)
    (16, 256, 256)
    """
    most = _NUMBERS_AT_ONCE * (16 if on_gpu else 1)
    return max(1, min(_EXAMPLES_AT_ONCE, most // numbers))


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
    TypeError
        If it is no array, such as a whole domain.
    ValueError
        If the shape is another one, or there is no example.

    Examples
    --------
    >>> from tlcourse.batches import check_inputs
    >>> check_inputs([[1.0, 2.0]]).shape
    (1, 2)
    """
    if not all(hasattr(inputs, name) for name in ("shape", "ndim", "dtype")):
        try:
            inputs = np.asarray(inputs, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"inputs are a {type(inputs).__name__}; give an array of images or rows, such as "
                "domain.inputs."
            ) from error
    if inputs.ndim not in (2, 4) or not len(inputs):
        raise ValueError(
            f"inputs have shape {tuple(inputs.shape)}; give at least one image (n, h, w, c) or row "
            "(n, d)."
        )
    return inputs


def warn_if_enlarged(inputs: Any, sides: Iterable[int]) -> None:
    """Warn of picture files that were loaded smaller than the net looks at them.

    Arrays are taken as they are; files could have been loaded larger.

    Parameters
    ----------
    inputs : array-like
        Inputs of the net.
    sides : iterable of int
        Height and width in pixels that the net resizes pictures to; none if it does not.

    Warns
    -----
    UserWarning
        If detail is lost that the files have.

    Examples
    --------
    >>> import numpy as np
    >>> from tlcourse.batches import warn_if_enlarged
    >>> warn_if_enlarged(np.zeros((1, 28, 28, 1)), [32])
    """
    wanted = max(sides, default=0)
    if hasattr(inputs, "files") and inputs.shape[1] < wanted:
        warnings.warn(
            f"the pictures were loaded with size={inputs.shape[1]}, and the net enlarges them to "
            f"{wanted}; load them with size={wanted}, or make the net with "
            f"size={inputs.shape[1]}.",
            stacklevel=3,
        )


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
    >>> import numpy as np
    >>> from tlcourse.batches import to_float
    >>> to_float(np.full((1, 1, 1, 1), 255, dtype=np.uint8)).item()
    1.0
    """
    batch = np.asarray(batch)
    if batch.ndim == 4 and batch.dtype == np.uint8:
        return batch.astype(np.float32) / np.float32(255)
    if batch.ndim == 4 and batch.size:
        check_range(float(batch.min()), float(batch.max()))
    return batch.astype(np.float32, copy=False)


def check_range(low: float, high: float) -> None:
    """Refuse images that are clearly outside [0, 1].

    Parameters
    ----------
    low, high : float
        Their smallest and their largest number. A little beyond [0, 1] is let pass: that is what
        resampling with a sharp kernel does.

    Raises
    ------
    ValueError
        If they are more than 0.1 outside, or NaN.

    Examples
    --------
    >>> from tlcourse.batches import check_range
    >>> check_range(-0.02, 1.0)
    """
    if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):
        raise ValueError(
            f"images span [{low:.3g}, {high:.3g}]; give them in [0, 1], or as bytes (uint8). "
            "Normalisation belongs to the model's preprocessing."
        )


def in_turn(examples: int, batch_size: int) -> list[slice]:
    """Part examples into batches, in order.

    Parameters
    ----------
    examples : int
        How many there are.
    batch_size : int
        Largest number in a batch.

    Returns
    -------
    list of slice
        All of ``batch_size`` rows but the last.

    Raises
    ------
    ValueError
        If the batch size is below 1.

    Examples
    --------
    >>> from tlcourse.batches import in_turn
    >>> [(part.start, part.stop) for part in in_turn(5, 2)]
    [(0, 2), (2, 4), (4, 5)]
    """
    check_counts(batch_size=batch_size)
    starts = range(0, examples, batch_size)
    return [slice(start, min(start + batch_size, examples)) for start in starts]


def fetch(inputs: Any, parts: Iterable[Any]) -> Generator[np.ndarray, None, None]:
    """Yield ``inputs[part]`` for each part in order, the next one fetched beside the caller's work.

    Parameters
    ----------
    inputs : array-like
        What an index gives rows of. A thread reads files (`tlcourse.data.Pictures`, memory-mapped
        arrays); from an array in memory rows come at once.
    parts : iterable
        Indices. One more than was asked for is taken at most.

    Yields
    ------
    ndarray
        Close the generator if you leave before the end (``contextlib.closing``): that ends its
        thread. An error of the thread is raised here, in its turn.

    Examples
    --------
    >>> import numpy as np
    >>> from tlcourse.batches import fetch, in_turn
    >>> rows = np.arange(6).reshape(3, 2)
    >>> [batch.tolist() for batch in fetch(rows, in_turn(3, 2))]
    [[[0, 1], [2, 3]], [[4, 5]]]
    """
    if type(inputs) is np.ndarray:
        for part in parts:
            yield inputs[part]
        return
    with ThreadPoolExecutor(1, thread_name_prefix="fetch") as reader:
        coming = None
        for part in parts:
            arrived, coming = coming, reader.submit(inputs.__getitem__, part)
            if arrived is not None:
                yield arrived.result()
        if coming is not None:
            yield coming.result()
