"""The training loop, and what it needs before and after: batches, devices, predictions.

Design choices
--------------
- One explicit loop, which is meant to be read: it trains any module from inputs to logits, whole
  or in part, and every method of the course that needs no loop of its own goes through it.
- AdamW with a one-cycle learning rate by default: it needs little tuning on small data.
- Only what requires a gradient is given to the optimiser. Given frozen parameters, weight decay
  or a stale momentum would move them.
- Batches are equal in size but for one example, so no last batch of a single example breaks
  BatchNorm or weighs more than the others.
- Losses are added up on the device; the host waits for it once per epoch only.
"""

import copy
from contextlib import contextmanager
from time import perf_counter

import numpy as np
import torch
from torch.nn import functional as F
from tqdm import tqdm

from tlcourse.checks import check_counts
from tlcourse.data.domain import check_domain, check_training_data
from tlcourse.evaluation import evaluate_logits
from tlcourse.history import DivergedError, History
from tlcourse.layering import group_by_rate
from tlcourse.torch.devices import choose_device, seeded
from tlcourse.torch.models import TransferModel, count_parameters


def fit(
    model,
    train,
    validation=None,
    *,
    epochs=20,
    steps=None,
    lr=1e-3,
    batch_size=32,
    weight_decay=0.01,
    loss=F.cross_entropy,
    penalty=None,
    augment=None,
    patience=None,
    seed=0,
    device="auto",
    progress=False,
):
    """Train what is not frozen in a model, with AdamW and a one-cycle learning rate.

    Parameters
    ----------
    model : torch.nn.Module
        From inputs (images ``(n, c, h, w)`` in [0, 1], or rows ``(n, d)``) to logits ``(n, k)``.
        Changed in place, moved to the device, and left there in evaluation mode.
    train, validation : Domain
        The validation set chooses nothing unless ``patience`` is given.
    epochs : int
        Passes over the training set.
    steps : int, optional
        Number of updates; given, it replaces ``epochs``.
    lr : float or dict of str to float
        Peak learning rate; or one for each glob on parameter names, such as
        ``{"backbone.*": 1e-4, "head.*": 1e-3}``. The first glob that matches counts.
    batch_size : int
        Largest number of examples in an update.
    weight_decay : float
        AdamW's decoupled weight decay (Loshchilov and Hutter, 2019).
    loss : callable
        ``loss(logits, labels) -> scalar tensor``.
    penalty : callable, optional
        ``penalty(model) -> scalar tensor``, added to the loss of each update.
    augment : callable, optional
        ``augment(images) -> images`` of the same shape ``(n, c, h, w)``, on training batches.
    patience : int, optional
        Stop after so many epochs without a lower validation loss, and restore the best weights.
    seed : int
        Seed of order, dropout and augmentation.
    device : str
        See `choose_device`.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    History

    Raises
    ------
    ValueError
        If nothing can be trained, a number is out of range, a glob matches nothing, or a
        parameter has no learning rate.
    DivergedError
        If the loss is no longer finite.

    Examples
    --------
    >>> history = fit(model, split.train, split.validation, epochs=30, patience=5)
    """
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"model is a {type(model).__name__}; give a torch.nn.Module.")
    check_training_data(train, validation, patience)
    check_counts(epochs=epochs, steps=steps, batch_size=batch_size, patience=patience)
    device = choose_device(device)
    model.to(device)
    batches = -(-len(train) // batch_size)
    total = epochs * batches if steps is None else steps
    optimiser, schedule = make_optimiser(model, lr, weight_decay, total)
    trained = count_parameters(model, trainable=True)
    history = History(trained_parameters=trained, device=str(device))
    keeper = _BestWeights(patience)
    order = np.random.default_rng(seed)
    start = perf_counter()
    with seeded(seed, device), tqdm(total=total, disable=not progress, unit="step") as bar:
        while history.steps < total and not keeper.is_exhausted:
            model.train()
            total_loss = torch.zeros((), device=device)
            parts = np.array_split(order.permutation(len(train)), batches)[: total - history.steps]
            for rows in parts:
                inputs, labels = to_batch(train, rows, device)
                if augment is not None:
                    inputs = augment(inputs)
                batch_loss = loss(model(inputs), labels)
                if penalty is not None:
                    batch_loss = batch_loss + penalty(model)
                optimiser.zero_grad()
                batch_loss.backward()
                optimiser.step()
                schedule.step()
                total_loss += batch_loss.detach()
                bar.update()
            history.steps += len(parts)
            _record(history, total_loss.item() / len(parts), model, validation, device)
            keeper.look(model, history)
            bar.set_postfix(loss=f"{history.loss[-1]:.3f}")
    keeper.restore(model, history)
    history.seconds = perf_counter() - start
    model.eval()
    return history


def predict(model, inputs, *, batch_size=256, device="auto"):
    """Compute logits.

    Parameters
    ----------
    model : torch.nn.Module
        From inputs to logits. The training mode of each of its parts is kept.
    inputs : ndarray of float32
        Images ``(n, h, w, c)`` in [0, 1], or rows ``(n, d)``.
    batch_size : int
        Examples computed at once.
    device : str
        See `choose_device`; the model is moved there.

    Returns
    -------
    ndarray of float32, shape (n, k)

    Raises
    ------
    ValueError
        If the inputs are neither images nor rows.
    """
    inputs = inputs if isinstance(inputs, np.ndarray) else np.asarray(inputs, dtype=np.float32)
    if inputs.ndim not in (2, 4) or not len(inputs):
        raise ValueError(
            f"inputs have shape {inputs.shape}; give at least one image (n, h, w, c) or row (n, d)."
        )
    device = choose_device(device)
    model.to(device)
    outputs = []
    with evaluating(model), torch.inference_mode():
        for start in range(0, len(inputs), batch_size):
            outputs.append(model(to_tensor(inputs[start : start + batch_size], device)).cpu())
    return torch.cat(outputs).float().numpy()


def extract_features(model, inputs, *, batch_size=256, device="auto"):
    """Compute what the head sees: one feature vector for each input.

    Parameters
    ----------
    model : TransferModel or torch.nn.Module
        A model with a ``backbone``, or a backbone itself.
    inputs : ndarray of float32
        Images ``(n, h, w, c)`` in [0, 1], or rows ``(n, d)``.
    batch_size : int
        Examples computed at once.
    device : str
        See `choose_device`; the model is moved there.

    Returns
    -------
    ndarray of float32, shape (n, feature_dim)
    """
    net = model.backbone if isinstance(model, TransferModel) else model
    return predict(net, inputs, batch_size=batch_size, device=device)


def evaluate(model, domain, *, device="auto"):
    """Measure accuracy, recall per class and confusion on a domain.

    Parameters
    ----------
    model : torch.nn.Module
        From inputs to logits, one for each class of the domain.
    domain : Domain
        Labelled examples that were not trained on.
    device : str
        See `choose_device`.

    Returns
    -------
    tlcourse.evaluation.Evaluation

    Raises
    ------
    TypeError
        If it is no `Domain`.
    ValueError
        If it is empty, or has other classes than the model.
    """
    check_domain("domain", domain)
    logits = predict(model, domain.inputs, device=device)
    return evaluate_logits(logits, domain.labels, domain.class_names)


def make_optimiser(model, lr, weight_decay, total_steps):
    """Make AdamW and a one-cycle schedule for what is not frozen.

    Parameters
    ----------
    model : torch.nn.Module
        The parameters' owner.
    lr : float or dict of str to float
        As for `fit`.
    weight_decay : float
        As for `fit`.
    total_steps : int
        Length of the cycle (Smith and Topin, 2018), in updates.

    Returns
    -------
    optimiser : torch.optim.AdamW
    schedule : torch.optim.lr_scheduler.OneCycleLR

    Raises
    ------
    ValueError
        If nothing can be trained, a glob matches nothing, or a parameter has no learning rate.
    """
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    names = dict(model.named_parameters())
    groups = group_by_rate(names, trainable, lr, "parameter")
    optimiser = torch.optim.AdamW(
        [{"params": [trainable[name] for name in members], "lr": rate} for rate, members in groups],
        weight_decay=weight_decay,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, [rate for rate, _ in groups], total_steps=max(2, total_steps)
    )
    return optimiser, schedule


def to_tensor(inputs, device):
    """Bring NumPy inputs to a device: images become ``(n, c, h, w)``, rows stay ``(n, d)``."""
    # a copy: layers that work in place must not reach the caller's array, nor a read-only one
    tensor = torch.from_numpy(np.array(inputs, dtype=np.float32, order="C")).to(device)
    return tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor


def to_batch(domain, rows, device):
    """Bring some examples of a domain to a device: inputs float32 and labels int64."""
    return to_tensor(domain.inputs[rows], device), torch.from_numpy(domain.labels[rows]).to(device)


@contextmanager
def evaluating(model):
    """Put a model into evaluation mode, and each of its parts back into its own mode."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield model
    finally:
        for module, mode in modes.items():
            module.training = mode


class _BestWeights:
    """Keeps the weights of the epoch with the lowest validation loss."""

    def __init__(self, patience):
        self.patience, self.best, self.state = patience, None, None
        self.is_exhausted = False

    def look(self, model, history):
        """Keep the weights if they are the best so far; give up after ``patience`` epochs."""
        if self.patience is None:
            return
        losses = history.validation_loss
        if self.best is None or losses[-1] < losses[self.best]:
            self.best = len(losses) - 1
            self.state = copy.deepcopy(model.state_dict())
        self.is_exhausted = len(losses) - 1 - self.best >= self.patience

    def restore(self, model, history):
        """Put the best weights back."""
        if self.state is not None:
            model.load_state_dict(self.state)
            history.best_epoch = self.best


def _record(history, mean_loss, model, validation, device):
    """Write down an epoch, and stop a training that has no future."""
    if not np.isfinite(mean_loss):
        raise DivergedError(
            f"the loss is {mean_loss} after {history.steps} updates; lower lr, or check the loss."
        )
    history.loss.append(mean_loss)
    if validation is not None:
        measured = evaluate(model, validation, device=device)
        history.validation_loss.append(measured.log_loss)
        history.validation_accuracy.append(measured.accuracy)
