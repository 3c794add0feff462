"""Losses for harder targets: rare classes and wrong labels. Give one to ``fit(..., loss=...)``.

Design choices
--------------
- Each function makes a loss ``loss(logits, labels) -> scalar tensor``, so `fit` needs to know
  nothing about it. Evaluation stays as it is: these losses are for training only.
- Class frequencies come in as counts, ``numpy.bincount(labels, minlength=k)`` of the training set.
- Label smoothing (Szegedy et al., CVPR 2016, section 7) is PyTorch's own:
  ``functools.partial(torch.nn.functional.cross_entropy, label_smoothing=0.1)``.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn import functional as F

from tlcourse.checks import check_integer, check_positive

Loss = Callable[[Tensor, Tensor], Tensor]  # of logits (n, k) and labels (n,): a scalar


def class_balanced_loss(counts: ArrayLike, *, beta: float = 0.999) -> Loss:
    r"""Weigh each class by the inverse of its effective number of examples.

    .. math:: w_y \propto \frac{1 - \beta}{1 - \beta^{n_y}}, \qquad \sum_y w_y = k

    The loss is the mean over the batch of weight times cross-entropy; it is not divided by the
    batch's sum of weights, so an example's weight does not depend on its neighbours.

    Parameters
    ----------
    counts : array-like of int, shape (k,)
        Training examples of each class, at least one each.
    beta : float
        From 0 (no weights) to just below 1 (the inverse of the counts).

    Returns
    -------
    callable
        ``loss(logits, labels)`` for logits ``(n, k)``.

    Raises
    ------
    TypeError, ValueError
        If a count is no integer or below 1, there are fewer than 2, or ``beta`` is not in [0, 1).

    References
    ----------
    Cui, Jia, Lin, Song and Belongie, Class-Balanced Loss Based on Effective Number of Samples,
    CVPR 2019, equations 2 and 5.

    Examples
    --------
    >>> import torch
    >>> import tlcourse.torch as tl
    >>> loss = tl.class_balanced_loss([900, 100], beta=0.999)
    >>> logits = torch.zeros(2, 2)
    >>> common, rare = (loss(logits, torch.tensor([k, k])).item() for k in (0, 1))
    >>> round(rare / common, 2)  # of the largest possible ratio 9
    6.23
    """
    counts = _check_counts(counts)
    if not 0 <= beta < 1:
        raise ValueError(f"beta is {beta!r}; it must be at least 0 and below 1, such as 0.999.")
    # expm1 and log1p keep the digits that 1 - beta**n loses for beta near 1
    weights = (1 - beta) / -np.expm1(counts * np.log1p(beta - 1)) if beta else np.ones(len(counts))
    weights = torch.tensor(weights * len(weights) / weights.sum(), dtype=torch.float32)

    def loss(logits: Float[Tensor, "n k"], labels: Int[Tensor, " n"]) -> Float[Tensor, ""]:
        losses = F.cross_entropy(logits, labels, reduction="none")
        return (losses * weights.to(losses)[labels]).mean()

    return loss


def logit_adjusted_loss(counts: ArrayLike, *, tau: float = 1.0) -> Loss:
    r"""Cross-entropy on logits raised by the logarithm of the class frequencies.

    .. math:: \ell(y, z) = -\log \frac{e^{z_y + \tau \log \pi_y}}
                                      {\sum_{y'} e^{z_{y'} + \tau \log \pi_{y'}}}

    The frequent classes get their head start in training, so the logits need none of their own:
    with :math:`\tau = 1` the plain logits aim at the balanced error.

    Parameters
    ----------
    counts : array-like of int, shape (k,)
        Training examples of each class, at least one each; :math:`\pi` is their share.
    tau : float
        Strength; 0 is plain cross-entropy.

    Returns
    -------
    callable
        ``loss(logits, labels)`` for logits ``(n, k)``.

    Raises
    ------
    TypeError, ValueError
        If a count is no integer or below 1, there are fewer than 2, or ``tau`` is negative.

    References
    ----------
    Menon, Jayasumana, Rawat, Jain, Veit and Kumar, Long-tail Learning via Logit Adjustment,
    ICLR 2021, equation 10.

    Examples
    --------
    >>> import torch
    >>> import tlcourse.torch as tl
    >>> loss = tl.logit_adjusted_loss([900, 100])
    >>> prior = torch.tensor([[0.9, 0.1]]).log()
    >>> round(loss(torch.zeros(1, 2), torch.tensor([1])).item(), 3), round(-prior[0, 1].item(), 3)
    (2.303, 2.303)
    """
    offsets = torch.tensor(_log_priors(counts, tau), dtype=torch.float32)

    def loss(logits: Float[Tensor, "n k"], labels: Int[Tensor, " n"]) -> Float[Tensor, ""]:
        return F.cross_entropy(logits + offsets.to(logits), labels)

    return loss


def adjust_logits(
    logits: Float[np.ndarray, "n k"], counts: ArrayLike, *, tau: float = 1.0
) -> Float[np.ndarray, "n k"]:
    r"""Lower logits by the logarithm of the training set's class frequencies.

    .. math:: z_y - \tau \log \pi_y

    It needs no training: use it on a model that was trained with plain cross-entropy, and not on
    one trained with `logit_adjusted_loss`, which would be adjusted twice.

    Parameters
    ----------
    logits : ndarray, shape (n, k)
        From `predict`.
    counts : array-like of int, shape (k,)
        Training examples of each class, at least one each.
    tau : float
        Strength.

    Returns
    -------
    ndarray, shape (n, k)
        Of the same type as ``logits``.

    Raises
    ------
    TypeError, ValueError
        If the counts are not as described, do not fit the logits, or ``tau`` is negative.

    References
    ----------
    Menon et al., Long-tail Learning via Logit Adjustment, ICLR 2021, equation 9.

    Examples
    --------
    >>> import numpy as np
    >>> import tlcourse.torch as tl
    >>> logits = np.log([[0.8, 0.2]])  # less sure of the common class than its share of 0.9
    >>> tl.adjust_logits(logits, [900, 100]).argmax(axis=1)
    array([1])
    """
    offsets = _log_priors(counts, tau)
    if np.ndim(logits) != 2 or np.shape(logits)[1] != len(offsets):
        raise ValueError(
            f"logits have shape {np.shape(logits)} and counts {len(offsets)} classes; give logits "
            f"(n, {len(offsets)})."
        )
    return logits - offsets.astype(np.asarray(logits).dtype)


class SmallLoss:
    r"""Mean cross-entropy of the examples of a batch whose loss is small.

    A net learns right labels before it memorises wrong ones, so early in training a large loss
    points to a wrong label. The share left out grows linearly from 0:
    :math:`R(t) = \tau \min(t / T, 1)` at update t. In co-teaching, two nets choose for each
    other; here one net chooses for itself, at half the cost, and its mistakes may confirm
    themselves.

    Parameters
    ----------
    trim : float
        Share :math:`\tau` of each batch that is left out in the end: the share of wrong labels, or
        a guess of it.
    warm_up : int
        Updates :math:`T` until then.

    Attributes
    ----------
    updates : int
        How often the loss was called. Make a new one for each training.

    Raises
    ------
    ValueError
        If ``trim`` is not in [0, 1) or ``warm_up`` no integer of at least 1.

    References
    ----------
    Han, Yao, Yu, Niu, Xu, Hu, Tsang and Sugiyama, Co-teaching: Robust Training of Deep Neural
    Networks with Extremely Noisy Labels, NeurIPS 2018, Algorithm 1.

    Examples
    --------
    >>> import torch
    >>> import tlcourse.torch as tl
    >>> loss = tl.SmallLoss(0.5, warm_up=1)
    >>> logits, labels = torch.tensor([[9.0, 0.0], [9.0, 0.0]]), torch.tensor([0, 1])
    >>> [round(loss(logits, labels).item(), 2) for _ in range(2)]  # then without the wrong one
    [4.5, 0.0]
    """

    def __init__(self, trim: float, *, warm_up: int = 100) -> None:
        if not 0 <= trim < 1:
            raise ValueError(f"trim is {trim!r}; it must be at least 0 and below 1.")
        self.trim, self.warm_up, self.updates = trim, check_integer("warm_up", warm_up), 0

    def __call__(
        self, logits: Float[Tensor, "n k"], labels: Int[Tensor, " n"]
    ) -> Float[Tensor, ""]:
        """Return the mean of the smallest losses, a scalar tensor."""
        share = self.trim * min(self.updates / self.warm_up, 1)
        self.updates += 1
        losses = F.cross_entropy(logits, labels, reduction="none")
        kept = max(1, round((1 - share) * len(losses)))
        return losses.topk(kept, largest=False).values.mean()


def _log_priors(counts: ArrayLike, tau: float) -> Float64[np.ndarray, " k"]:
    """Return tau times the logarithms of the classes' shares, (k,)."""
    counts = _check_counts(counts)
    return check_positive("tau", tau, or_zero=True) * np.log(counts / counts.sum())


def _check_counts(counts: ArrayLike) -> Int[np.ndarray, " k"]:
    """Return counts as an array of at least two positive integers."""
    counts = np.asarray(counts)
    if not np.issubdtype(counts.dtype, np.integer):
        raise TypeError(
            f"counts have dtype {counts.dtype}; give integers: np.bincount(labels, minlength=k)."
        )
    if counts.ndim != 1 or len(counts) < 2 or counts.min() < 1:
        raise ValueError(
            f"counts are {counts.tolist()}; give one number >= 1 for each of at least 2 classes: "
            "a class without any example cannot be weighed."
        )
    return counts
