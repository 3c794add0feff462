"""What both doors tell about a training.

Design choices
--------------
- One record for both doors, so a chapter that changes doors changes nothing else.
"""

from dataclasses import dataclass, field


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
