"""One shared trunk for several tasks.

Design choices
--------------
- The tasks share the backbone and have a head each. Seen as one task, the model is a
  `TransferModel`, so everything that works on one works on it.
- Each update sees one batch of every task, so no task is forgotten while another one learns.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any

import numpy as np

from tlcourse.batches import task_batches, to_float
from tlcourse.checks import check_counts
from tlcourse.data import Domain
from tlcourse.history import DivergedError, History
from tlcourse.keras.devices import keras, tf
from tlcourse.keras.freezing import named_layers
from tlcourse.keras.models import TransferModel
from tlcourse.keras.training import (
    compile_step,
    cross_entropy,
    device_name,
    make_optimisers,
    seeded,
    set_rates,
)
from tlcourse.methods import check_tasks


class SharedTrunk:
    """A backbone with one linear head for each task.

    Parameters
    ----------
    backbone : keras.Model
        Shared by all tasks. It is used, not copied.
    n_classes : dict of str to int
        Number of classes of each task.
    seed : int
        Seed of the heads' start.

    Attributes
    ----------
    backbone : keras.Model
        Images to features.
    tasks : dict of str to TransferModel
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
    >>> import tlcourse.keras as tl
    >>> trunk = tl.SharedTrunk(tl.mlp((4,), [8]), {"species": 3, "size": 2})
    >>> trunk.tasks["size"].output_shape
    (None, 2)
    """

    def __init__(self, backbone: keras.Model, n_classes: Mapping[str, int], *, seed: int = 0):
        if not n_classes:
            raise ValueError("n_classes is empty; give {task: number of classes}.")
        self.backbone = backbone
        self.tasks = {
            task: TransferModel(backbone, k, seed=seed + row)
            for row, (task, k) in enumerate(n_classes.items())
        }

    def __call__(self, images: Any, training: bool = False) -> dict[str, Any]:
        """Map images ``(n, h, w, c)`` to a dict of logits ``(n, k)``, one for each task."""
        features = self.backbone(images, training=training)
        return {task: model.head(features) for task, model in self.tasks.items()}


def fit_jointly(
    trunk: SharedTrunk,
    trains: Mapping[str, Domain],
    *,
    steps: int,
    lr: float | Mapping[str, float] = 1e-3,
    batch_size: int = 32,
    weight_decay: float = 0.01,
    weights: Mapping[str, float] | None = None,
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
        As for `fit`; the layers are ``backbone.<layer>`` and ``tasks.<task>.head``.
    batch_size : int
        Largest number of examples of a task in an update.
    weight_decay : float
        As for `fit`.
    weights : dict of str to float, optional
        Weight of each task's loss; by default 1 each.
    seed : int
        Seed of order, dropout and noise.
    device : str
        As for `fit`.

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
    >>> import tlcourse.keras as tl
    >>> from tlcourse import data
    >>> domains = {"iris": data.load("iris")}
    >>> trunk = tl.SharedTrunk(tl.mlp((4,), [8]), {"iris": 3})
    >>> tl.fit_jointly(trunk, domains, steps=3).steps
    3
    """
    check_counts(steps=steps, batch_size=batch_size)
    classes = {task: model.head.units for task, model in trunk.tasks.items()}
    weights = check_tasks(classes, trains, weights)
    streams = task_batches(trains, batch_size, seed)

    def compute_loss(*batch):
        pairs = zip(trains, batch[::2], batch[1::2], strict=True)
        total = tf.zeros(())
        for task, inputs, labels in pairs:
            logits = tf.cast(trunk.tasks[task](inputs, training=True), tf.float32)
            total += weights[task] * cross_entropy(logits, labels)
        return total

    start, losses = perf_counter(), []
    with tf.device(device_name(device)), seeded(seed, trunk.backbone):
        groups = make_optimisers(_named_layers(trunk), lr, weight_decay)
        update = compile_step(compute_loss, groups, list(trains.values()), seed)
        for step in range(steps):
            set_rates(groups, step, steps)
            losses.append(update(*_next_batches(trains, streams)))
    history = History(
        loss=[float(loss) for loss in losses],
        steps=steps,
        seconds=perf_counter() - start,
        trained_parameters=sum(int(np.prod(v.shape)) for _, _, group in groups for v in group),
        device=device_name(device) or "auto",
    )
    if not np.isfinite(history.loss).all():
        raise DivergedError("the loss is no longer finite; lower lr.")
    return history


def _named_layers(trunk):
    """Name the innermost layers of a trunk and its heads."""
    inner = {f"backbone.{name}": layer for name, layer in named_layers(trunk.backbone).items()}
    return inner | {f"tasks.{task}.head": model.head for task, model in trunk.tasks.items()}


def _next_batches(trains, streams):
    """Take the next inputs and labels of each task, in turn."""
    batch = []
    for task, domain in trains.items():
        rows = next(streams[task])
        batch += [to_float(domain.inputs[rows]), domain.labels[rows]]
    return batch
