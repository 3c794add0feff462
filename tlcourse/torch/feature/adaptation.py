"""Deep domain adaptation: labels on the source, none on the target.

Design choices
--------------
- The target enters as inputs, not as a `Domain`: a label cannot be used where none is claimed.
- Each method is one small function of source and target features. The training loop is the same
  for all: cross-entropy on the source plus a weight times the method's distance.
- Source and target pass through the net in one batch, so BatchNorm normalises both with the same
  statistics, in training as afterwards. In two batches, one for each domain, the accuracy of DAN
  and Deep CORAL came out the same within a point or two (rendered to handwritten digits). The
  control for a method's distance is the same call with ``weight=0``, and the control for all of it
  is `fit` on the source.
- The weights are fixed beforehand. To choose one, look at the diagnostics, not at target labels.
  DANN's rate, the pace of its discriminator and the short memory of its two players were found
  with the target's labels on two draws of rendered to handwritten digits, and on points; at its
  old settings, one rate of 0.001 and a memory of 0.9, nothing was adapted there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from tlcourse.batches import equal_batches
from tlcourse.checks import check_integer
from tlcourse.data import Domain, Pictures
from tlcourse.history import DivergedError
from tlcourse.torch.devices import choose_device, seeded
from tlcourse.torch.feature.unlabelled import confusion_loss
from tlcourse.torch.models import TransferModel
from tlcourse.torch.training import make_optimiser, to_batch, to_tensor, usual_batch

_WEIGHTS = {"deep-coral": 30.0, "dan": 1.0, "dann": 1.0, "mcc": 1.0}
# DANN's two players chase each other. With one rate for both, the extractor outruns the
# discriminator; with AdamW's usual memory of 0.9 each answers where the other was ten steps ago.
_HEAD_START, _MEMORY = 2.0, 0.5


@dataclass
class AdaptationHistory:
    """What happened during an adaptation, averaged over each tenth of the updates.

    Attributes
    ----------
    loss : list of float
        Cross-entropy on the source, in nats.
    distance : list of float
        The method's distance between source and target features, before its weight.
    domain_accuracy : list of float
        DANN only: share of examples whose domain the discriminator tells rightly; 0.5 is what
        the features should leave it.
    seconds : float
        Wall-clock time.
    steps : int
        Updates made.
    """

    loss: list[float] = field(default_factory=list)
    distance: list[float] = field(default_factory=list)
    domain_accuracy: list[float] = field(default_factory=list)
    seconds: float = 0.0
    steps: int = 0


def adapt(
    model: TransferModel,
    source: Domain,
    target_inputs: np.ndarray | Pictures,
    *,
    method: str,
    weight: float | None = None,
    augment: Callable[[Tensor], Tensor] | None = None,
    steps: int = 500,
    lr: float = 3e-3,
    batch_size: int = 64,
    weight_decay: float = 0.01,
    seed: int = 0,
    device: str = "auto",
    progress: bool = False,
) -> AdaptationHistory:
    """Train on labelled source examples and draw the features of both domains together.

    Parameters
    ----------
    model : TransferModel
        Changed in place; frozen layers stay as they are.
    source : Domain
        Labelled examples; as many classes as the model.
    target_inputs : ndarray of float32, shape (m, h, w, c)
        Unlabelled examples of the target.
    method : {"deep-coral", "dan", "dann", "mcc"}
        Deep CORAL [1]_, deep adaptation network [2]_, domain-adversarial training [3]_ or minimum
        class confusion [4]_, whose "distance" is the `confusion_loss` of the target's answers.
    weight : float, optional
        Weight of the method's distance; by default 30, 1, 1, 1, in the order above.
    augment : callable, optional
        ``augment(images) -> images`` of the same shape ``(n, c, h, w)``, on the batches of both
        domains.
    steps : int
        Updates.
    lr : float
        Peak of the one-cycle rate. DANN's discriminator learns twice as fast.
    weight_decay : float
        Of AdamW, as in `tlcourse.torch.fit`.
    batch_size : int
        Examples of each domain in an update.
    seed : int
        Seed of batches, dropout, discriminator and augmentation.
    device : str
        See `choose_device`.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    AdaptationHistory

    Raises
    ------
    TypeError
        If the target comes with labels, or the model is no `TransferModel`.
    ValueError
        If the method is unknown, a number out of range, a domain has fewer than 2 inputs, or the
        inputs of the two domains differ in shape.
    DivergedError
        If the loss is no longer finite, or the features have collapsed: all inputs have the same.

    References
    ----------
    .. [1] B. Sun and K. Saenko, Deep CORAL: Correlation alignment for deep domain adaptation,
       ECCV Workshops 2016, equation 1.
    .. [2] M. Long, Y. Cao, J. Wang, M. I. Jordan, Learning transferable features with deep
       adaptation networks, ICML 2015; here with equal kernel weights and on the last features.
    .. [3] Y. Ganin et al., Domain-adversarial training of neural networks, JMLR 17(59), 2016.
    .. [4] Y. Jin, X. Wang, M. Long, J. Wang, Minimum class confusion for versatile domain
       adaptation, ECCV 2020.

    Examples
    --------
    >>> from tlcourse import data
    >>> import tlcourse.torch as tl
    >>> source, target = (data.load(f"{kind}-digits", n=60) for kind in ("rendered", "handwritten"))
    >>> model = tl.TransferModel(tl.backbone("small-cnn"), 10)
    >>> history = tl.adapt(model, source, target.inputs, method="dann", steps=20)
    >>> history.loss[-1] < history.loss[0], len(history.domain_accuracy)
    (True, 10)
    """
    _check(model, source, target_inputs, method, weight, steps, batch_size)
    weight = _WEIGHTS[method] if weight is None else weight
    on = choose_device(device)
    model.to(on).train()
    history, start = AdaptationHistory(steps=steps), perf_counter()
    streams = (
        equal_batches(n, batch_size, np.random.default_rng([seed, place]))
        for place, n in enumerate((len(source), len(target_inputs)))
    )
    batches = zip(*streams, strict=True)
    with seeded(seed, on), tqdm(total=steps, disable=not progress, unit="step") as bar:
        alignment = _Alignment(method, model.backbone.feature_dim).to(on)
        trained = nn.ModuleDict({"model": model, "alignment": alignment})
        optimiser, schedule = (_two_players if method == "dann" else make_optimiser)(
            trained, lr, weight_decay, steps
        )
        sums, every = torch.zeros(4, device=on), max(1, steps // 10)
        for step in range(1, steps + 1):
            rows, target_rows = next(batches)
            inputs, labels = to_batch(source, rows, on)
            both = torch.cat([inputs, to_tensor(target_inputs[target_rows], on)])
            features = model.backbone(both if augment is None else augment(both))
            source_features, target_features = features.split([len(rows), len(target_rows)])
            loss = F.cross_entropy(model.head(source_features), labels)
            distance, domain_accuracy = alignment(
                source_features, target_features, step / steps, model.head
            )
            optimiser.zero_grad()
            (loss + weight * distance).backward()
            optimiser.step()
            schedule.step()
            collapsed = (features == features[:1]).all()
            sums += torch.stack([loss.detach(), distance.detach(), domain_accuracy, collapsed])
            if step % every == 0:
                _record(history, sums / every, method)
                sums.zero_()
            bar.update()
    model.eval()
    history.seconds = perf_counter() - start
    return history


def coral_loss(
    source_features: Float[Tensor, "n d"], target_features: Float[Tensor, "m d"]
) -> Float[Tensor, ""]:
    """Squared Frobenius distance of the covariances, over 4 d².

    Parameters
    ----------
    source_features, target_features : tensor, shapes (n, d) and (m, d)
        At least two rows each.

    Returns
    -------
    tensor, scalar

    Raises
    ------
    ValueError
        If a domain has fewer than 2 rows.

    References
    ----------
    .. [1] B. Sun and K. Saenko, Deep CORAL, ECCV Workshops 2016, equation 1.

    Examples
    --------
    >>> import torch
    >>> import tlcourse.torch as tl
    >>> rows = torch.tensor([[0.0], [2.0]])  # variance 2; three times as far: 18
    >>> tl.coral_loss(rows, 3 * rows).item()  # 16 squared over 4
    64.0
    """
    rows = len(source_features), len(target_features)
    if min(rows) < 2:
        raise ValueError(
            f"source_features have {rows[0]} rows and target_features {rows[1]}; give at least 2 "
            "of each: one row has no covariance."
        )
    difference = torch.cov(source_features.T) - torch.cov(target_features.T)
    return difference.square().sum() / (4 * source_features.shape[1] ** 2)


def mk_mmd_loss(
    source_features: Float[Tensor, "n d"],
    target_features: Float[Tensor, "m d"],
    *,
    scales: Sequence[float] = (0.25, 0.5, 1.0, 2.0, 4.0),
) -> Float[Tensor, ""]:
    """Squared maximum mean discrepancy under a mean of Gaussian kernels.

    The squared bandwidths are the mean squared distance in the joint batch times the scales. The
    estimate is the biased one of [1]_ (equation 5), which is never negative. Of equal rows it is 0,
    and so is its gradient.

    Parameters
    ----------
    source_features, target_features : tensor, shapes (n, d) and (m, d)
        Rows of both domains.
    scales : sequence of float
        One kernel for each; all weigh the same, where [2]_ learns the weights.

    Returns
    -------
    tensor, scalar

    References
    ----------
    .. [1] A. Gretton et al., A kernel two-sample test, JMLR 13, 2012.
    .. [2] M. Long, Y. Cao, J. Wang, M. I. Jordan, Learning transferable features with deep
       adaptation networks, ICML 2015.

    Examples
    --------
    >>> import torch
    >>> import tlcourse.torch as tl
    >>> rows = torch.tensor([[0.0], [2.0]])
    >>> apart = [tl.mk_mmd_loss(rows, rows + shift).item() for shift in (0, 1, 9)]
    >>> apart[0] == 0 < apart[1] < apart[2]
    True
    """
    n, m = len(source_features), len(target_features)
    rows = torch.cat([source_features, target_features])
    rows = rows - rows[:1].detach()  # distances stay, and those of equal rows are exactly 0
    lengths = rows.square().sum(dim=1)
    squared = (lengths[:, None] + lengths - 2 * rows @ rows.T).clamp(min=0)  # (n + m, n + m)
    bandwidth = squared.detach().sum() / ((n + m) * (n + m - 1))
    bandwidth = torch.where(bandwidth > 0, bandwidth, 1)  # all rows are equal: any will do
    kernel = sum(torch.exp(-squared / (2 * scale * bandwidth)) for scale in scales) / len(scales)
    signs = torch.cat([torch.full((n,), 1 / n), torch.full((m,), -1 / m)]).to(rows)
    return signs @ kernel @ signs


class _ReverseGradient(torch.autograd.Function):
    """The identity forward; the gradient times ``-strength`` backward."""

    @staticmethod
    def forward(context, features, strength):
        context.strength = strength
        return features.view_as(features)

    @staticmethod
    def backward(context, gradient):
        return -context.strength * gradient, None


def reverse_gradient(features: Float[Tensor, "..."], strength: float) -> Float[Tensor, "..."]:
    """Pass features on unchanged, and their gradient back with its sign turned.

    Parameters
    ----------
    features : tensor
        Any shape.
    strength : float
        Factor of the reversed gradient, lambda in [1]_.

    Returns
    -------
    tensor

    References
    ----------
    .. [1] Y. Ganin et al., Domain-adversarial training of neural networks, JMLR 17(59), 2016,
       equations 8 and 9.

    Examples
    --------
    >>> import torch
    >>> import tlcourse.torch as tl
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> y = tl.reverse_gradient(x, 0.5) ** 2
    >>> y.backward()
    >>> y.item(), x.grad.item()  # 9, and -0.5 times the slope 6
    (9.0, -3.0)
    """
    return _ReverseGradient.apply(features, strength)


def dann_strength(progress: float) -> float:
    """Strength of the reversed gradient: from 0 at the start to nearly 1 at the end.

    Parameters
    ----------
    progress : float
        Share of the training done, from 0 to 1.

    Returns
    -------
    float
        ``2 / (1 + exp(-10 progress)) - 1``, section 5.2.2 of Ganin et al. (2016).

    Examples
    --------
    >>> import tlcourse.torch as tl
    >>> [round(float(tl.dann_strength(share)), 3) for share in (0, 0.1, 1)]
    [0.0, 0.462, 1.0]
    """
    return 2 / (1 + np.exp(-10 * progress)) - 1


class _Alignment(nn.Module):
    """The distance of a method, with the discriminator where it has one."""

    def __init__(self, method, feature_dim):
        super().__init__()
        self.method = method
        if method == "dann":
            self.discriminator = nn.Sequential(
                nn.Linear(feature_dim, 128),
                nn.ReLU(),
                nn.Linear(128, 128),
                nn.ReLU(),
                nn.Linear(128, 1),
            )

    def forward(self, source, target, progress, head):
        """Return the distance to minimise, and the discriminator's accuracy."""
        nothing = source.new_zeros(())
        if self.method == "deep-coral":
            return coral_loss(source, target), nothing
        if self.method == "dan":
            return mk_mmd_loss(source, target), nothing
        if self.method == "mcc":
            return confusion_loss(head(target)), nothing
        features = reverse_gradient(torch.cat([source, target]), dann_strength(progress))
        logits = self.discriminator(features).squeeze(1)
        is_target = torch.cat([source.new_zeros(len(source)), target.new_ones(len(target))])
        # each domain counts half, however many rows it has
        weights = torch.where(is_target > 0, 0.5 / len(target), 0.5 / len(source))
        loss = F.binary_cross_entropy_with_logits(logits, is_target, weights, reduction="sum")
        return loss, (((logits > 0) == (is_target > 0)) * weights).sum().detach()


def _two_players(trained, lr, weight_decay, steps):
    """Make AdamW for both players, faster for the discriminator, with a short memory."""
    groups = [
        {"params": [p for p in trained[part].parameters() if p.requires_grad], "lr": rate}
        for part, rate in (("model", lr), ("alignment", _HEAD_START * lr))
    ]
    optimiser = torch.optim.AdamW(groups, betas=(_MEMORY, 0.999), weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, [group["lr"] for group in groups], total_steps=steps, cycle_momentum=False
    )
    return optimiser, schedule


def _record(history, means, method):
    """Write down the means of a tenth of the updates."""
    loss, distance, domain_accuracy, collapsed = means.tolist()
    if not np.isfinite(loss + distance):
        raise DivergedError(f"the loss is {loss} and the distance {distance}; lower lr or weight.")
    if collapsed == 1:
        raise DivergedError(
            "the features have collapsed: all inputs of a batch have the same, so nothing can be "
            "learnt any more, and their distance of 0 is no success; lower weight or lr, or give "
            "the backbone BatchNorm."
        )
    history.loss.append(loss)
    history.distance.append(distance)
    if method == "dann":
        history.domain_accuracy.append(domain_accuracy)


def check_unlabelled(model: object, target_inputs: object) -> None:
    """Refuse what is no model with a head, and a target that comes with labels.

    Parameters
    ----------
    model : object
        What was given as model.
    target_inputs : object
        What was given as inputs.

    Raises
    ------
    TypeError
        If the model is no `TransferModel`, or the target a `Domain`.
    """
    if not isinstance(model, TransferModel):
        raise TypeError(f"model is a {type(model).__name__}; give a TransferModel.")
    if isinstance(target_inputs, Domain):
        raise TypeError(
            "target_inputs is a Domain, which has labels; give target.inputs: adaptation must not "
            "see the target's labels."
        )


def _check(model, source, target_inputs, method, weight, steps, batch_size):
    """Refuse arguments that could only fail later or mislead."""
    check_unlabelled(model, target_inputs)
    if not isinstance(source, Domain):
        raise TypeError(f"source is a {type(source).__name__}; give a labelled Domain.")
    if method not in _WEIGHTS:
        raise ValueError(f"method is {method!r}; it must be one of {', '.join(_WEIGHTS)}.")
    shapes = source.inputs.shape, np.shape(target_inputs)
    if shapes[0][1:] != shapes[1][1:] or min(shape[0] for shape in shapes) < 2:
        raise ValueError(
            f"source's inputs have the shape {shapes[0]} and target_inputs the shape {shapes[1]}; "
            "both pass through the net in one batch, so give at least 2 of each, alike in all axes "
            "but the first: load or resize one domain like the other."
        )
    if model.head.out_features != source.n_classes:
        raise ValueError(
            f"model has {model.head.out_features} outputs and source {source.n_classes} classes."
        )
    if weight is not None and not weight >= 0:
        raise ValueError(f"weight is {weight!r}; it must be >= 0.")
    check_integer("steps", steps, smallest=2)
    check_integer("batch_size", batch_size, smallest=2)


def tracking_norms(model: nn.Module) -> list[nn.Module]:
    """Find the BatchNorm layers that keep running statistics.

    Parameters
    ----------
    model : torch.nn.Module
        Any net.

    Returns
    -------
    list of torch.nn.Module
    """
    return [
        layer
        for layer in model.modules()
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.track_running_stats
    ]


def adapt_batchnorm(
    model: nn.Module,
    inputs: np.ndarray | Pictures,
    *,
    batch_size: int | None = None,
    device: str = "auto",
) -> nn.Module:
    """Replace BatchNorm's running statistics by those of other inputs (AdaBN).

    Each layer's mean and variance become the averages over the batches, weighted equally;
    parameters do not move. The variance is the unbiased one, as in BatchNorm's own running
    statistics. Frozen BatchNorm layers are measured anew too: asking for it is the point of the
    call. A layer that the forward pass does not reach keeps its statistics.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place.
    inputs : ndarray of float32, shape (n, h, w, c) or (n, d)
        Unlabelled examples, such as the target's.
    batch_size : int, optional
        Largest batch, at least 2; by default 256, or what fits where the pictures are large.
        Batches are of nearly equal size. Where a single example would be left alone, it joins a
        batch, which then has one more.
    device : str
        See `choose_device`.

    Returns
    -------
    torch.nn.Module
        The same model, in evaluation mode.

    Raises
    ------
    ValueError
        If the model has no BatchNorm with running statistics, there are fewer than 2 inputs, or
        ``batch_size`` is no integer of at least 2: one row has no variance.

    References
    ----------
    .. [1] Y. Li, N. Wang, J. Shi, J. Liu, X. Hou, Revisiting batch normalization for practical
       domain adaptation, arXiv:1603.04779, 2016.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> import tlcourse.torch as tl
    >>> rows = np.array([[1.0], [2.0], [6.0]], dtype=np.float32)
    >>> norm = tl.adapt_batchnorm(torch.nn.BatchNorm1d(1), rows)
    >>> norm.running_mean, norm.running_var
    (tensor([3.]), tensor([7.]))
    """
    layers = tracking_norms(model)
    if not layers or len(inputs) < 2:
        raise ValueError(
            f"model has {len(layers)} BatchNorm layers with statistics and inputs have "
            f"{len(inputs)} rows; both must be there (at least 2 rows)."
        )
    on = choose_device(device)
    if batch_size is None:
        batch_size = min(256, usual_batch(model, inputs.shape[1:], on))
    check_integer("batch_size", batch_size, smallest=2)
    model.to(on).eval()
    measured = {}  # layer: means and variances, one for each time that it ran

    def measure(layer, arguments):
        values = arguments[0].detach()
        axes = [axis for axis in range(values.ndim) if axis != 1]
        mean, variance = values.mean(axes), values.var(axes)
        measured.setdefault(layer, []).append((mean, variance))
        layer.running_mean.copy_(mean)  # this batch is normalised by its own statistics
        layer.running_var.copy_(variance)

    hooks = [layer.register_forward_pre_hook(measure) for layer in layers]
    parts = min(-(-len(inputs) // batch_size), len(inputs) // 2)  # none of a single example
    try:
        with torch.no_grad():
            for rows in np.array_split(np.arange(len(inputs)), parts):
                model(to_tensor(inputs[rows], on))
    finally:
        for hook in hooks:
            hook.remove()
    for layer, found in measured.items():
        means, variances = zip(*found, strict=True)
        layer.running_mean.copy_(torch.stack(means).mean(0))
        layer.running_var.copy_(torch.stack(variances).mean(0))
    return model
