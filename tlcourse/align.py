"""Shallow feature alignment: bring source and target features together without target labels.

Design choices
--------------
- Each method is a scikit-learn transformer with one extra argument, ``fit(X, target=...)``: ``X``
  holds the source rows and ``target`` the unlabelled target rows. Without a target, the source is
  aligned with itself.
- ``fit_transform`` returns the aligned source, to train on; ``transform`` takes new rows from the
  target, to predict on, unless ``domain="source"`` says otherwise. So a pipeline does the right
  thing: ``make_pipeline(CORAL(), LogisticRegression()).fit(X, y, coral__target=target)`` learns
  from aligned source rows and its ``predict`` expects target rows.
- Each domain is centred on its own mean: shifted means are part of the gap that is closed.
- Everything is computed in float64 and returned in the floating-point type that came in.
"""

from collections.abc import Callable
from typing import Any, Literal, Self

import numpy as np
from jaxtyping import Float, Float64, Int
from numpy.typing import ArrayLike
from scipy.linalg import eigh
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    OneToOneFeatureMixin,
    TransformerMixin,
)
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import linear_kernel, rbf_kernel
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from tlcourse.checks import check_integer, check_positive
from tlcourse.scores import median_bandwidth

__all__ = ["CORAL", "TCA", "SubspaceAlignment", "classify_aligned"]

_FLOATS = (np.float64, np.float32)
_DOMAINS = ("source", "target")
# Beyond this, TCA's dense kernel and eigenproblem outgrow a laptop's memory.
_MAX_KERNEL_ROWS = 10_000


class _Aligner(TransformerMixin, BaseEstimator):
    """What the three methods share: two domains in, one domain at a time out."""

    n_features_in_: int
    _learn: Callable[[np.ndarray, np.ndarray], None]  # from source and target, float64
    _map: Callable[[np.ndarray, str], np.ndarray]  # rows of a domain into the common space

    def fit(self, X: ArrayLike, y: object = None, *, target: ArrayLike | None = None) -> Self:
        """Learn the alignment of a source with a target.

        Parameters
        ----------
        X : array-like, shape (n_source, d)
            Source features.
        y : ignored
            Accepted because scikit-learn's pipelines pass it on.
        target : array-like, shape (n_target, d), optional
            Target features; no labels are needed. By default ``X`` itself.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If the features are not finite rows, differ in width, have fewer than two rows, or a
            parameter is out of range.
        """
        source = self._check_rows(X, reset=True)
        target = source if target is None else self._check_target(target)
        self._learn(source.astype(np.float64), target.astype(np.float64))
        return self

    def transform(
        self, X: ArrayLike, *, domain: Literal["target", "source"] = "target"
    ) -> Float[np.ndarray, "n k"]:
        """Map rows of one domain into the common space.

        Parameters
        ----------
        X : array-like, shape (n, d)
            Features of rows that may be new.
        domain : {"target", "source"}
            Where the rows come from.

        Returns
        -------
        ndarray, shape (n, d) or (n, n_components_)
            Aligned features, float32 where ``X`` is float32.

        Raises
        ------
        ValueError
            If ``domain`` is not one of the two, or ``X`` does not fit the fitted width.
        """
        check_is_fitted(self)
        if domain not in _DOMAINS:
            raise ValueError(f"domain is {domain!r}; say where the rows come from: {_DOMAINS}.")
        rows = self._check_rows(X, reset=False)
        return self._map(rows.astype(np.float64), domain).astype(rows.dtype, copy=False)

    def fit_transform(
        self, X: ArrayLike, y: object = None, *, target: ArrayLike | None = None
    ) -> Float[np.ndarray, "n k"]:
        """Learn the alignment and return the aligned source, ready to train on.

        Parameters
        ----------
        X : array-like, shape (n_source, d)
            Source features.
        y : ignored
            Accepted because scikit-learn's pipelines pass it on.
        target : array-like, shape (n_target, d), optional
            Target features; by default ``X`` itself.

        Returns
        -------
        ndarray, shape (n_source, d) or (n_source, n_components_)
            The same as ``fit(X, target=target).transform(X, domain="source")``.
        """
        return self.fit(X, y, target=target).transform(X, domain="source")

    def _check_rows(self, X: object, *, reset: bool) -> Float[np.ndarray, "n d"]:
        """Return finite rows in their own floating-point type; a reset sets the columns."""
        options: Any = {"dtype": _FLOATS, "ensure_min_samples": 2 if reset else 1}
        rows: Any = validate_data(self, X, reset=reset, **options)  # pyright: ignore
        return rows

    def _check_target(self, target: object) -> Float[np.ndarray, "m d"]:
        """Return target rows that have the source's columns."""
        options: Any = {"dtype": _FLOATS, "ensure_min_samples": 2}
        rows = check_array(target, input_name="target", **options)
        if rows.shape[1] != self.n_features_in_:
            raise ValueError(
                f"target has {rows.shape[1]} features, but X has {self.n_features_in_}; "
                "extract both with the same model."
            )
        # Once more with the original, because only a data frame knows its column names.
        return self._check_rows(target, reset=False)

    def __sklearn_tags__(self):
        """Tell scikit-learn that float32 stays float32."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class CORAL(OneToOneFeatureMixin, _Aligner):
    r"""Correlation alignment: give the source the covariance (and mean) of the target.

    .. math:: x \mapsto (x - \mu_s) \, C_s^{-1/2} C_t^{1/2} + \mu_t, \qquad
              C = \operatorname{cov} + \lambda v I

    Target rows stay as they are. :math:`v` is the mean variance of the domain's features, so the
    result does not depend on the features' scale; on standardised features, :math:`v = 1`, it is
    the paper's :math:`C = \operatorname{cov} + \lambda I`. The paper standardises both domains
    first, which aligns the means; here the means are aligned explicitly. With ``reg=0`` and full
    rank, mean and covariance of the aligned source equal the target's exactly; directions in which
    the source does not vary (constant features) are left out.

    Parameters
    ----------
    reg : float
        Regularisation :math:`\lambda \ge 0` in units of the mean variance; the paper uses 1.
        Larger values leave weak directions alone.

    Attributes
    ----------
    source_mean_, target_mean_ : ndarray, shape (d,)
    matrix_ : ndarray, shape (d, d)
        :math:`C_s^{-1/2} C_t^{1/2}`.

    References
    ----------
    Sun, Feng and Saenko, Return of Frustratingly Easy Domain Adaptation, AAAI 2016, Algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from tlcourse.align import CORAL
    >>> source, target = np.array([[0.0], [2.0]]), np.array([[10.0], [14.0]])
    >>> CORAL(reg=0).fit_transform(source, target=target)
    array([[10.],
           [14.]])
    """

    def __init__(self, reg: float = 1.0) -> None:
        self.reg = reg

    def _learn(
        self, source: Float64[np.ndarray, "n d"], target: Float64[np.ndarray, "m d"]
    ) -> None:
        reg = check_positive("reg", self.reg, or_zero=True)
        self.source_mean_, self.target_mean_ = source.mean(axis=0), target.mean(axis=0)
        whiten = _power(_regularised_covariance(source, reg), -0.5)
        self.matrix_ = whiten @ _power(_regularised_covariance(target, reg), 0.5)

    def _map(self, rows: Float64[np.ndarray, "n d"], domain: str) -> Float64[np.ndarray, "n k"]:
        if domain == "target":
            return rows
        return (rows - self.source_mean_) @ self.matrix_ + self.target_mean_


class SubspaceAlignment(ClassNamePrefixFeaturesOutMixin, _Aligner):
    r"""Rotate the source's principal axes onto the target's.

    .. math:: x_s \mapsto (x_s - \mu_s) P_s \, P_s^\top P_t, \qquad
              x_t \mapsto (x_t - \mu_t) P_t

    :math:`P` (d, k) holds a domain's first k principal axes. Where k equals d the rotations cancel
    and only the means are aligned; the method needs k < d.

    Parameters
    ----------
    n_components : int
        Largest number k of axes; fewer are kept where a domain spans fewer dimensions.

    Attributes
    ----------
    n_components_ : int
        Axes that were kept.
    source_mean_, target_mean_ : ndarray, shape (d,)
    source_axes_, target_axes_ : ndarray, shape (d, n_components_)
    alignment_ : ndarray, shape (n_components_, n_components_)
        :math:`P_s^\top P_t`; the identity if both subspaces agree.

    References
    ----------
    Fernando, Habrard, Sebban and Tuytelaars, Unsupervised Visual Domain Adaptation Using Subspace
    Alignment, ICCV 2013, Algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from tlcourse.align import SubspaceAlignment
    >>> source, target = np.array([[0.0, 0.0], [2.0, 0.0]]), np.array([[5.0, 0.0], [5.0, 6.0]])
    >>> aligner = SubspaceAlignment(n_components=1).fit(source, target=target)
    >>> aligner.transform(target)
    array([[-3.],
           [ 3.]])
    """

    def __init__(self, n_components: int = 10) -> None:
        self.n_components = n_components

    def _learn(
        self, source: Float64[np.ndarray, "n d"], target: Float64[np.ndarray, "m d"]
    ) -> None:
        check_integer("n_components", self.n_components)
        self.source_mean_, self.target_mean_ = source.mean(axis=0), target.mean(axis=0)
        source_axes = _principal_axes("X", source - self.source_mean_)
        target_axes = _principal_axes("target", target - self.target_mean_)
        k = min(self.n_components, source_axes.shape[1], target_axes.shape[1])
        self.n_components_ = k
        self.source_axes_, self.target_axes_ = source_axes[:, :k], target_axes[:, :k]
        self.alignment_ = self.source_axes_.T @ self.target_axes_

    def _map(self, rows: Float64[np.ndarray, "n d"], domain: str) -> Float64[np.ndarray, "n k"]:
        if domain == "target":
            return (rows - self.target_mean_) @ self.target_axes_
        return (rows - self.source_mean_) @ self.source_axes_ @ self.alignment_

    @property
    def _n_features_out(self) -> int:
        """Number of output columns, which scikit-learn names."""
        return self.n_components_


class TCA(ClassNamePrefixFeaturesOutMixin, _Aligner):
    r"""Transfer component analysis: a projection with much variance and little domain gap.

    With the kernel :math:`K` of all :math:`N` rows of both domains, centring :math:`H` and
    :math:`L = \ell\ell^\top`, :math:`\ell = (1/n_s, \dots, -1/n_t, \dots)`, it maximises

    .. math:: \operatorname{tr}\left( (W^\top (K L K + \mu I) W)^{-1} \, W^\top K H K W \right)

    by the first solutions of the symmetric generalised eigenproblem
    :math:`K H K w = \lambda (K L K + \mu I) w`, scaled to :math:`w^\top (K L K + \mu I) w = 1`.
    A row x becomes :math:`k(x) W`, the same map for both domains.

    Parameters
    ----------
    n_components : int
        Largest number of components; at most N - 1 are kept.
    kernel : {"rbf", "linear"}
        :math:`\exp(-\|x - y\|^2 / 2\sigma^2)` or :math:`x^\top y`.
    bandwidth : float, optional
        :math:`\sigma` of the rbf kernel; by default the median distance of the pooled rows.
    mu : float
        :math:`\mu > 0`. Small values close the gap between the domain means at any price.

    Attributes
    ----------
    n_components_ : int
    bandwidth_ : float or None
        The bandwidth used, None for the linear kernel.
    rows_ : ndarray, shape (N, d)
        Source rows, then target rows.
    weights_ : ndarray, shape (N, n_components_)
        W.
    eigenvalues_ : ndarray, shape (n_components_,)
        Descending: variance against gap of each component.

    Notes
    -----
    Needs a few N x N arrays and time cubic in N: a few thousand rows. 10,000 are the limit.

    References
    ----------
    Pan, Tsang, Kwok and Yang, Domain Adaptation via Transfer Component Analysis, IEEE Transactions
    on Neural Networks 22(2), 2011. (Their IJCAI 2009 paper writes :math:`I + \mu K L K`, so its
    :math:`\mu` is the inverse of this one.)

    Examples
    --------
    >>> import numpy as np
    >>> from tlcourse.align import TCA
    >>> rng = np.random.default_rng(0)
    >>> source, target = rng.normal(size=(20, 3)), rng.normal(size=(10, 3)) + [4, 0, 0]
    >>> aligner = TCA(n_components=2).fit(source, target=target)
    >>> aligner.transform(target).shape
    (10, 2)
    """

    def __init__(
        self,
        n_components: int = 10,
        kernel: Literal["rbf", "linear"] = "rbf",
        bandwidth: float | None = None,
        mu: float = 1.0,
    ) -> None:
        self.n_components = n_components
        self.kernel = kernel
        self.bandwidth = bandwidth
        self.mu = mu

    def _learn(
        self, source: Float64[np.ndarray, "n d"], target: Float64[np.ndarray, "m d"]
    ) -> None:
        mu = check_positive("mu", self.mu)
        check_integer("n_components", self.n_components)
        self.rows_ = np.concatenate([source, target])
        size = len(self.rows_)
        if size > _MAX_KERNEL_ROWS:
            raise ValueError(
                f"X and target have {size} rows together; TCA solves a dense problem of that size "
                f"and allows {_MAX_KERNEL_ROWS}: fit it on a random subset, then transform all."
            )
        self.bandwidth_ = self._choose_bandwidth(source, target)
        kernel = self._kernel_with_rows(self.rows_)  # (N, N)
        gap = kernel @ np.repeat([1 / len(source), -1 / len(target)], [len(source), len(target)])
        centred = kernel - kernel.mean(axis=0)
        spread = centred.T @ centred  # K H K, because H is symmetric and H H = H
        penalty = np.outer(gap, gap) + mu * np.eye(size)  # K L K + mu I
        k = self.n_components_ = min(self.n_components, size - 1)
        values, vectors = eigh(spread, penalty, subset_by_index=(size - k, size - 1))
        self.eigenvalues_, self.weights_ = values[::-1], _fix_signs(vectors[:, ::-1])

    def _choose_bandwidth(
        self, source: Float64[np.ndarray, "n d"], target: Float64[np.ndarray, "m d"]
    ) -> float | None:
        """Return the rbf kernel's bandwidth, or None where the kernel has none."""
        if self.kernel not in ("rbf", "linear"):
            raise ValueError(f"kernel is {self.kernel!r}; allowed are 'rbf' and 'linear'.")
        if self.bandwidth is not None:
            check_positive("bandwidth", self.bandwidth)
        if self.kernel == "linear":
            return None
        return self.bandwidth or median_bandwidth(source, target)

    def _kernel_with_rows(self, rows: Float64[np.ndarray, "n d"]) -> Float64[np.ndarray, "n N"]:
        """Return the kernel between some rows (n, d) and those of the fit: (n, N)."""
        if self.bandwidth_ is None:
            return linear_kernel(rows, self.rows_)
        return rbf_kernel(rows, self.rows_, gamma=1 / (2 * self.bandwidth_**2))

    def _map(self, rows: Float64[np.ndarray, "n d"], domain: str) -> Float64[np.ndarray, "n k"]:
        return self._kernel_with_rows(rows) @ self.weights_

    @property
    def _n_features_out(self) -> int:
        """Number of output columns, which scikit-learn names."""
        return self.n_components_


def _regularised_covariance(
    rows: Float64[np.ndarray, "n d"], reg: float
) -> Float64[np.ndarray, "d d"]:
    """Return the covariance (d, d) plus ``reg`` times its mean variance on the diagonal."""
    covariance = np.atleast_2d(np.cov(rows, rowvar=False))
    return covariance + reg * covariance.diagonal().mean() * np.eye(len(covariance))


def _power(matrix: Float64[np.ndarray, "d d"], exponent: float) -> Float64[np.ndarray, "d d"]:
    """Return a power of a symmetric positive semi-definite matrix on the space that it spans."""
    values, vectors = np.linalg.eigh(matrix)
    spanned = values > values[-1] * len(values) * np.finfo(np.float64).eps
    vectors = vectors[:, spanned]
    return (vectors * values[spanned] ** exponent) @ vectors.T


def _principal_axes(
    name: str, centred: Float64[np.ndarray, "n d"]
) -> Float64[np.ndarray, "d rank"]:
    """Return the principal axes (d, rank) of centred rows, strongest first, with fixed signs."""
    _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
    rank = np.count_nonzero(lengths > lengths[0] * max(centred.shape) * np.finfo(np.float64).eps)
    if rank == 0:
        raise ValueError(f"all rows of {name} are equal; principal axes need rows that differ.")
    return _fix_signs(axes[:rank].T)


def _fix_signs(columns: Float64[np.ndarray, "d k"]) -> Float64[np.ndarray, "d k"]:
    """Make the largest entry of each column positive, so that results do not depend on LAPACK."""
    largest = np.abs(columns).argmax(axis=0)
    return columns * np.sign(columns[largest, np.arange(columns.shape[1])])


def classify_aligned(
    aligner: CORAL | SubspaceAlignment | TCA,
    source_features: Float[np.ndarray, "n d"],
    source_labels: Int[np.ndarray, " n"],
    target_features: Float[np.ndarray, "m d"],
) -> Int[np.ndarray, " m"]:
    """Align two domains, learn on the source, and predict the target.

    Features are standardised by the source's mean and spread *before* the alignment. Behind it,
    all of them are divided by one number alone, the spread of the aligned source: divided each by
    its own, faint components would weigh as much as strong ones, and in them nothing is aligned.

    Parameters
    ----------
    aligner : CORAL, SubspaceAlignment or TCA
        One of `tlcourse.align`; it is fitted here.
    source_features : ndarray, shape (n, d)
        Features of the source.
    source_labels : ndarray of int, shape (n,)
        Their classes.
    target_features : ndarray, shape (m, d)
        Features of the target, without labels.

    Returns
    -------
    ndarray of int, shape (m,)
        Predicted classes.

    Examples
    --------
    >>> import numpy as np
    >>> from tlcourse.align import CORAL, classify_aligned
    >>> source, labels = np.array([[0.0], [1.0], [8.0], [9.0]]), np.array([0, 0, 1, 1])
    >>> classify_aligned(CORAL(), source, labels, source + 100)
    array([0, 0, 1, 1])
    """
    scaler = StandardScaler().fit(source_features)
    source, target = scaler.transform(source_features), scaler.transform(target_features)
    aligned = aligner.fit_transform(source, target=target)
    spread = aligned.std(axis=0).max() or 1.0
    classifier = LogisticRegression(max_iter=2000).fit(aligned / spread, source_labels)
    return classifier.predict(aligner.transform(target) / spread)
