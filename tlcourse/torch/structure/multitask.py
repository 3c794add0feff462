"""One shared trunk for several tasks.

Design choices
--------------
- The tasks share the backbone and have a head each. Seen as one task, the model is a
  `TransferModel`, so everything that works on one works on it.
- Each update sees one batch of every task, so no task is forgotten while another one learns.
"""

from collections.abc import Mapping
from time import perf_counter
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlcourse.batches import task_batches
from tlcourse.checks import check_counts
from tlcourse.data import Domain
from tlcourse.history import DivergedError, History
from tlcourse.methods import check_tasks
from tlcourse.torch.devices import choose_device, seeded
from tlcourse.torch.models import TransferModel, count_parameters
from tlcourse.torch.training import make_optimiser, to_batch


class SharedTrunk(nn.Module):
    """A backbone with one linear head for each task.

    Parameters
    ----------
    backbone : Backbone or torch.nn.Module
        Any module with ``feature_dim``. It is used, not copied.
    n_classes : dict of str to int
        Number of classes of each task.
    seed : int
        Seed of the heads' start.

    Attributes
    ----------
    backbone : torch.nn.Module
        Images to features.
    tasks : torch.nn.ModuleDict of TransferModel
        For each task the shared backbone under its own head.

    Raises
    ------
    ValueError
        If there is no task.

    References
    ----------
    Caruana, "Multitask Learning", Machine Learning 28, 1997.

    Examples
    --------
    >>> import torch
    >>> import tlcourse.torch as tl
    >>> trunk = tl.SharedTrunk(tl.backbone("small-cnn"), {"letter": 26, "font": 4})
    >>> {task: tuple(logits.shape) for task, logits in trunk(torch.zeros(5, 1, 32, 32)).items()}
    {'letter': (5, 26), 'font': (5, 4)}
    """

    def __init__(self, backbone: nn.Module, n_classes: dict[str, int], *, seed: int = 0) -> None:
        super().__init__()
        if not n_classes:
            raise ValueError("n_classes is empty; give {task: number of classes}.")
        self.backbone = backbone
        models = {
            task: TransferModel(backbone, k, seed=seed + row)
            for row, (task, k) in enumerate(n_classes.items())
        }
        self.tasks = cast(Mapping[str, TransferModel], nn.ModuleDict(models))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map images ``(n, c, h, w)`` to a dict of logits ``(n, k)``, one for each task."""
        features = self.backbone(images)
        return {task: model.head(features) for task, model in self.tasks.items()}


def fit_jointly(
    trunk: SharedTrunk,
    trains: dict[str, Domain],
    *,
    steps: int,
    lr: float | dict[str, float] = 1e-3,
    batch_size: int = 32,
    weight_decay: float = 0.01,
    weights: dict[str, float] | None = None,
    seed: int = 0,
    device: str = "auto",
) -> History:
    """Train a shared trunk on several tasks at once.

    Parameters
    ----------
    trunk : SharedTrunk
        Changed in place.
    trains : dict of str to Domain
        Labelled examples of each task of the trunk.
    steps : int
        Number of updates, each on one batch of every task.
    lr : float or dict of str to float
        As for `fit`.
    batch_size : int
        Largest number of examples of a task in an update.
    weight_decay : float
        As for `fit`.
    weights : dict of str to float, optional
        Weight of each task's loss; by default 1 each.
    seed : int
        Seed of order and dropout.
    device : str
        See `choose_device`.

    Returns
    -------
    History
        ``loss`` has one entry for each update: the weighted sum over the tasks.

    Raises
    ------
    ValueError
        If the tasks differ from the trunk's, or a domain has other classes than its head.
    DivergedError
        If the loss is no longer finite.

    Examples
    --------
    >>> from tlcourse import data
    >>> import tlcourse.torch as tl
    >>> tasks = {kind: data.load(f"rendered-{kind}", n=52) for kind in ("digits", "letters")}
    >>> trunk = tl.SharedTrunk(tl.backbone("small-cnn"), {"digits": 10, "letters": 26})
    >>> history = tl.fit_jointly(trunk, tasks, steps=10)
    >>> len(history.loss), history.loss[-1] < history.loss[0]
    (10, True)
    """
    check_counts(steps=steps, batch_size=batch_size)
    classes = {task: model.head.out_features for task, model in trunk.tasks.items()}
    weights = check_tasks(classes, trains, weights)
    on = choose_device(device)
    trunk.to(on).train()
    optimiser, schedule = make_optimiser(trunk, lr, weight_decay, steps)
    history = History(trained_parameters=count_parameters(trunk, trainable=True), device=str(on))
    streams = task_batches(trains, batch_size, seed)
    losses, start = [], perf_counter()
    with seeded(seed, on):
        for _ in range(steps):
            total = torch.zeros((), device=on)
            for task, domain in trains.items():
                inputs, labels = to_batch(domain, next(streams[task]), on)
                logits = trunk.tasks[task](inputs)
                total = total + weights[task] * F.cross_entropy(logits, labels)
            optimiser.zero_grad()
            total.backward()
            optimiser.step()
            schedule.step()
            losses.append(total.detach())
    history.loss, history.steps = torch.stack(losses).tolist(), steps
    history.seconds = perf_counter() - start
    trunk.eval()
    if not np.isfinite(history.loss).all():
        raise DivergedError("the loss is no longer finite; lower lr.")
    return history
