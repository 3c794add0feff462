"""What both doors tell about a training.

Design choices
--------------
- One record for both doors, so a chapter that changes doors changes nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tlcourse.evaluation import Evaluation


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

    loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    best_epoch: int | None = None
    steps: int = 0
    seconds: float = 0.0
    trained_parameters: int = 0
    device: str = "cpu"

    def record(self, mean_loss: float, measured: Evaluation | None = None) -> None:
        """Write down an epoch, and stop a training that has no future.

        Parameters
        ----------
        mean_loss : float
            Mean training loss of the epoch.
        measured : Evaluation, optional
            On the validation set, after the epoch.

        Raises
        ------
        DivergedError
            If the loss is not finite.

        Examples
        --------
        >>> from tlcourse.history import History
        >>> history = History(steps=5)
        >>> history.record(0.7)
        >>> history.loss
        [0.7]
        """
        if not isfinite(mean_loss):
            raise DivergedError(
                f"the loss is {mean_loss} after {self.steps} updates; lower lr, or check the loss."
            )
        self.loss.append(mean_loss)
        if measured is not None:
            self.validation_loss.append(measured.log_loss)
            self.validation_accuracy.append(measured.accuracy)

    def join(self, later: History) -> None:
        """Add a later part of the same training.

        Parameters
        ----------
        later : History
            What followed. Its device and its number of trained parameters count from now on, and
            so does the epoch whose weights it restored.

        Examples
        --------
        >>> from tlcourse.history import History
        >>> whole = History(loss=[2.0], steps=3)
        >>> whole.join(History(loss=[1.0, 1.5], best_epoch=0, steps=6))
        >>> whole.loss, whole.steps, whole.best_epoch
        ([2.0, 1.0, 1.5], 9, 1)
        """
        if later.best_epoch is not None:
            self.best_epoch = len(self.loss) + later.best_epoch
        for name in ("loss", "validation_loss", "validation_accuracy"):
            getattr(self, name).extend(getattr(later, name))
        self.steps += later.steps
        self.seconds += later.seconds
        self.trained_parameters, self.device = later.trained_parameters, later.device


class BestWeights:
    """Keeps the weights of the epoch with the lowest validation loss.

    Parameters
    ----------
    patience : int or None
        Give up after so many epochs without a lower validation loss; None keeps nothing and never
        gives up.
    take : callable
        ``take()`` returns a copy of the model's weights.
    put : callable
        ``put(weights)`` gives them back to the model.

    Examples
    --------
    >>> from tlcourse.history import BestWeights, History
    >>> weights = [0]
    >>> keeper = BestWeights(1, lambda: list(weights), weights.__init__)
    >>> history = History()
    >>> for loss in (0.5, 0.7):
    ...     weights[0] += 1
    ...     history.validation_loss.append(loss)
    ...     keeper.look(history)
    >>> keeper.restore(history)
    >>> weights, history.best_epoch, keeper.is_exhausted
    ([1], 0, True)
    """

    def __init__(
        self, patience: int | None, take: Callable[[], Any], put: Callable[[Any], Any]
    ) -> None:
        self.patience, self.take, self.put = patience, take, put
        self.weights = None
        self.best: int | None = None
        self.is_exhausted = False

    def look(self, history: History) -> None:
        """Keep the weights if the epoch is the best so far; give up after ``patience`` epochs.

        Parameters
        ----------
        history : History
            Up to this epoch.
        """
        if self.patience is None:
            return
        losses = history.validation_loss
        if self.best is None or losses[-1] < losses[self.best]:
            self.best, self.weights = len(losses) - 1, self.take()
        self.is_exhausted = len(losses) - 1 - self.best >= self.patience

    def restore(self, history: History) -> None:
        """Put the best weights back, and note their epoch.

        Parameters
        ----------
        history : History
            Of the whole training.
        """
        if self.best is not None:
            self.put(self.weights)
            history.best_epoch = self.best
