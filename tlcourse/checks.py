"""Arrays at the door: refuse what no later line could use, and say how to repair it.

Design choices
--------------
- A check returns the array in the type that the caller computes with, so no caller converts twice.
- Every message names the parameter, what was given, what is allowed and the fix.
"""

import numpy as np


def check_features(name, features, *, min_rows=2):
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


def check_class_labels(name, labels, *, rows=None, min_classes=2):
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


def check_positive(name, number, *, or_zero=False):
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
    """
    bound = ">= 0" if or_zero else "> 0"
    if isinstance(number, bool) or not isinstance(number, int | float | np.number):
        raise TypeError(f"{name} is {number!r}; give a number {bound}.")
    if not np.isfinite(number) or number < 0 or (number == 0 and not or_zero):
        raise ValueError(f"{name} is {number!r}; give a finite number {bound}.")
    return float(number)
