"""Parameter transfer: which layers learn, how fast, and how far from where they started.

Design choices
--------------
- A net is seen as a list of layers from input to head. A layer is what a reader of its paper
  would count: a block or a convolution, with the normalisation that follows it.
- Methods are small pieces for `fit`: names to freeze, learning rates by glob, a penalty. So they
  combine: gradual unfreezing with layer-wise rates, L2-SP with a frozen stem.
- Nothing is copied in silence: `copy_parameters` says what was copied, what not, and why.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tlcourse.data import Domain
from tlcourse.layering import CopyReport, check_depth, compare_weights, falling_rates
from tlcourse.torch.freezing import freeze, unfreeze
from tlcourse.torch.models import TransferModel
from tlcourse.torch.training import evaluate

# torchvision's names for the lists of layers themselves, not for one layer
_LISTS_OF_LAYERS = {
    "backbone",
    "body",
    "features",
    "classifier",
    "encoder",
    "layers",
    "blocks",
    "trunk_output",
}


def layers(model: nn.Module) -> dict[str, tuple[str, ...]]:
    """Part a net into layers, from input to head.

    Layers come in the order in which the net defines them. A normalisation layer, and a
    parameter of the net itself such as ViT's class token, belong to a neighbouring layer.

    Parameters
    ----------
    model : torch.nn.Module
        A `TransferModel`, a backbone, or any net whose layers are defined in order.

    Returns
    -------
    dict of str to tuple of str
        For each layer, by the name of its main module, the names of all its modules and
        parameters, as `freeze` takes them.

    Raises
    ------
    ValueError
        If the model has no parameters.

    Examples
    --------
    >>> import tlcourse.torch as tl
    >>> tl.layers(tl.backbone("resnet18"))["body.conv1"]
    ('body.conv1', 'body.bn1')
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is a {type(model).__name__}; give a torch.nn.Module.")
    found, waiting = {}, []
    for name, member in _members(model):
        is_bare = isinstance(member, nn.Parameter)
        if is_bare or all(p.ndim < 2 for p in member.parameters()):
            group = found[next(reversed(found))] if found else waiting
            group.append(name)
        else:
            found[name] = [*waiting, name]
            waiting = []
    if not found:
        raise ValueError(f"model {type(model).__name__} has no layer with weights.")
    return {name: tuple(members) for name, members in found.items()}


def layer_names(model: nn.Module) -> list[str]:
    """List the names of a net's layers, from input to head.

    Parameters
    ----------
    model : torch.nn.Module
        As for `layers`.

    Returns
    -------
    list of str

    Examples
    --------
    >>> import tlcourse.torch as tl
    >>> tl.layer_names(tl.TransferModel(tl.backbone("small-cnn"), 10))[-2:]
    ['backbone.body.block4', 'head']
    """
    return list(layers(model))


def unfreeze_last(model: nn.Module, k: int) -> nn.Module:
    """Let only the last layers learn.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place.
    k : int
        How many layers, counted from the head, which is the first of them.

    Returns
    -------
    torch.nn.Module
        The same model.

    Raises
    ------
    ValueError
        If ``k`` is not between 1 and the number of layers.

    References
    ----------
    Yosinski, Clune, Bengio and Lipson, "How transferable are features in deep neural networks?",
    NIPS 2014.

    Examples
    --------
    >>> import tlcourse.torch as tl
    >>> model = tl.unfreeze_last(tl.TransferModel(tl.backbone("small-cnn"), 10), 1)
    >>> tl.count_parameters(model, trainable=True)  # the head: 10 rows of 128 weights and a bias
    1290
    """
    parts = list(layers(model).values())
    check_depth("k", k, len(parts), least=1)
    freeze(model, "*")
    unfreeze(model, *(name for members in parts[-k:] for name in members))
    return model


def layer_rates(model: nn.Module, top: float, decay: float = 2.6) -> dict[str, float]:
    r"""Give each layer a learning rate that falls from the head to the input.

    Layer :math:`l` learns at :math:`\eta_{l} = \eta_{l+1} / \mathrm{decay}`.

    Parameters
    ----------
    model : torch.nn.Module
        As for `layers`.
    top : float
        Learning rate of the head.
    decay : float
        Ratio of the rates of neighbouring layers, at least 1; the paper's is 2.6.

    Returns
    -------
    dict of str to float
        One rate for each glob on parameter names, for ``fit(..., lr=...)``.

    Raises
    ------
    ValueError
        If ``top`` is not positive or ``decay`` is below 1.

    References
    ----------
    Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", ACL 2018,
    section 3.2.

    Examples
    --------
    >>> import tlcourse.torch as tl
    >>> rates = tl.layer_rates(tl.TransferModel(tl.backbone("small-cnn"), 10), 0.01, decay=2)
    >>> rates["head.*"], rates["backbone.body.block3.*"]
    (0.01, 0.0025)
    """
    names, parts = dict(model.named_parameters()), list(layers(model).values())
    rates = {}
    for members, rate in zip(parts, falling_rates(len(parts), top, decay), strict=True):
        for member in members:
            if member in names:
                rates[member] = rate
            elif any(name.startswith(f"{member}.") for name in names):
                rates[f"{member}.*"] = rate
    return rates


class L2SP:
    r"""Penalty on the distance from the starting point, for ``fit(..., penalty=...)``.

    .. math:: \Omega(w) = \frac{\alpha}{2} \lVert w_S - w_S^0 \rVert_2^2
              + \frac{\beta}{2} \lVert w_{\bar S} \rVert_2^2

    where :math:`w_S` are the parameters below the head, :math:`w_S^0` their values now, and
    :math:`w_{\bar S}` those of the fresh head. It takes the place of weight decay, so give
    ``weight_decay=0`` to `fit`.

    Parameters
    ----------
    model : torch.nn.Module
        The model at its starting point.
    alpha : float
        Strength of the pull towards the starting point.
    beta : float
        Strength of the pull of the head towards zero.

    Raises
    ------
    ValueError
        If a strength is negative.

    References
    ----------
    Li, Grandvalet and Davoine, "Explicit Inductive Bias for Transfer Learning with Convolutional
    Networks", ICML 2018, equation 2.

    Examples
    --------
    >>> import torch
    >>> import tlcourse.torch as tl
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 2))
    >>> penalty = tl.L2SP(net, alpha=0.5, beta=0.0)
    >>> net[0].weight.data += 2.0
    >>> round(penalty(net).item(), 4)  # 6 weights, each 2 away from its start
    6.0
    """

    def __init__(self, model: nn.Module, alpha: float = 0.1, beta: float = 0.01) -> None:
        if not (alpha >= 0 and beta >= 0):
            raise ValueError(f"alpha is {alpha!r} and beta {beta!r}; both must be >= 0.")
        self.alpha, self.beta = alpha, beta
        head = layer_names(model)[-1]
        self.start = {
            name: p.detach().clone()
            for name, p in model.named_parameters()
            if name != head and not name.startswith(f"{head}.")
        }

    def __call__(self, model: nn.Module) -> Tensor:
        """Compute the penalty as a scalar tensor; frozen parameters cost nothing.

        Parameters
        ----------
        model : torch.nn.Module
            The model under training.

        Returns
        -------
        torch.Tensor, scalar
        """
        penalty = torch.zeros(())
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            if name in self.start:
                start = self.start[name] = self.start[name].to(parameter.device)
                part = self.alpha / 2 * (parameter - start).square().sum()
            else:
                part = self.beta / 2 * parameter.square().sum()
            penalty = penalty.to(part) + part
        return penalty


@dataclass(frozen=True)
class Forgetting:
    """Accuracy on the source task before and after the transfer.

    Attributes
    ----------
    before, after : float
        Accuracies in [0, 1].
    """

    before: float
    after: float

    @property
    def drop(self) -> float:
        """What was lost, in accuracy; negative if something was gained."""
        return self.before - self.after


def forgetting(
    model: TransferModel,
    source_model: TransferModel,
    source: Domain,
    *,
    device: str = "auto",
) -> Forgetting:
    """Measure what a fine-tuned backbone has forgotten of its source task.

    Parameters
    ----------
    model : TransferModel
        After the transfer. Its backbone is put under the source's head.
    source_model : TransferModel
        Before the transfer, with the head for the source's classes.
    source : Domain
        Source examples that were not trained on.
    device : str
        See `choose_device`.

    Returns
    -------
    Forgetting

    Raises
    ------
    ValueError
        If the backbone's features do not fit the source's head.

    Examples
    --------
    >>> from tlcourse import data
    >>> import tlcourse.torch as tl
    >>> source, start = data.load("rendered-letters", n=52), tl.source_model("letters")
    >>> model = tl.TransferModel(tl.backbone("small-cnn", weights="letters"), 10)
    >>> tl.forgetting(model, start, source).drop  # nothing was trained yet
    0.0
    """
    given, needed = model.backbone.feature_dim, source_model.head.in_features
    if given != needed:
        raise ValueError(
            f"model has {given} features but the source's head takes {needed}; give the source "
            "model that the transfer started from."
        )
    after = copy.deepcopy(source_model)
    after.backbone = copy.deepcopy(model.backbone)
    before, now = (evaluate(m, source, device=device).accuracy for m in (source_model, after))
    return Forgetting(before, now)


def interpolate(start: nn.Module, end: nn.Module, alpha: float) -> nn.Module:
    """Average the weights of two models of one structure.

    BatchNorm's running statistics are interpolated with the weights. They are exact at both
    ends only: in between, the statistics of the averaged net can differ.

    Parameters
    ----------
    start, end : torch.nn.Module
        For example the probed and the fine-tuned model; not changed.
    alpha : float
        Share of ``end``, in [0, 1].

    Returns
    -------
    torch.nn.Module
        A new model.

    Raises
    ------
    ValueError
        If ``alpha`` is out of range or the structures differ.

    References
    ----------
    Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022, equation 1 (WiSE-FT).

    Examples
    --------
    >>> import torch
    >>> import tlcourse.torch as tl
    >>> start, end = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    >>> start.weight.data.fill_(1.0), end.weight.data.fill_(5.0)
    (tensor([[1.]]), tensor([[5.]]))
    >>> tl.interpolate(start, end, 0.25).weight.item()
    2.0
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha!r}; it must be in [0, 1].")
    low, high = start.state_dict(), end.state_dict()
    differing = [
        name
        for name in {**low, **high}
        if not (name in low and name in high and low[name].shape == high[name].shape)
    ]
    if differing:
        raise ValueError(
            f"start and end differ in structure at {differing[0]!r}; give two models of the same "
            "net and the same classes."
        )
    mixed = {
        name: torch.lerp(tensor, high[name].to(tensor.device), float(alpha))
        if tensor.is_floating_point()
        else (high if alpha > 0 else low)[name]
        for name, tensor in low.items()
    }
    model = copy.deepcopy(start)
    model.load_state_dict(mixed)
    return model


def copy_parameters(source: nn.Module | dict[str, Tensor], target: nn.Module) -> CopyReport:
    """Copy parameters and buffers that agree in name and shape from one net to another.

    Parameters
    ----------
    source : torch.nn.Module or dict of str to torch.Tensor
        A net or a state dict.
    target : torch.nn.Module
        Changed in place.

    Returns
    -------
    CopyReport

    Raises
    ------
    ValueError
        If no parameter agrees.

    Examples
    --------
    >>> import tlcourse.torch as tl
    >>> letters = tl.source_model("letters")  # a head for 26 classes
    >>> print(tl.copy_parameters(letters, tl.TransferModel(tl.backbone("small-cnn"), 10)))
    copied 24, skipped 2
      head.weight: shape: (26, 128) in the source, (10, 128) in the target
      head.bias: shape: (26,) in the source, (10,) in the target
    """
    given = source.state_dict() if isinstance(source, nn.Module) else dict(source)
    wanted = target.state_dict()
    shapes = [{name: tuple(t.shape) for name, t in state.items()} for state in (given, wanted)]
    report = compare_weights(shapes[0], shapes[1], dict(target.named_parameters()))
    with torch.no_grad():
        for name in report.copied:
            wanted[name].copy_(given[name])
    return report


def _members(module, prefix=""):
    """Yield names and members that hold parameters, going into lists of layers."""
    for name, parameter in module.named_parameters(recurse=False):
        yield prefix + name, parameter
    for name, child in module.named_children():
        if name == "preprocess" or not child.state_dict():
            continue
        if name in _LISTS_OF_LAYERS and next(child.children(), None) is not None:
            yield from _members(child, f"{prefix}{name}.")
        else:
            yield prefix + name, child
