"""Adaptation without the source: a trained net and target inputs are all there is.

Design choices
--------------
- The head, which knows the classes, is held still; the backbone brings the target's features to it.
- What the method leans on, how often each class occurs, is an argument.
"""

from collections.abc import Callable
from contextlib import contextmanager
from itertools import islice
from time import perf_counter

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from tqdm import tqdm

from tlcourse.batches import equal_batches
from tlcourse.checks import check_integer, check_positive
from tlcourse.data import Pictures
from tlcourse.history import DivergedError
from tlcourse.torch.devices import choose_device, seeded
from tlcourse.torch.feature.adaptation import (
    AdaptationHistory,
    adapt_batchnorm,
    check_unlabelled,
    tracking_norms,
)
from tlcourse.torch.feature.unlabelled import agreement_loss, information_loss
from tlcourse.torch.models import TransferModel
from tlcourse.torch.training import make_optimiser, to_tensor


def adapt_source_free(
    model: TransferModel,
    target_inputs: np.ndarray | Pictures,
    *,
    prior: ArrayLike | None = None,
    agreement: float = 0.0,
    augment: Callable[[Tensor], Tensor] | None = None,
    steps: int = 500,
    lr: float = 1e-3,
    batch_size: int = 64,
    weight_decay: float = 0.01,
    seed: int = 0,
    device: str = "auto",
    progress: bool = False,
) -> AdaptationHistory:
    """Adapt a trained net to target inputs alone, by `information_loss` and `agreement_loss`.

    The head is held still. At the end BatchNorm's statistics are measured on the target. Batches
    must be large beside the number of classes, as their mean answer is compared with the prior.

    Parameters
    ----------
    model : TransferModel
        Trained on a source. Changed in place; what is frozen stays as it is.
    target_inputs : ndarray of float32, shape (m, h, w, c)
        Unlabelled examples.
    prior : array-like of float, shape (k,), optional
        How frequent the classes are in the target, above 0; scaled to sum to 1. By default all
        alike. Nothing in the target's inputs tells; a wrong one costs.
    agreement : float
        Weight of `agreement_loss`; above 0, ``augment`` is needed.
    augment : callable, optional
        ``augment(images) -> images``, for the changed pictures of `agreement_loss`.
    steps, lr, batch_size, weight_decay, seed, device, progress
        As for `adapt`.

    Returns
    -------
    AdaptationHistory
        ``loss`` is the information loss, ``distance`` the agreement loss before its weight.

    Raises
    ------
    TypeError
        If the model is no `TransferModel`, or the target comes with labels.
    ValueError
        If a number is out of range, the prior does not fit the classes, or ``agreement`` has
        nothing to change pictures by.
    DivergedError
        If the loss is no longer finite.

    References
    ----------
    .. [1] J. Liang, D. Hu, J. Feng, Do we really need to access the source data? Source hypothesis
       transfer for unsupervised domain adaptation, ICML 2020; here without its pseudo-labels.

    Examples
    --------
    >>> from tlcourse import data
    >>> import tlcourse.torch as tl
    >>> target = data.load("handwritten-digits", n=200)
    >>> model = tl.TransferModel(tl.backbone("small-cnn", weights="letters"), 10)
    >>> history = tl.adapt_source_free(model, target.inputs, steps=20)
    >>> history.loss[-1] < history.loss[0]
    True
    """
    _check(model, target_inputs, agreement, augment, steps, batch_size)
    on = choose_device(device)
    frequencies = _frequencies(prior, model.head.out_features, on)
    history, start = AdaptationHistory(steps=steps), perf_counter()
    batches = equal_batches(len(target_inputs), batch_size, np.random.default_rng(seed))
    model.to(on).train()
    bar = tqdm(islice(batches, steps), total=steps, disable=not progress, unit="step")
    with _held_still(model.head), seeded(seed, on), bar:
        optimiser, schedule = make_optimiser(model, lr, weight_decay, steps)
        sums, every = torch.zeros(2, device=on), max(1, steps // 10)
        for step, rows in enumerate(bar, 1):
            inputs = to_tensor(target_inputs[rows], on)
            logits = model(inputs)
            loss, agreeing = information_loss(logits, frequencies), logits.new_zeros(())
            if agreement and augment is not None:
                agreeing = agreement_loss(logits, model(augment(inputs)))
            optimiser.zero_grad()
            (loss + agreement * agreeing).backward()
            optimiser.step()
            schedule.step()
            sums += torch.stack([loss.detach(), agreeing.detach()])
            if step % every == 0:
                _record(history, (sums / every).tolist())
                sums.zero_()
    model.eval()
    if tracking_norms(model):
        adapt_batchnorm(model, target_inputs, device=device)
    history.seconds = perf_counter() - start
    return history


@contextmanager
def _held_still(head):
    """Keep a head's parameters as they are, and let those learn again that did before."""
    learning = [parameter for parameter in head.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


def _frequencies(prior, n_classes, device):
    """Return the prior as probabilities on the device; None for equal ones."""
    if prior is None:
        return None
    values = np.asarray(prior, dtype=np.float64)
    if values.shape != (n_classes,) or not np.isfinite(values).all() or values.min() <= 0:
        raise ValueError(
            f"prior is {prior!r}; give {n_classes} numbers above 0, one for each class."
        )
    return torch.as_tensor(values / values.sum(), dtype=torch.float32, device=device)


def _record(history, means):
    """Write down the means of a tenth of the updates."""
    if not np.isfinite(means).all():
        raise DivergedError(f"the loss is {means[0]}; lower lr.")
    history.loss.append(means[0])
    history.distance.append(means[1])


def _check(model, target_inputs, agreement, augment, steps, batch_size):
    """Refuse arguments that could only fail later or mislead."""
    check_unlabelled(model, target_inputs)
    if len(target_inputs) < 2:
        raise ValueError(f"target_inputs has {len(target_inputs)} rows; give at least 2.")
    check_positive("agreement", agreement, or_zero=True)
    if agreement and augment is None:
        raise ValueError(
            f"agreement is {agreement!r}, but nothing changes the pictures; give augment, such as "
            "tl.strokes_augmentation()."
        )
    check_integer("steps", steps, smallest=2)
    check_integer("batch_size", batch_size, smallest=2)
