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
- Inputs are never held whole: a batch is taken, and decoded where they are files, while the net
  computes the one before. Unless told otherwise, a prediction sizes its batches by what the net
  sees, so that its memory does not grow with the pictures.
- Pictures reach the net with their channels last in memory, as NumPy holds them and convolutions
  want them. The memory format of the model is left as it is.
"""

import copy
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from itertools import islice, tee
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from tlcourse.checks import check_counts
from tlcourse.data import Domain, Pictures
from tlcourse.data.domain import check_domain, check_training_data
from tlcourse.evaluation import Evaluation, evaluate_logits
from tlcourse.history import DivergedError, History
from tlcourse.layering import group_by_rate
from tlcourse.torch.devices import choose_device, seeded
from tlcourse.torch.models import Preprocess, TransferModel, count_parameters

_NUMBERS_AT_ONCE = 2_500_000  # what 16 pictures of 224 x 224 x 3 hold; they fit a CPU's caches best
_EXAMPLES_AT_ONCE = 256


def fit(
    model: nn.Module,
    train: Domain,
    validation: Domain | None = None,
    *,
    epochs: int = 20,
    steps: int | None = None,
    lr: float | Mapping[str, float] = 1e-3,
    batch_size: int = 32,
    weight_decay: float = 0.01,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    labels_are_classes: bool = True,
    penalty: Callable[[nn.Module], Tensor] | None = None,
    augment: Callable[[Tensor], Tensor] | None = None,
    patience: int | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    mixed_precision: bool = False,
    progress: bool = False,
) -> History:
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
    labels_are_classes : bool
        Whether the loss takes the labels as classes, with one output for each. False for a loss
        that reads them otherwise, such as the rows of a table.
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
    mixed_precision : bool
        Whether a CUDA GPU computes layers in 16 bits (bfloat16, or float16 with a scaled loss
        where the GPU is older), which is faster and takes half the memory. Parameters stay
        float32. Other devices ignore it.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    History

    Raises
    ------
    ValueError
        If nothing can be trained, a number is out of range, a glob matches nothing, a parameter
        has no learning rate, the model cannot take the inputs, or it has another number of
        outputs than there are classes.
    DivergedError
        If the loss is no longer finite.

    Examples
    --------
    >>> import numpy as np
    >>> import tlcourse.torch as tl
    >>> from tlcourse.data import Domain
    >>> rows = np.eye(3, dtype=np.float32).repeat(8, axis=0)
    >>> domain = Domain("corners", rows, np.arange(3).repeat(8), ("a", "b", "c"))
    >>> model = torch.nn.Linear(3, 3)
    >>> history = tl.fit(model, domain, epochs=30, lr=0.1, device="cpu")
    >>> history.steps, tl.evaluate(model, domain, device="cpu").accuracy
    (30, 1.0)
    """
    _check_training(model, train, validation, patience)
    check_counts(epochs=epochs, steps=steps, batch_size=batch_size, patience=patience)
    device = choose_device(device)
    model.to(device)
    batches = -(-len(train) // batch_size)
    total = epochs * batches if steps is None else steps
    optimiser, schedule = make_optimiser(model, lr, weight_decay, total)
    precision, scaler = _make_precision(device, mixed_precision)
    history = History(trained_parameters=count_parameters(model, trainable=True))
    keeper, start = _BestWeights(patience), perf_counter()
    stream = _labelled_batches(train, batches, total, seed, device)
    with seeded(seed, device), closing(stream), tqdm(total=total, disable=not progress) as bar:
        while history.steps < total and not keeper.is_exhausted:
            model.train()
            total_loss, before = torch.zeros((), device=device), history.steps
            for inputs, labels in islice(stream, batches):
                if augment is not None:
                    inputs = augment(inputs)
                with precision:
                    outputs = _call(model, inputs)
                    _check_outputs(outputs, train.n_classes if labels_are_classes else None)
                    batch_loss = loss(outputs, labels)
                    if penalty is not None:
                        batch_loss = batch_loss + penalty(model)
                optimiser.zero_grad()
                scaler.scale(batch_loss).backward()
                scaler.step(optimiser)
                scaler.update()
                schedule.step()
                total_loss += batch_loss.detach()
                history.steps += 1
                bar.update()
            mean_loss = total_loss.item() / (history.steps - before)
            _record(history, mean_loss, model, validation, device)
            keeper.look(model, history)
            bar.set_postfix(loss=f"{mean_loss:.3f}")
    keeper.restore(model, history)
    history.seconds, history.device = perf_counter() - start, str(device)
    model.eval()
    return history


def predict(
    model: nn.Module,
    inputs: np.ndarray | Pictures,
    *,
    batch_size: int | None = None,
    device: str | torch.device = "auto",
    mixed_precision: bool = False,
) -> np.ndarray:
    """Compute logits.

    Parameters
    ----------
    model : torch.nn.Module
        From inputs to logits. The training mode of each of its parts is kept.
    inputs : ndarray of float32 or uint8, or Pictures
        Images ``(n, h, w, c)``: float in [0, 1], or bytes, which are divided by 255; or rows
        ``(n, d)``. What is like an array, with ``shape`` and rows that an index gives, is taken
        batch by batch and never held whole.
    batch_size : int, optional
        Examples computed at once; by default at most 256, and fewer where images are large: 16 of
        224 x 224 pixels on a CPU. It changes time and memory, not the results.
    device : str
        See `choose_device`; the model is moved there.
    mixed_precision : bool
        As for `fit`: 16 bits on a CUDA GPU, with about 3 digits; other devices ignore it.

    Returns
    -------
    ndarray of float32, shape (n, k)

    Raises
    ------
    ValueError
        If the inputs are neither images nor rows, images are far outside [0, 1], or the model
        cannot take them.

    Examples
    --------
    >>> import numpy as np
    >>> import tlcourse.torch as tl
    >>> model = tl.TransferModel(tl.backbone("small-cnn"), 10)
    >>> photos = np.full((2, 48, 48, 3), 128, dtype=np.uint8)
    >>> tl.predict(model, photos, device="cpu").shape
    (2, 10)
    """
    if not hasattr(inputs, "ndim"):
        inputs = np.asarray(inputs, dtype=np.float32)
    if inputs.ndim not in (2, 4) or not len(inputs):
        raise ValueError(
            f"inputs have shape {inputs.shape}; give at least one image (n, h, w, c) or row (n, d)."
        )
    check_counts(batch_size=batch_size)
    device = choose_device(device)
    model.to(device)
    precision, _ = _make_precision(device, mixed_precision)
    size = batch_size or usual_batch_size(model, inputs.shape[1:], device)
    outputs = []
    with (
        evaluating(model),
        torch.inference_mode(),
        precision,
        closing(fetch(inputs, in_turn(len(inputs), size))) as batches,
    ):
        for batch in batches:
            outputs.append(_call(model, to_tensor(batch, device)).float().cpu())
    return torch.cat(outputs).numpy()


def extract_features(
    model: nn.Module,
    inputs: np.ndarray | Pictures,
    *,
    batch_size: int | None = None,
    device: str | torch.device = "auto",
    mixed_precision: bool = False,
) -> np.ndarray:
    """Compute what the head sees: one feature vector for each input.

    Parameters
    ----------
    model : TransferModel or torch.nn.Module
        A model with a ``backbone``, or a backbone itself.
    inputs : ndarray of float32 or uint8, or Pictures
        As for `predict`.
    batch_size : int, optional
        As for `predict`.
    device : str
        See `choose_device`; the model is moved there.
    mixed_precision : bool
        As for `predict`.

    Returns
    -------
    ndarray of float32, shape (n, feature_dim)

    Raises
    ------
    ValueError
        As for `predict`.

    Examples
    --------
    >>> import numpy as np
    >>> import tlcourse.torch as tl
    >>> images = np.zeros((3, 32, 32, 1), dtype=np.float32)
    >>> tl.extract_features(tl.backbone("small-cnn"), images, device="cpu").shape
    (3, 128)
    """
    net = model.backbone if isinstance(model, TransferModel) else model
    return predict(
        net, inputs, batch_size=batch_size, device=device, mixed_precision=mixed_precision
    )


def evaluate(
    model: nn.Module, domain: Domain, *, device: str | torch.device = "auto"
) -> Evaluation:
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

    Examples
    --------
    >>> import numpy as np
    >>> import tlcourse.torch as tl
    >>> from tlcourse.data import Domain
    >>> rows = np.array([[3, 1], [1, 2], [5, 4]], dtype=np.float32)
    >>> domain = Domain("logits", rows, np.array([0, 1, 1]), ("a", "b"))
    >>> tl.evaluate(torch.nn.Identity(), domain, device="cpu").confusion
    array([[1, 0],
           [1, 1]])
    """
    check_domain("domain", domain)
    logits = predict(model, domain.inputs, device=device)
    return evaluate_logits(logits, domain.labels, domain.class_names)


def make_optimiser(
    model: nn.Module, lr: float | Mapping[str, float], weight_decay: float, total_steps: int
) -> tuple[torch.optim.AdamW, torch.optim.lr_scheduler.OneCycleLR]:
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


def to_tensor(inputs: np.ndarray, device: torch.device) -> Tensor:
    """Bring NumPy inputs to a device, as float32.

    Parameters
    ----------
    inputs : ndarray
        Images ``(n, h, w, c)`` in [0, 1], or bytes, which are divided by 255; or rows ``(n, d)``.
    device : torch.device
        Where to.

    Returns
    -------
    Tensor of float32, shape (n, c, h, w) or (n, d)
        A copy, so layers that work in place do not reach the caller's array. The channels of
        images are last in memory.

    Raises
    ------
    ValueError
        If images are clearly outside [0, 1]. A little beyond is let pass: that is what resampling
        with a sharp kernel does.
    """
    array = np.asarray(inputs)
    if array.ndim != 4:
        return torch.from_numpy(np.array(array, dtype=np.float32, order="C")).to(device)
    if array.dtype == np.uint8:
        images = torch.from_numpy(np.array(array, order="C")).to(device).float() / 255
        return images.permute(0, 3, 1, 2)
    images = torch.from_numpy(np.array(array, dtype=np.float32, order="C"))
    low, high = (bound.item() for bound in torch.aminmax(images))
    if not (low >= -0.1 and high <= 1.1):
        raise ValueError(
            f"images span [{low:.3g}, {high:.3g}]; give them in [0, 1], or as bytes (uint8). "
            "Normalisation belongs to the model's preprocessing."
        )
    return images.to(device).permute(0, 3, 1, 2)


def to_batch(domain: Domain, rows: np.ndarray, device: torch.device) -> tuple[Tensor, Tensor]:
    """Bring some examples of a domain to a device: inputs float32 and labels int64."""
    return to_tensor(domain.inputs[rows], device), torch.from_numpy(domain.labels[rows]).to(device)


def shuffled(n: int, batches: int, seed: int) -> Iterator[np.ndarray]:
    """Yield the rows of one batch after another without end, reshuffled in every epoch."""
    order = np.random.default_rng(seed)
    while True:
        yield from np.array_split(order.permutation(n), batches)


def in_turn(n: int, batch_size: int) -> Iterator[slice]:
    """Yield slices that go once through ``n`` examples."""
    return (slice(start, start + batch_size) for start in range(0, n, batch_size))


def usual_batch_size(model: nn.Module, shape: Sequence[int], device: torch.device) -> int:
    """Choose how many examples to compute at once, by what the net sees of each.

    Parameters
    ----------
    model : torch.nn.Module
        What computes. A `Backbone` in it sees images in its own size.
    shape : sequence of int
        Shape of one example.
    device : torch.device
        Where; a GPU takes 16 times as much as a CPU.

    Returns
    -------
    int
        From 1 to 256.
    """
    seen = [math.prod(shape)]
    seen += [m.channels * m.size**2 for m in model.modules() if isinstance(m, Preprocess)]
    numbers = _NUMBERS_AT_ONCE * (1 if device.type == "cpu" else 16)
    return max(1, min(_EXAMPLES_AT_ONCE, numbers // max(seen)))


def fetch(inputs: Any, parts: Iterable[Any]) -> Iterator[np.ndarray]:
    """Yield ``inputs[part]`` for each part in order, the next one fetched beside the caller's work.

    Parameters
    ----------
    inputs : array-like
        What an index gives rows of. A thread reads files (`Pictures`, memory-mapped arrays);
        from an array in memory rows come at once.
    parts : iterable
        Indices. One more than was asked for is taken at most.

    Yields
    ------
    ndarray
        Close the generator if you leave before the end (``contextlib.closing``): that ends its
        thread. An error of the thread is raised here, in its turn.
    """
    if type(inputs) is np.ndarray:
        for part in parts:
            yield inputs[part]
        return
    with ThreadPoolExecutor(1, thread_name_prefix="fetch") as reader:
        coming = None
        for part in parts:
            arrived, coming = coming, reader.submit(inputs.__getitem__, part)
            if arrived is not None:
                yield arrived.result()
        if coming is not None:
            yield coming.result()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """Put a model into evaluation mode, and each of its parts back into its own mode."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield model
    finally:
        for module, mode in modes.items():
            module.training = mode


def _labelled_batches(
    domain: Domain, batches: int, total: int, seed: int, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield inputs and labels on the device, batch by batch, ``batches`` of them an epoch."""
    order, chosen = tee(islice(shuffled(len(domain), batches, seed), total))
    with closing(fetch(domain.inputs, order)) as fetched:
        for inputs, rows in zip(fetched, chosen, strict=True):
            labels = torch.from_numpy(domain.labels[rows])
            yield to_tensor(inputs, device), labels.to(device)


def _check_training(
    model: nn.Module, train: Domain, validation: Domain | None, patience: int | None
) -> None:
    """Refuse what cannot be trained, or not with these data."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is a {type(model).__name__}; give a torch.nn.Module.")
    check_training_data(train, validation, patience)


def _make_precision(
    device: torch.device, mixed: bool
) -> tuple[AbstractContextManager, torch.amp.GradScaler]:
    """Return the context of a forward pass and the scaler of its loss."""
    if not mixed or device.type != "cuda":
        return nullcontext(), torch.amp.GradScaler("cpu", enabled=False)
    modern = torch.cuda.is_bf16_supported(including_emulation=False)
    context = torch.autocast("cuda", torch.bfloat16 if modern else torch.float16)
    return context, torch.amp.GradScaler("cuda", enabled=not modern)


def _call(model: nn.Module, inputs: Tensor) -> Tensor:
    """Compute outputs, and say so in plain words if inputs of this shape are not the model's."""
    try:
        return model(inputs)
    except RuntimeError as error:
        if re.search(r"shape|size|channels|elements|dimension", str(error)):
            shape = ", ".join(map(str, inputs.shape[1:]))
            raise ValueError(
                f"model cannot take inputs of shape (n, {shape}): {str(error).splitlines()[0]}. "
                "Give inputs of the shape that it was made for."
            ) from error
        raise


def _check_outputs(outputs: Tensor, classes: int | None) -> None:
    """Refuse a model that has too many or too few outputs for the classes, if labels are such."""
    if classes is not None and outputs.ndim == 2 and outputs.shape[1] != classes:
        raise ValueError(
            f"model has {outputs.shape[1]} outputs, but train has {classes} classes; give it a "
            "head for these classes (or labels_are_classes=False if the loss takes the labels "
            "otherwise)."
        )


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
