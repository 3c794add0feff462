"""Distillation: a student learns a teacher's softened predictions."""

from time import perf_counter

import numpy as np

from tlcourse.keras.devices import tf
from tlcourse.keras.training import cross_entropy, fit, predict


def distil(student, teacher, train, validation=None, *, temperature=4.0, weight=0.9, **fit_options):
    """Train a student on a teacher's softened predictions and the labels.

    The loss is ``weight * T² * KL(teacher || student) + (1 - weight) * cross-entropy``, both
    distributions of the first term softened by the temperature T. The teacher runs once.

    Parameters
    ----------
    student, teacher : keras.Model
        From inputs to logits of the same classes; the student is changed in place.
    train, validation : Domain
        Training and validation examples.
    temperature : float
        T, at least 1.
    weight : float
        Share of the teacher's term, in [0, 1].
    **fit_options
        Passed on to `fit`, but for ``loss``.

    Returns
    -------
    History

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", arXiv:1503.02531.
    """
    if not temperature >= 1 or not 0 <= weight <= 1:
        raise ValueError(
            f"temperature is {temperature!r} and weight {weight!r}; temperature must be >= 1 and "
            "weight in [0, 1]."
        )
    start = perf_counter()
    soft = tf.constant(tf.nn.softmax(predict(teacher, train.inputs) / temperature))
    teaching = perf_counter() - start
    numbered = _Numbered(train)

    def loss(logits, rows):
        taught = tf.nn.softmax_cross_entropy_with_logits(
            labels=tf.gather(soft, rows), logits=logits / temperature
        )
        hard = cross_entropy(logits, tf.gather(numbered.truth, rows))
        return weight * temperature**2 * tf.reduce_mean(taught) + (1 - weight) * hard

    history = fit(student, numbered.domain, validation, loss=loss, **fit_options)
    history.seconds += teaching
    return history


class _Numbered:
    """A training set whose labels are row numbers, so that a loss can look rows up."""

    def __init__(self, domain):
        self.truth = tf.constant(domain.labels)
        names = tuple(f"row {row}" for row in range(len(domain)))
        self.domain = type(domain)(
            domain.name, domain.inputs, np.arange(len(domain)), names, domain.origin, domain.licence
        )
