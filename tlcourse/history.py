"""What both doors tell about a training, and what they refuse before it.

Design choices
--------------
- One record and one set of checks for both doors, so a chapter that changes doors changes nothing
  else.
"""

from dataclasses import dataclass, field

import numpy as np

from tlcourse.data import Domain


class DivergedError(RuntimeError):
    """The loss became infinite or NaN."""


@dataclass
class History:
    """What happened during a training.

    Attributes
    ----------
    loss : list of float
        Mean training loss of each epoch, in nats for cross-entropy.
    validation_loss, validation_accuracy : list of float
        After each epoch; empty without validation data.
    best_epoch : int or None
        Epoch (from 0) whose weights were restored, if training was to stop early.
    steps : int
        Updates made.
    seconds : float
        Wall-clock time, validation included.
    trained_parameters : int
        Numbers that could change.
    device : str
        Where it ran.
    """

    loss: list = field(default_factory=list)
    validation_loss: list = field(default_factory=list)
    validation_accuracy: list = field(default_factory=list)
    best_epoch: int | None = None
    steps: int = 0
    seconds: float = 0.0
    trained_parameters: int = 0
    device: str = "cpu"


def check_training_data(train, validation, patience):
    """Refuse data that no training can use.

    Parameters
    ----------
    train, validation : Domain
        Of the training; the validation set may be None.
    patience : int or None
        Of the training.

    Raises
    ------
    TypeError
        If either is no `Domain`.
    ValueError
        If either is empty, or there is patience without a validation set.
    """
    for name, domain in (("train", train), ("validation", validation)):
        if domain is not None or name == "train":
            check_domain(name, domain)
    if patience is not None and validation is None:
        raise ValueError(f"patience is {patience}, but there is no validation set; give one.")


def check_domain(name, domain):
    """Refuse what is no domain, or an empty one.

    Parameters
    ----------
    name : str
        The parameter, for the message.
    domain : Domain
        What was given.

    Raises
    ------
    TypeError
        If it is no `Domain`.
    ValueError
        If it has no examples.
    """
    if not isinstance(domain, Domain):
        raise TypeError(f"{name} is a {type(domain).__name__}; give a tlcourse.data.Domain.")
    if not len(domain):
        raise ValueError(f"{name} has no examples; give at least one.")


def check_positive(**numbers):
    """Refuse counts below one; None means not given.

    Parameters
    ----------
    **numbers : int or None
        Parameters by name.

    Raises
    ------
    ValueError
        If one is given and no integer of at least 1.
    """
    for name, number in numbers.items():
        if number is not None and (not isinstance(number, int | np.integer) or number < 1):
            raise ValueError(f"{name} is {number!r}; it must be an integer >= 1.")
