"""Arguments at the door: refuse what no later line could use, and say how to repair it.

The map
-------
``check_features``, ``check_class_labels``   arrays of numbers and of classes
``check_positive``                           a real number above zero
``check_integer``, ``check_integers``        an integer of at least some size, or several
``check_counts``                             integers of at least 1, or None, by name

`check_domain` and `check_training_data` stand beside `Domain`, in `tlcourse.data.domain`.

Design choices
--------------
- A check returns the value in the type that the caller computes with, so no caller converts twice.
- Every message names the parameter, what was given, what is allowed and the fix. scikit-learn's
  ``check_array`` and ``check_scalar`` leave out the fix or the parameter, and let True pass as 1;
  so they serve where their own readers are: in the transformers of `tlcourse.align`.
"""

from collections.abc import Iterable
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike


def check_features(name: str, features: ArrayLike, *, min_rows: int = 2) -> np.ndarray:
    """Return features as finite float64 rows.

    Parameters
    ----------
    name : str
        The caller's parameter, for the message.
    features : array-like, shape (n, d)
        Numbers of any real type.
    min_rows : int
        Fewest rows that the caller can use.

    Returns
    -------
    ndarray of float64, shape (n, d)

    Raises
    ------
    TypeError
        If the entries are not real numbers.
    ValueError
        If the shape is not (n, d) with n >= min_rows and d >= 1, or an entry is NaN or infinite.

    Examples
    --------
    >>> from tlcourse.checks import check_features
    >>> check_features("x", [[1, 2], [3, 4]]).dtype
    dtype('float64')
    """
    features = np.asarray(features)
    if features.dtype.kind not in "fiub":
        raise TypeError(f"{name} has dtype {features.dtype}; give an array of real numbers.")
    if features.ndim != 2:
        raise ValueError(
            f"{name} has shape {features.shape}; give rows (n, d), "
            f"for example {name}.reshape(len({name}), -1)."
        )
    if len(features) < min_rows or features.shape[1] < 1:
        raise ValueError(
            f"{name} has shape {features.shape}; give at least {min_rows} rows and 1 column."
        )
    features = features.astype(np.float64, copy=False)
    bad_rows = len(features) - np.count_nonzero(np.isfinite(features).all(axis=1))
    if bad_rows:
        raise ValueError(
            f"{name} holds NaN or infinity in {bad_rows} of {len(features)} rows; "
            "drop or repair these rows."
        )
    return features


def check_class_labels(
    name: str, labels: ArrayLike, *, rows: int | None = None, min_classes: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes that occur and the position of each label among them.

    Parameters
    ----------
    name : str
        The caller's parameter, for the message.
    labels : array-like of int, shape (n,)
        Class indices from 0; classes without an example are allowed.
    rows : int, optional
        How many labels there must be.
    min_classes : int
        Fewest different classes that the caller can use.

    Returns
    -------
    classes : ndarray of int, shape (k,)
        The classes that occur, ascending.
    codes : ndarray of int, shape (n,)
        ``labels == classes[codes]``, so every code from 0 to k - 1 occurs.

    Raises
    ------
    TypeError
        If the labels are not integers.
    ValueError
        If their shape or number is wrong, one is negative, or too few classes occur.

    Examples
    --------
    >>> from tlcourse.checks import check_class_labels
    >>> classes, codes = check_class_labels("labels", [7, 2, 7])
    >>> classes.tolist(), codes.tolist()
    ([2, 7], [1, 0, 1])
    """
    labels = np.asarray(labels)
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(f"{name} has dtype {labels.dtype}; give integer class indices from 0.")
    if labels.ndim != 1 or labels.size == 0 or rows not in (None, len(labels)):
        wanted = "(n,) with n >= 1" if rows is None else f"({rows},), one label for each row"
        raise ValueError(f"{name} has shape {labels.shape}; give shape {wanted}.")
    classes, codes = np.unique(labels, return_inverse=True)
    if classes[0] < 0:
        raise ValueError(
            f"{name} holds {classes[0]}; class indices start at 0: drop unlabelled rows."
        )
    if len(classes) < min_classes:
        raise ValueError(
            f"{name} holds {len(classes)} class only, {classes.tolist()}; "
            f"give examples of at least {min_classes} classes."
        )
    return classes, codes


def check_positive(name: str, number: float, *, or_zero: bool = False) -> float:
    """Return a finite number above zero as a float.

    Parameters
    ----------
    name : str
        The caller's parameter, for the message.
    number : float
        What was given.
    or_zero : bool
        Whether zero is allowed too.

    Returns
    -------
    float

    Raises
    ------
    TypeError
        If it is not a real number.
    ValueError
        If it is NaN, infinite or too small.

    Examples
    --------
    >>> from tlcourse.checks import check_positive
    >>> check_positive("reg", 0, or_zero=True)
    0.0
    """
    bound = ">= 0" if or_zero else "> 0"
    if isinstance(number, bool) or not isinstance(number, int | float | np.number):
        raise TypeError(f"{name} is {number!r}; give a number {bound}.")
    if not np.isfinite(number) or number < 0 or (number == 0 and not or_zero):
        raise ValueError(f"{name} is {number!r}; give a finite number {bound}.")
    return float(number)


def check_integer(name: str, number: int, *, smallest: int = 1) -> int:
    """Return an integer that is not too small.

    Parameters
    ----------
    name : str
        The caller's parameter, for the message.
    number : int
        What was given; NumPy's integers are integers, True is none.
    smallest : int
        Smallest number allowed.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If it is no integer or too small: the repair is the same.

    Examples
    --------
    >>> from tlcourse.checks import check_integer
    >>> check_integer("k", 0)
    Traceback (most recent call last):
        ...
    ValueError: k is 0; it must be an integer >= 1.
    """
    if isinstance(number, bool) or not isinstance(number, Integral) or number < smallest:
        raise ValueError(f"{name} is {number!r}; it must be an integer >= {smallest}.")
    return int(number)


def check_counts(**numbers: int | None) -> None:
    """Refuse counts below one; None means not given.

    Parameters
    ----------
    **numbers : int or None
        Parameters by name.

    Raises
    ------
    ValueError
        If one is given and no integer of at least 1.

    Examples
    --------
    >>> from tlcourse.checks import check_counts
    >>> check_counts(epochs=3, steps=None)
    """
    for name, number in numbers.items():
        if number is not None:
            check_integer(name, number)


def check_integers(name: str, values: Iterable[int], *, smallest: int) -> list[int]:
    """Return distinct integers that are not too small.

    Parameters
    ----------
    name : str
        The caller's parameter, for the message.
    values : iterable of int
        What was given.
    smallest : int
        Smallest number allowed.

    Returns
    -------
    list of int

    Raises
    ------
    TypeError
        If it is no sequence.
    ValueError
        If an entry is no integer or too small, one stands there twice, or there is none.

    Examples
    --------
    >>> from tlcourse.checks import check_integers
    >>> check_integers("seeds", range(3), smallest=0)
    [0, 1, 2]
    """
    try:
        values = list(values)
    except TypeError:
        raise TypeError(f"{name} is {values!r}; give a sequence of integers.") from None
    for position, value in enumerate(values):
        check_integer(f"{name}[{position}]", value, smallest=smallest)
    if not values or len(set(values)) < len(values):
        raise ValueError(f"{name} is {values!r}; give at least one integer, and each only once.")
    return [int(value) for value in values]


def check_prior(prior: ArrayLike, classes: int) -> np.ndarray:
    """Return how frequent each class is, scaled to sum to 1, or refuse it.

    Parameters
    ----------
    prior : array-like of float, shape (classes,)
        Numbers above 0.
    classes : int
        How many there must be.

    Returns
    -------
    ndarray of float64, shape (classes,)

    Raises
    ------
    ValueError
        If the shape differs, or a number is not finite or not above 0.

    Examples
    --------
    >>> from tlcourse.checks import check_prior
    >>> check_prior([1, 3], 2).tolist()
    [0.25, 0.75]
    """
    values = np.asarray(prior, dtype=np.float64)
    if values.shape != (classes,) or not np.isfinite(values).all() or values.min() <= 0:
        raise ValueError(f"prior is {prior!r}; give {classes} numbers above 0, one for each class.")
    return values / values.sum()
