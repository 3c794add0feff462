"""Which source? Scores that read target labels and need no fine-tuning.

Design choices
--------------
- One pure function per paper; higher always means more transferable.
- H-score and LogME see the features only through one eigendecomposition, shared by all classes.
- Covariances divide by n.
"""

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike
from scipy.linalg import eigh
from sklearn.covariance import ledoit_wolf_shrinkage

from tlcourse.checks import check_class_labels, check_features

_EPS = np.finfo(np.float64).eps
_TOLERANCE = 1e-10  # LogME stops when no column's evidence per example changes by more.
_MAX_ITERATIONS = 1000


def leep(source_probabilities: ArrayLike, labels: ArrayLike) -> float:
    r"""Log expected empirical prediction: how well the source's own classes explain the labels.

    .. math:: \frac1n \sum_i \log \sum_{y_s} \hat p(y_i \mid y_s) \, p_s(y_s \mid x_i), \qquad
              \hat p(y, y_s) = \frac1n \sum_{i: y_i = y} p_s(y_s \mid x_i)

    Parameters
    ----------
    source_probabilities : array-like, shape (n, k_source)
        :math:`p_s(y_s \mid x_i)`: the source model's class probabilities on target inputs; rows
        sum to 1.
    labels : array-like of int, shape (n,)
        Target classes.

    Returns
    -------
    float
        In nats, at most 0; higher is more transferable.

    Raises
    ------
    TypeError, ValueError
        If the probabilities or labels are not as described, or only one class occurs.

    References
    ----------
    Nguyen, Hassner, Seeger and Archambeau, LEEP: A New Measure to Evaluate Transferability of
    Learned Representations, ICML 2020.

    Examples
    --------
    >>> from tlcourse.scores import leep
    >>> shares = [[0.9, 0.1], [0.8, 0.2], [0.1, 0.9]]
    >>> round(leep(shares, [0, 0, 1]), 3)
    -0.245
    """
    says = check_features("source_probabilities", source_probabilities)
    if says.min() < 0 or np.abs(says.sum(axis=1) - 1).max() > 1e-3:
        raise ValueError(
            "source_probabilities must be >= 0 and sum to 1 in each row; they span "
            f"[{says.min():.3g}, {says.max():.3g}]: apply a softmax to the source's logits."
        )
    classes, codes = check_class_labels("labels", labels, rows=len(says))
    members = [np.flatnonzero(codes == code) for code in range(len(classes))]
    joint = np.stack([says[rows].sum(axis=0) for rows in members])  # (k, k_source)
    marginal = joint.sum(axis=0)
    conditional = joint / np.where(marginal > 0, marginal, 1)
    per_class = (
        np.log(says[r] @ given).sum() for r, given in zip(members, conditional, strict=True)
    )
    return float(sum(per_class) / len(says))


def nce(source_labels: ArrayLike, labels: ArrayLike) -> float:
    r"""Negative conditional entropy of the target labels given the source model's predictions.

    .. math:: \sum_{y, y_s} \hat p(y, y_s) \log \frac{\hat p(y, y_s)}{\hat p(y_s)}

    Parameters
    ----------
    source_labels : array-like of int, shape (n,)
        :math:`y_s`: the source class that the source model predicts for each target input.
    labels : array-like of int, shape (n,)
        :math:`y`: target classes.

    Returns
    -------
    float
        In nats, at most 0; higher is more transferable.

    Raises
    ------
    TypeError, ValueError
        If labels are not class indices of equal number, or only one target class occurs.

    References
    ----------
    Tran, Nguyen and Hassner, Transferability and Hardness of Supervised Classification Tasks,
    ICCV 2019.

    Examples
    --------
    >>> from tlcourse.scores import nce
    >>> round(nce([3, 3, 3, 8], [0, 0, 1, 1]), 3)
    -0.477
    """
    source_classes, source_codes = check_class_labels("source_labels", source_labels, min_classes=1)
    classes, codes = check_class_labels("labels", labels, rows=len(source_codes))
    shape = len(source_classes), len(classes)
    counts = np.bincount(source_codes * shape[1] + codes, minlength=shape[0] * shape[1])
    counts = counts.reshape(shape)
    given = counts / counts.sum(axis=1, keepdims=True)
    return float((counts * np.log(np.where(counts, given, 1))).sum() / len(codes))


def h_score(features: ArrayLike, labels: ArrayLike, *, regularised: bool = True) -> float:
    r"""H-score: the variance between classes, measured in whitened features.

    .. math:: \operatorname{tr}\left( \Sigma^{-1} \Sigma_b \right)
              \quad\text{or, regularised,}\quad
              \operatorname{tr}\left( \Sigma_\alpha^{-1} (1 - \alpha) \Sigma_b \right), \quad
              \Sigma_\alpha = (1 - \alpha) \Sigma + \alpha \tfrac{\operatorname{tr}\Sigma}{d} I

    :math:`\Sigma` is the covariance of the features, :math:`\Sigma_b` that of their class means
    (one per example) and :math:`\alpha` the shrinkage of Ledoit and Wolf (2004). Without
    regularisation :math:`\Sigma^{-1}` is the pseudo-inverse, and with fewer examples than features
    the score says nothing: it reaches its maximum k - 1 whatever the features.

    Parameters
    ----------
    features : array-like, shape (n, d)
        Features of target inputs.
    labels : array-like of int, shape (n,)
        Target classes, k of them.
    regularised : bool
        Whether to shrink the covariance.

    Returns
    -------
    float
        From 0 to k - 1; higher is more transferable.

    Raises
    ------
    TypeError, ValueError
        If features or labels are not as described, only one class occurs, or all rows are equal.

    References
    ----------
    Bao, Li, Huang, Zhang, Zheng, Zamir and Guibas, An Information-Theoretic Approach to
    Transferability in Task Transfer Learning, ICIP 2019.
    Ibrahim, Ponomareva and Mazumder, Newer is not always better: Rethinking transferability
    metrics, their peculiarities, stability and performance, arXiv:2110.06893.

    Examples
    --------
    >>> from tlcourse.scores import h_score
    >>> round(h_score([[0.0], [2.0], [4.0], [6.0]], [0, 0, 1, 1]), 3)
    0.8
    """
    features = check_features("features", features)
    classes, codes = check_class_labels("labels", labels, rows=len(features))
    centred = features - features.mean(axis=0)
    n, d = centred.shape
    squares, projections = _project("features", centred, np.eye(len(classes))[codes])
    spread = squares / n  # eigenvalues of the covariance, (r,)
    # Entry (j, c): share of class c in the between-class variance along axis j.
    between = spread * (projections**2 / np.bincount(codes)).sum(axis=1)
    alpha = ledoit_wolf_shrinkage(centred, assume_centered=True) if regularised else 0.0
    whitened = (1 - alpha) * between / ((1 - alpha) * spread + alpha * spread.sum() / d)
    return float(whitened.sum())


def logme(features: ArrayLike, labels: ArrayLike) -> float:
    r"""Log maximum evidence: how probable a Bayesian linear model on the features finds the labels.

    For each target column y, with :math:`\mathbf Z` (n, d) the features,

    .. math:: \frac1n \max_{\nu, \sigma^2} \log \int p(y \mid \mathbf Z w, \sigma^2 I) \,
              p(w \mid 0, \nu I) \, dw

    found by the paper's fixed-point iteration from :math:`\nu = \sigma^2 = 1`, then averaged over
    columns: classes one against the rest, or regression targets. No intercept is fitted.

    Parameters
    ----------
    features : array-like, shape (n, d)
        Features of target inputs.
    labels : array-like
        Integers (n,): target classes. Floating-point numbers (n,) or (n, m): regression targets.

    Returns
    -------
    float
        In nats per example; higher is more transferable. Where the features fit a column exactly,
        the evidence has no upper bound and a large finite number is returned.

    Raises
    ------
    TypeError, ValueError
        If features or labels are not as described, only one class occurs, or a column is constant.

    Notes
    -----
    A rotation of the features changes nothing. A shift does, since no intercept is fitted. Their
    unit can: a column's evidence may have two optima, one of which does without the features, and
    the fixed start decides between them. So compare features of like units.

    References
    ----------
    You, Liu, Wang and Long, LogME: Practical Assessment of Pre-trained Models for Transfer
    Learning, ICML 2021, Algorithm 1.

    Examples
    --------
    >>> from tlcourse.scores import logme
    >>> telling, silent = [[-1.0], [-1.2], [1.1], [0.9]], [[1.0], [-1.0], [1.0], [-1.0]]
    >>> logme(telling, [0, 0, 1, 1]) > logme(silent, [0, 0, 1, 1])
    True
    """
    features = check_features("features", features)
    responses = _check_responses(labels, len(features))
    squares, projections = _project("features", features, responses)
    inside = projections**2  # (r, m): what each axis explains of each column
    outside = np.maximum((responses**2).sum(axis=0) - inside.sum(axis=0), 0)
    evidence = _maximise_evidence(squares[:, None], inside, outside, len(features))
    return float(evidence.mean())


def _maximise_evidence(
    squares: Float64[np.ndarray, "r 1"],
    inside: Float64[np.ndarray, "r m"],
    outside: Float64[np.ndarray, " m"],
    n: int,
) -> Float64[np.ndarray, " m"]:
    """Return the largest evidence per example of each column, (m,).

    The iteration moves only the ratio t of the variances of noise and weights: given t, the best
    variance of the noise is (residual + t |m|^2) / n, which turns the evidence into a function of
    t alone.
    """
    ratio, evidence = np.ones(inside.shape[1]), np.full(inside.shape[1], -np.inf)
    bounds = squares.max() * _EPS, squares.max() / _EPS
    for _ in range(_MAX_ITERATIONS):
        kept, lost = squares / (squares + ratio), ratio / (squares + ratio)  # sum to 1, (r, m)
        weights = (inside * kept**2 / squares).sum(axis=0)  # |m|^2
        misfit = (inside * lost**2).sum(axis=0) + outside
        previous, evidence = (
            evidence,
            0.5 * (np.log(n / (2 * np.pi * (misfit + ratio * weights))) - 1),
        )
        evidence += 0.5 * np.log(lost).sum(axis=0) / n
        if np.abs(evidence - previous).max() <= _TOLERANCE:
            break
        used = kept.sum(axis=0)  # effective number of parameters, the paper's gamma
        unused = (n - len(squares)) + lost.sum(axis=0)
        with np.errstate(divide="ignore", over="ignore"):  # Useless features: ratio -> infinity.
            ratio = np.clip(used * misfit / (weights * unused), *bounds)
    return evidence


def _check_responses(labels: ArrayLike, n: int) -> Float64[np.ndarray, "{n} m"]:
    """Return one-hot classes or regression targets as float64 columns (n, m)."""
    labels = np.asarray(labels)
    if not np.issubdtype(labels.dtype, np.floating):
        classes, codes = check_class_labels("labels", labels, rows=n)
        return np.eye(len(classes))[codes]
    targets = check_features("labels", labels[:, None] if labels.ndim == 1 else labels)
    if len(targets) != n:
        raise ValueError(f"labels have {len(targets)} rows; {n} rows of features need {n}.")
    constant = np.flatnonzero(np.ptp(targets, axis=0) == 0)
    if len(constant):
        raise ValueError(f"labels are constant in columns {constant.tolist()}; drop these columns.")
    return targets


def _project(
    name: str, features: Float64[np.ndarray, "n d"], responses: Float64[np.ndarray, "n m"]
) -> tuple[Float64[np.ndarray, " r"], Float64[np.ndarray, "r m"]]:
    """Decompose the features once: squared singular values (r,) and U^T responses (r, m).

    U holds the left singular vectors. The smaller of the two Gram matrices is decomposed, which is
    much cheaper than an SVD; directions that are zero up to rounding are left out.
    """
    n, d = features.shape
    squares, vectors = eigh(features.T @ features if n >= d else features @ features.T)
    real = squares > squares[-1] * max(n, d) * _EPS
    if not real.any():
        raise ValueError(f"all rows of {name} are equal or zero; scores need features that vary.")
    squares, vectors = squares[real], vectors[:, real]
    if n < d:
        return squares, vectors.T @ responses
    return squares, vectors.T @ (features.T @ responses) / np.sqrt(squares)[:, None]
