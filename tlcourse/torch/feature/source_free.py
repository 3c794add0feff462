"""Adaptation without the source: a trained net and target inputs are all there is.

The map
-------
``adapt_source_free``  SHOT-IM before the net is used, with many updates
``tent``               TENT while it is used, one update for each batch of questions

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
from torch import Tensor, nn
from tqdm import tqdm

from tlcourse.batches import equal_batches
from tlcourse.checks import check_integer, check_positive, check_prior
from tlcourse.data import Pictures
from tlcourse.history import DivergedError
from tlcourse.torch.devices import choose_device, seeded
from tlcourse.torch.feature.adaptation import (
    AdaptationHistory,
    adapt_batchnorm,
    check_unlabelled,
    tracking_norms,
)
from tlcourse.torch.feature.unlabelled import agreement_loss, entropy_loss, information_loss
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
    classes = model.head.out_features
    frequencies = None if prior is None else to_tensor(check_prior(prior, classes), on)
    history, start = AdaptationHistory(steps=steps), perf_counter()
    batches = equal_batches(len(target_inputs), batch_size, np.random.default_rng(seed))
    model.to(on).train()
    bar = tqdm(islice(batches, steps), total=steps, disable=not progress, unit="step")
    learned = [p for p in model.backbone.parameters() if p.requires_grad]  # the head is held still
    with _only_these_learn(model, learned), seeded(seed, on), bar:
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


def tent(
    model: nn.Module,
    inputs: np.ndarray | Pictures,
    *,
    lr: float = 1e-3,
    batch_size: int = 64,
    device: str = "auto",
) -> np.ndarray:
    """Answer batch after batch, and let BatchNorm learn a little from each (TENT).

    Each batch is normalised by its own statistics and answered; then one update of Adam on the
    `entropy_loss` of these answers moves the scales and shifts of the BatchNorm layers, gamma and
    beta, and nothing else. So no answer profits from its own batch's update [1]_.

    Parameters
    ----------
    model : torch.nn.Module
        From inputs to logits, with BatchNorm. Changed in place: the running statistics follow the
        batches as they do in training.
    inputs : ndarray of float32, shape (n, h, w, c) or (n, d)
        In the order in which they come. A batch should hold many classes, as its statistics speak
        for all of it.
    lr : float
        Rate of Adam.
    batch_size : int
        Largest batch, at least 2; batches are of nearly equal size.
    device : str
        See `choose_device`.

    Returns
    -------
    ndarray of float32, shape (n, k)
        The logits as they were given.

    Raises
    ------
    ValueError
        If the model has no BatchNorm with parameters, there are fewer than 2 inputs, or a number is
        out of range.
    DivergedError
        If an answer is no longer finite.

    References
    ----------
    .. [1] D. Wang, E. Shelhamer, S. Liu, B. Olshausen, T. Darrell, Tent: Fully test-time
       adaptation by entropy minimization, ICLR 2021.

    Examples
    --------
    >>> from tlcourse import data
    >>> import tlcourse.torch as tl
    >>> model, inputs = tl.source_model("letters"), data.load("handwritten-digits", n=40).inputs
    >>> tl.tent(model, inputs, batch_size=20).shape
    (40, 26)
    """
    norms = [layer for layer in tracking_norms(model) if layer.affine]
    if not norms or len(inputs) < 2:
        raise ValueError(
            f"model has {len(norms)} BatchNorm layers with statistics and parameters, and inputs "
            f"have {len(inputs)} rows; both must be there (at least 2 rows)."
        )
    check_positive("lr", lr)
    check_integer("batch_size", batch_size, smallest=2)
    on = choose_device(device)
    model.to(on).eval()
    learned = [p for layer in norms for p in layer.parameters(recurse=False)]
    given, parts = [], min(-(-len(inputs) // batch_size), len(inputs) // 2)
    with _only_these_learn(model, learned):
        optimiser = torch.optim.Adam(learned, lr=lr)
        for layer in norms:
            layer.train()
        for rows in np.array_split(np.arange(len(inputs)), parts):
            logits = model(to_tensor(inputs[rows], on))
            given.append(logits.detach())
            optimiser.zero_grad()
            entropy_loss(logits).backward()
            optimiser.step()
    model.eval()
    answers = torch.cat(given)
    if not answers.isfinite().all():
        raise DivergedError("an answer is not finite; lower lr.")
    return answers.cpu().numpy()


@contextmanager
def _only_these_learn(model, learned):
    """Let these parameters have gradients and no others, then restore what was."""
    before = {parameter: parameter.requires_grad for parameter in model.parameters()}
    model.requires_grad_(False)
    for parameter in learned:
        parameter.requires_grad_(True)
    try:
        yield
    finally:
        for parameter, learns in before.items():
            parameter.requires_grad_(learns)
            if not learns:
                parameter.grad = None


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
