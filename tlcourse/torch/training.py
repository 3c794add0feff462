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
- Pictures reach the net as from any PyTorch loader, contiguous. The preprocessing of a backbone
  puts their channels last in memory, as convolutions want them.
"""

import math
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from copy import deepcopy
from itertools import islice, tee
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parameter import is_lazy
from tqdm import tqdm

from tlcourse.batches import (
    check_inputs,
    check_range,
    count_updates,
    endless_batches,
    fetch,
    in_turn,
    usual_batch_size,
    warn_if_enlarged,
)
from tlcourse.checks import check_counts
from tlcourse.data import Domain, Pictures
from tlcourse.data.domain import check_domain, check_training_data
from tlcourse.evaluation import Evaluation, evaluate_logits
from tlcourse.history import BestWeights, History
from tlcourse.layering import group_by_rate
from tlcourse.methods import check_outputs
from tlcourse.torch.devices import choose_device, seeded
from tlcourse.torch.models import Preprocess, TransferModel, count_parameters


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

    Warns
    -----
    UserWarning
        If picture files were loaded smaller than the model's backbone looks at them.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
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
    total = count_updates(len(train), epochs=epochs, steps=steps, batch_size=batch_size)
    device = choose_device(device)
    model.to(device)
    optimiser, schedule = make_optimiser(model, lr, weight_decay, total)
    precision, scaler = _make_precision(device, mixed_precision)
    history = History(trained_parameters=count_parameters(model, trainable=True))
    keeper = BestWeights(patience, lambda: deepcopy(model.state_dict()), model.load_state_dict)
    start, stream = perf_counter(), _labelled_batches(train, batch_size, total, seed, device)
    with seeded(seed, device), closing(stream), tqdm(total=total, disable=not progress) as bar:
        while history.steps < total and not keeper.is_exhausted:
            model.train()
            total_loss, before = torch.zeros((), device=device), history.steps
            for inputs, labels in islice(stream, -(-len(train) // batch_size)):
                if augment is not None:
                    inputs = augment(inputs)
                with precision:
                    outputs = _call(model, inputs)
                    if labels_are_classes and outputs.ndim == 2:
                        check_outputs(outputs.shape[1], train)
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
            measured = evaluate(model, validation, device=device) if validation else None
            history.record(mean_loss, measured)
            keeper.look(history)
            bar.set_postfix(loss=f"{mean_loss:.3f}")
    keeper.restore(history)
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
    inputs = check_inputs(inputs)
    warn_if_enlarged(inputs, _sides(model))
    check_counts(batch_size=batch_size)
    device = choose_device(device)
    model.to(device)
    precision, _ = _make_precision(device, mixed_precision)
    size = batch_size or usual_batch(model, inputs.shape[1:], device)
    outputs = []
    with (
        evaluating(model),
        torch.no_grad(),  # not inference_mode: what a net keeps from it could never be trained
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
    >>> import torch
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
        A copy, so layers that work in place do not reach the caller's array; contiguous, so nets
        that call ``view`` can have it.

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
        pixels = torch.from_numpy(np.array(array, order="C")).to(device).permute(0, 3, 1, 2)
        return pixels.to(torch.float32, memory_format=torch.contiguous_format).div_(255)
    images = torch.from_numpy(np.array(array.transpose(0, 3, 1, 2), np.float32, order="C"))
    if images.numel():
        check_range(*(bound.item() for bound in torch.aminmax(images)))
    return images.to(device)


def to_batch(domain: Domain, rows: np.ndarray, device: torch.device) -> tuple[Tensor, Tensor]:
    """Bring some examples of a domain to a device: inputs float32 and labels int64."""
    return to_tensor(domain.inputs[rows], device), torch.from_numpy(domain.labels[rows]).to(device)


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
    domain: Domain, batch_size: int, total: int, seed: int, device: torch.device
) -> Generator[tuple[Tensor, Tensor], None, None]:
    """Yield inputs and labels on the device, batch by batch, ``total`` of them."""
    rows_of_all = endless_batches(len(domain), batch_size, np.random.default_rng(seed))
    order, chosen = tee(islice(rows_of_all, total))
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
    lazy = [name for name, p in model.named_parameters() if is_lazy(p)]
    if lazy:
        raise ValueError(
            f"model's parameter {lazy[0]!r} has no shape yet, as its layer has not run; call the "
            "model once on a batch before training."
        )
    check_counts(patience=patience)
    check_training_data(train, validation, patience)
    warn_if_enlarged(train.inputs, _sides(model))


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


def _sides(model: nn.Module) -> list[int]:
    """Return the heights and widths that a model resizes pictures to."""
    return [module.size for module in model.modules() if isinstance(module, Preprocess)]


def usual_batch(model: nn.Module, shape: Sequence[int], device: torch.device) -> int:
    """Choose how many examples of a shape to compute at once, by what the net sees of each."""
    seen = [math.prod(shape)]
    seen += [m.channels * m.size**2 for m in model.modules() if isinstance(m, Preprocess)]
    return usual_batch_size(max(seen), on_gpu=device.type != "cpu")
