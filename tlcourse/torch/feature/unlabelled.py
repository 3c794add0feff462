"""What a net can learn from target inputs alone: be sure, be balanced, agree with itself.

Design choices
--------------
- Each method is one small function of logits, in nats, and can be read beside its formula.
- Where a loss leans on how often each class occurs, that is an argument, ``prior``, and not hidden
  in the code: by default all classes are equally frequent, which a target need not be.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from tlcourse.checks import check_positive


def entropy_loss(logits: Float[Tensor, "n k"]) -> Float[Tensor, ""]:
    r"""Mean entropy of the answers: small where each is sure, whatever they are together.

    .. math:: \frac1n\sum_i H(p_i), \qquad H(p) = -\sum_k p_k \log p_k

    Parameters
    ----------
    logits : tensor of float, shape (n, k)
        Of unlabelled examples.

    Returns
    -------
    tensor, scalar
        In nats, from 0 to log(k).

    References
    ----------
    .. [1] Y. Grandvalet, Y. Bengio, Semi-supervised learning by entropy minimization, NIPS 2004.

    Examples
    --------
    >>> import torch
    >>> import tlcourse.torch as tl
    >>> round(tl.entropy_loss(torch.zeros(3, 2)).item(), 4)  # log(2)
    0.6931
    """
    log_p = F.log_softmax(logits, dim=1)
    return -(log_p.exp() * log_p).sum(dim=1).mean()


def information_loss(
    logits: Float[Tensor, "n k"], prior: Float[Tensor, " k"] | None = None
) -> Float[Tensor, ""]:
    r"""Ask for answers that are sure one by one, and spread over the classes together.

    .. math:: \frac1n\sum_i H(p_i) + \mathrm{KL}(\bar p\,\|\,q),
              \qquad \bar p = \frac1n\sum_i p_i

    with the answers :math:`p_i`, their entropy :math:`H` and the prior :math:`q`. For equally
    frequent classes this is, up to the constant :math:`\log k`, the information maximisation of
    SHOT [1]_.

    Parameters
    ----------
    logits : tensor of float, shape (n, k)
        Of unlabelled examples.
    prior : tensor of float, shape (k,), optional
        How frequent each class is, above 0 and together 1; by default all alike.

    Returns
    -------
    tensor, scalar
        In nats; 0 where all answers are certain and as frequent as the prior says.

    References
    ----------
    .. [1] J. Liang, D. Hu, J. Feng, Do we really need to access the source data? Source hypothesis
       transfer for unsupervised domain adaptation, ICML 2020, equations 2 and 3.

    Examples
    --------
    >>> import torch
    >>> import tlcourse.torch as tl
    >>> sure = 50 * torch.eye(2)  # one example of each class
    >>> round(tl.information_loss(sure).item(), 4), round(tl.information_loss(0 * sure).item(), 4)
    (0.0, 0.6931)
    """
    log_p = F.log_softmax(logits, dim=1)
    log_mean = torch.logsumexp(log_p, dim=0) - np.log(len(logits))
    k = logits.shape[1]
    log_prior = -np.log(k) if prior is None else prior.log()
    return entropy_loss(logits) + (log_mean.exp() * (log_mean - log_prior)).sum()


def confusion_loss(logits: Float[Tensor, "n k"], *, temperature: float = 2.5) -> Float[Tensor, ""]:
    r"""Minimum class confusion: no two classes shall be answered for the same example.

    .. math:: C_{jl} = \sum_i w_i\,p_{ij}\,p_{il}, \qquad
              \frac1k\sum_j\sum_{l \neq j} \frac{C_{jl}}{\sum_m C_{jm}}

    with softened answers :math:`p_i`, and weights :math:`w_i \propto 1 + e^{-H(p_i)}` whose mean
    is 1 [1]_.

    Parameters
    ----------
    logits : tensor of float, shape (n, k)
        Of unlabelled examples.
    temperature : float
        By which the logits are divided.

    Returns
    -------
    tensor, scalar
        From 0 to 1.

    References
    ----------
    .. [1] Y. Jin, X. Wang, M. Long, J. Wang, Minimum class confusion for versatile domain
       adaptation, ECCV 2020, equations 2 to 7.

    Examples
    --------
    >>> import torch
    >>> import tlcourse.torch as tl
    >>> round(tl.confusion_loss(200 * torch.eye(2)).item(), 4)
    0.0
    >>> round(tl.confusion_loss(torch.zeros(3, 2)).item(), 4)  # each class meets the other half
    0.5
    """
    check_positive("temperature", temperature)
    p = F.softmax(logits / temperature, dim=1)
    entropy = -(p * p.clamp(min=1e-12).log()).sum(dim=1)
    weights = (1 + torch.exp(-entropy)).detach()
    confusion = (p * (weights / weights.mean())[:, None]).T @ p  # (k, k)
    confusion = confusion / confusion.sum(dim=1, keepdim=True).clamp(min=1e-12)
    return 1 - confusion.diagonal().mean()


def agreement_loss(
    logits: Float[Tensor, "n k"], changed_logits: Float[Tensor, "n k"], *, threshold: float = 0.9
) -> Float[Tensor, ""]:
    """Ask for the same answer to a changed picture, where the answer to the plain one is sure.

    The answer to the plain picture serves as a label and gets no gradient [1]_. Examples below the
    threshold count as 0, so the loss grows with the share that is sure.

    Parameters
    ----------
    logits, changed_logits : tensor of float, shape (n, k)
        Of the plain and of the changed pictures.
    threshold : float
        Smallest probability of an answer that is used, from 0 to below 1.

    Returns
    -------
    tensor, scalar
        In nats.

    References
    ----------
    .. [1] K. Sohn et al., FixMatch: Simplifying semi-supervised learning with consistency and
       confidence, NeurIPS 2020, equation 4.

    Examples
    --------
    >>> import torch
    >>> import tlcourse.torch as tl
    >>> plain = torch.tensor([[9.0, 0.0], [0.1, 0.0]])  # sure of the first only
    >>> round(tl.agreement_loss(plain, torch.zeros(2, 2)).item(), 4)  # log(2) / 2
    0.3466
    """
    sure, answers = F.softmax(logits.detach(), dim=1).max(dim=1)
    losses = F.cross_entropy(changed_logits, answers, reduction="none")
    return (losses * (sure >= threshold)).mean()
