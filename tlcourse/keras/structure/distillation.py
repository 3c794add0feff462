"""Distillation: a student learns a teacher's softened predictions."""

from __future__ import annotations

from typing import Any

from tlcourse import methods
from tlcourse.data import Domain
from tlcourse.history import History
from tlcourse.keras.devices import keras, tf
from tlcourse.keras.training import cross_entropy
from tlcourse.keras.transfer import DOOR


def distillation_loss(
    student_logits: Any,
    teacher_logits: Any,
    labels: Any,
    *,
    temperature: float = 4.0,
    weight: float = 0.9,
) -> Any:
    r"""Compare the student with the softened teacher and with the labels.

    .. math:: \zeta \tau^2 \, \mathrm{KL}\big(p_\tau(o^\ast) \,\|\, p_\tau(o)\big)
              + (1 - \zeta) \, \ell(o, y)

    with the student's logits :math:`o`, the teacher's :math:`o^\ast`, the softmax
    :math:`p_\tau(o)` of :math:`o / \tau`, the weight :math:`\zeta`, the temperature :math:`\tau`
    and the cross-entropy :math:`\ell`.

    Parameters
    ----------
    student_logits, teacher_logits : tensor of float, shape (n, k)
        Unnormalised class scores.
    labels : tensor of int64, shape (n,)
        True classes.
    temperature : float
        How far both distributions are softened; 1 leaves them as they are.
    weight : float
        Share of the teacher, in [0, 1].

    Returns
    -------
    tensor, scalar
        Mean over the examples, in nats.

    Raises
    ------
    ValueError
        If temperature or weight is out of range.

    References
    ----------
    Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", arXiv:1503.02531,
    section 2.

    Examples
    --------
    >>> from tlcourse.keras.devices import tf
    >>> from tlcourse.keras.structure.distillation import distillation_loss
    >>> logits = tf.constant([[2.0, 0.0]])
    >>> float(distillation_loss(logits, logits, tf.constant([0]), weight=1.0))
    0.0
    """
    methods.check_distillation(temperature, weight)
    student = tf.nn.log_softmax(student_logits / temperature)
    teacher = tf.nn.log_softmax(teacher_logits / temperature)
    soft = tf.reduce_mean(tf.reduce_sum(tf.exp(teacher) * (teacher - student), axis=1))
    return weight * temperature**2 * soft + (1 - weight) * cross_entropy(student_logits, labels)


def distil(
    student: keras.Model,
    teacher: keras.Model,
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
    student : keras.Model
        From inputs to logits; changed in place.
    teacher : keras.Model
        From inputs to as many logits; not changed.
    train, validation : Domain
        Labelled target examples.
    temperature, weight : float
        As for `distillation_loss`.
    device : str
        As for `fit`.
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
    >>> import tlcourse.keras as tl
    >>> from tlcourse import data
    >>> iris = data.load("iris")
    >>> student, teacher = (tl.TransferModel(tl.mlp((4,), [8], seed=s), 3) for s in (0, 1))
    >>> tl.distil(student, teacher, iris, steps=3).steps
    3
    """
    methods.check_distillation(temperature, weight)

    def make_loss(logits, labels):
        logits, labels = tf.constant(logits), tf.constant(labels)
        return lambda outputs, rows: distillation_loss(
            outputs,
            tf.gather(logits, rows),
            tf.gather(labels, rows),
            temperature=temperature,
            weight=weight,
        )

    return methods.distil(
        DOOR, make_loss, student, teacher, train, validation, device=device, **fit_options
    )
