"""How alike two sets of features are; no labels are read.

Design choices
--------------
- CKA compares two models on the same inputs; the distances compare two domains under one model.
- Kernel matrices are summed block by block, so memory grows with n and not with its square.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike
from scipy.spatial.distance import pdist
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tlcourse.checks import check_features, check_positive

_BLOCK = 1024  # Rows of a kernel matrix held at a time.
_MEDIAN_ROWS = 1000  # Rows of each domain that the median distance looks at.
_FOLDS = 5


def linear_cka(x: ArrayLike, y: ArrayLike) -> float:
    r"""Linear centred kernel alignment: how alike two models arrange the same inputs.

    .. math:: \frac{\|Y^\top X\|_F^2}{\|X^\top X\|_F \, \|Y^\top Y\|_F} \quad
              \text{with centred } X, Y

    Parameters
    ----------
    x, y : array-like, shapes (n, d_x) and (n, d_y)
        Features of the same n inputs from two models or layers.

    Returns
    -------
    float
        From 0 to 1; 1 if one is a rotated, scaled and shifted copy of the other.

    Raises
    ------
    TypeError, ValueError
        If they are not finite rows of equal number, or all rows of one are equal.

    References
    ----------
    Kornblith, Norouzi, Lee and Hinton, Similarity of Neural Network Representations Revisited,
    ICML 2019.

    Examples
    --------
    >>> from tlcourse.scores import linear_cka
    >>> linear_cka([[0.0], [1.0], [2.0]], [[5.0], [3.0], [1.0]])
    1.0
    """
    first, second = check_features("x", x), check_features("y", y)
    if len(first) != len(second):
        raise ValueError(
            f"x has {len(first)} rows and y {len(second)}; give the features of the same inputs, "
            "in order."
        )
    first, second = first - first.mean(axis=0), second - second.mean(axis=0)
    for name, rows in {"x": first, "y": second}.items():
        if not rows.any():
            raise ValueError(f"all rows of {name} are equal; similarity needs rows that differ.")
    norms = np.linalg.norm(first.T @ first) * np.linalg.norm(second.T @ second)
    return float(np.linalg.norm(second.T @ first) ** 2 / norms)


def mmd(
    x: ArrayLike,
    y: ArrayLike,
    *,
    bandwidth: float | Sequence[float] | np.ndarray | None = None,
    unbiased: bool = True,
) -> float:
    r"""Squared maximum mean discrepancy: how far apart two samples are in a kernel's space.

    .. math:: \frac{1}{n(n-1)} \sum_{i \ne j} k(x_i, x_j) + \frac{1}{m(m-1)} \sum_{i \ne j}
              k(y_i, y_j) - \frac{2}{nm} \sum_{i, j} k(x_i, y_j), \qquad
              k(a, b) = \exp\left( -\frac{\|a - b\|^2}{2 \sigma^2} \right)

    The biased estimate includes the terms i = j and divides by n^2 and m^2.

    Parameters
    ----------
    x, y : array-like, shapes (n, d) and (m, d)
        Features of two domains.
    bandwidth : float or sequence of float, optional
        :math:`\sigma`, by default :func:`median_bandwidth`. Several bandwidths give the mean of
        their kernels, the multi-kernel MMD of deep adaptation networks.
    unbiased : bool
        The unbiased estimate is 0 on average for equal distributions, and so can be slightly
        negative; the biased one is never negative.

    Returns
    -------
    float
        Squared MMD; lower is more alike.

    Raises
    ------
    TypeError, ValueError
        If they are not finite rows of equal width, or a bandwidth is not positive.

    References
    ----------
    Gretton, Borgwardt, Rasch, Schölkopf and Smola, A Kernel Two-Sample Test, JMLR 13, 2012,
    Lemma 6.

    Examples
    --------
    >>> from tlcourse.scores import mmd
    >>> near, far = [[0.0], [1.0]], [[8.0], [9.0]]
    >>> round(mmd(near, far, bandwidth=1.0), 3)
    1.213
    """
    first, second = _check_domains(x, y)
    if bandwidth is None:
        bandwidth = median_bandwidth(first, second)
    widths = [check_positive("bandwidth", width) for width in np.atleast_1d(bandwidth)]
    if not widths:
        raise ValueError("bandwidth is empty; give at least one number > 0, or None.")
    # Distances come from inner products, which lose digits where all rows are far from zero.
    centre = (first.mean(axis=0) + second.mean(axis=0)) / 2
    first, second = first - centre, second - centre
    total = -2 * _kernel_sum(first, second, widths) / (len(first) * len(second))
    for rows in (first, second):
        n = len(rows)
        within = _kernel_sum(rows, rows, widths)
        total += (within - n) / (n * (n - 1)) if unbiased else within / n**2
    return float(total)


def median_bandwidth(x: ArrayLike, y: ArrayLike) -> float:
    """Return the median distance between rows of the pooled domains, a usual kernel bandwidth.

    Parameters
    ----------
    x, y : array-like, shapes (n, d) and (m, d)
        Features of two domains; of one with more than 1,000 rows, 1,000 are drawn at random, the
        same ones at every call.

    Returns
    -------
    float
        Median of the distances above zero; 1 if all rows are equal.

    Raises
    ------
    TypeError, ValueError
        If they are not finite rows of equal width.

    Examples
    --------
    >>> from tlcourse.scores import median_bandwidth
    >>> median_bandwidth([[0.0], [1.0]], [[5.0], [6.0]])
    4.5
    """
    rows = _check_domains(x, y)
    pooled = np.concatenate([_sample(part) for part in rows])
    distances = pdist(pooled)
    distances = distances[distances > 0]
    return float(np.median(distances)) if len(distances) else 1.0


def coral_distance(x: ArrayLike, y: ArrayLike) -> float:
    r"""CORAL distance between the covariances of two domains, the loss of Deep CORAL.

    .. math:: \frac{1}{4 d^2} \| C_x - C_y \|_F^2

    Parameters
    ----------
    x, y : array-like, shapes (n, d) and (m, d)
        Features of two domains; covariances divide by n - 1 and m - 1.

    Returns
    -------
    float
        Lower is more alike; in the fourth power of the features' unit.

    Raises
    ------
    TypeError, ValueError
        If they are not finite rows of equal width.

    References
    ----------
    Sun and Saenko, Deep CORAL: Correlation Alignment for Deep Domain Adaptation, ECCV 2016
    Workshops, equations 1 to 3.

    Examples
    --------
    >>> from tlcourse.scores import coral_distance
    >>> coral_distance([[0.0], [2.0]], [[7.0], [7.0]])
    1.0
    """
    first, second = _check_domains(x, y)
    difference = np.cov(first, rowvar=False) - np.cov(second, rowvar=False)
    return float((difference**2).sum() / (4 * first.shape[1] ** 2))


def proxy_a_distance(x: ArrayLike, y: ArrayLike, *, seed: int) -> float:
    r"""Proxy A-distance: how well a linear classifier tells two domains apart.

    .. math:: \hat d_A = 2 (1 - 2 \epsilon)

    :math:`\epsilon` is the mean error over both domains, on held-out rows of 5-fold
    cross-validation, of a ridge classifier on standardised features; errors above chance count as
    chance.

    Parameters
    ----------
    x, y : array-like, shapes (n, d) and (m, d)
        Features of two domains, at least 5 rows each.
    seed : int
        Seed of the folds.

    Returns
    -------
    float
        From 0 (indistinguishable) to 2 (perfectly separable).

    Raises
    ------
    TypeError, ValueError
        If they are not finite rows of equal width, or too few.

    References
    ----------
    Ben-David, Blitzer, Crammer and Pereira, Analysis of Representations for Domain Adaptation,
    NIPS 2006.

    Examples
    --------
    >>> import numpy as np
    >>> from tlcourse.scores import proxy_a_distance
    >>> rows = np.arange(10.0)[:, None]
    >>> proxy_a_distance(rows, rows + 100, seed=0)
    2.0
    """
    first, second = _check_domains(x, y, min_rows=_FOLDS)
    rows = np.concatenate([first, second])
    domain = np.repeat([0, 1], [len(first), len(second)])
    classifier = make_pipeline(StandardScaler(), RidgeClassifier(class_weight="balanced"))
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    wrong = np.asarray(cross_val_predict(classifier, rows, domain, cv=folds)) != domain
    error = (wrong[domain == 0].mean() + wrong[domain == 1].mean()) / 2
    return float(2 * (1 - 2 * min(error, 0.5)))


def _check_domains(
    x: ArrayLike, y: ArrayLike, *, min_rows: int = 2
) -> tuple[Float64[np.ndarray, "n d"], Float64[np.ndarray, "m d"]]:
    """Return two sets of rows that have the same columns."""
    first = check_features("x", x, min_rows=min_rows)
    second = check_features("y", y, min_rows=min_rows)
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"x has {first.shape[1]} features and y {second.shape[1]}; "
            "extract both with the same model."
        )
    return first, second


def _sample(rows: Float64[np.ndarray, "n d"]) -> Float64[np.ndarray, "kept d"]:
    """Return all rows, or some drawn at random: evenly spaced ones may all be of one class."""
    if len(rows) <= _MEDIAN_ROWS:
        return rows
    return rows[np.random.default_rng(0).choice(len(rows), _MEDIAN_ROWS, replace=False)]


def _kernel_sum(
    x: Float64[np.ndarray, "n d"], y: Float64[np.ndarray, "m d"], bandwidths: list[float]
) -> float:
    """Return the sum over all pairs of the mean Gaussian kernel."""
    total = 0.0
    for start in range(0, len(x), _BLOCK):
        squares = euclidean_distances(x[start : start + _BLOCK], y, squared=True)
        total += sum(np.exp(squares / (-2 * width**2)).sum() for width in bandwidths)
    return total / len(bandwidths)
