"""Distillation: a small net learns from the outputs of a large one.

Design choices
--------------
- The teacher sees each training image once; its logits are kept. So a step costs what a step of
  the student costs.
- The student is trained by `fit`, the same loop as everything else.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlcourse import methods
from tlcourse.data import Domain
from tlcourse.history import History
from tlcourse.torch.devices import choose_device
from tlcourse.torch.transfer import DOOR


def distillation_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    temperature: float = 4.0,
    weight: float = 0.9,
) -> Tensor:
    r"""Compare the student with the softened teacher and with the labels.

    .. math:: \zeta \tau^2 \, \mathrm{KL}\big(p_\tau(o^\ast) \,\|\, p_\tau(o)\big)
              + (1 - \zeta) \, \ell(o, y)

    with the student's logits :math:`o`, the teacher's :math:`o^\ast`, the softmax
    :math:`p_\tau(o)` of :math:`o / \tau`, the weight :math:`\zeta`, the temperature :math:`\tau`
    and the cross-entropy :math:`\ell`. The factor :math:`\tau^2` keeps the gradients of the first
    term comparable at every temperature.

    Parameters
    ----------
    student_logits, teacher_logits : torch.Tensor of float, shape (n, k)
        Unnormalised class scores.
    labels : torch.Tensor of int64, shape (n,)
        True classes.
    temperature : float
        How far both distributions are softened; 1 leaves them as they are.
    weight : float
        Share of the teacher, in [0, 1].

    Returns
    -------
    torch.Tensor, scalar
        Mean over the examples, in nats.

    Raises
    ------
    ValueError
        If temperature or weight is out of range.

    References
    ----------
    Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", NIPS 2014 workshop
    on deep learning, arXiv:1503.02531, section 2.

    Examples
    --------
    >>> import torch
    >>> import tlcourse.torch as tl
    >>> logits, labels = torch.tensor([[2.0, 0.0]]), torch.tensor([0])
    >>> tl.distillation_loss(logits, logits, labels, weight=1.0).item()  # a perfect student
    0.0
    """
    methods.check_distillation(temperature, weight)
    student = F.log_softmax(student_logits / temperature, dim=1)
    teacher = F.log_softmax(teacher_logits / temperature, dim=1)
    soft = F.kl_div(student, teacher, reduction="batchmean", log_target=True)
    return weight * temperature**2 * soft + (1 - weight) * F.cross_entropy(student_logits, labels)


def distil(
    student: nn.Module,
    teacher: nn.Module,
    train: Domain,
    validation: Domain | None = None,
    *,
    temperature: float = 4.0,
    weight: float = 0.9,
    device: str = "auto",
    **fit_options: Any,
) -> History:
    """Train a student on a teacher's outputs and on the labels.

    Parameters
    ----------
    student : torch.nn.Module
        From inputs to logits; changed in place.
    teacher : torch.nn.Module
        From inputs to as many logits; not changed. It may see other inputs than the student if
        both carry their own preprocessing.
    train, validation : Domain
        Labelled target examples.
    temperature, weight : float
        As for `distillation_loss`.
    device : str
        See `choose_device`.
    **fit_options
        Passed on to `fit`, except ``loss``. With ``augment``, the student sees augmented images
        and the teacher's logits are those of the plain ones.

    Returns
    -------
    History

    Raises
    ------
    ValueError
        If temperature or weight is out of range, or teacher or student has other classes.

    Examples
    --------
    >>> from tlcourse import data
    >>> import tlcourse.torch as tl
    >>> letters, teacher = data.load("rendered-letters", n=52), tl.source_model("letters")
    >>> student = tl.TransferModel(tl.backbone("small-cnn"), 26)
    >>> history = tl.distil(student, teacher, letters, steps=6)
    >>> history.loss[-1] < history.loss[0]
    True
    """
    methods.check_distillation(temperature, weight)
    on = choose_device(device)

    def make_loss(logits, labels):
        logits, labels = torch.from_numpy(logits).to(on), torch.from_numpy(labels).to(on)
        return lambda outputs, rows: distillation_loss(
            outputs, logits[rows], labels[rows], temperature=temperature, weight=weight
        )

    return methods.distil(
        DOOR, make_loss, student, teacher, train, validation, device=device, **fit_options
    )
