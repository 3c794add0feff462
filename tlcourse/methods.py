"""The course's methods, told once: what is trained when, for how long, and what is reported.

The map
-------
``Door``           the verbs that a framework has to give
``fine_tune``      full, head, last, gradual, lp-ft
``distil``         a student learns from a teacher's predictions
``check_outputs``  a model and a domain that do not go together; so ``check_tasks`` for several
``check_distillation``  temperature and weight

Design choices
--------------
- No framework: each door gives its verbs as a `Door`. So a method means the same in both.
- Every method gets the same budget of updates, also the one that works in phases. So a
  comparison of methods compares nothing else.
- A frozen backbone and a teacher see each example once; what they say is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np

from tlcourse.batches import count_updates
from tlcourse.data import Domain
from tlcourse.data.domain import check_training_data
from tlcourse.history import History


@dataclass(frozen=True)
class Door:
    """The verbs of one framework, with the meanings that both doors promise.

    Attributes
    ----------
    fit, predict, extract_features, linear_probe : callable
        As the public functions of these names.
    unfreeze, unfreeze_last, layer_names : callable
        As the public functions of these names.
    freeze_batch_norm : callable
        ``freeze_batch_norm(model)`` freezes each BatchNorm layer, if there is any.
    head_of : callable
        ``head_of(model)`` is a model from features to logits that shares the head's parameters.
    """

    fit: Callable[..., History]
    predict: Callable[..., np.ndarray]
    extract_features: Callable[..., np.ndarray]
    linear_probe: Callable[..., Any]
    unfreeze: Callable[..., Any]
    freeze_batch_norm: Callable[[Any], Any]
    unfreeze_last: Callable[[Any, int], Any]
    layer_names: Callable[[Any], list[str]]
    head_of: Callable[[Any], Any]


def fine_tune(
    door: Door,
    model: Any,
    train: Domain,
    validation: Domain | None = None,
    *,
    method: str = "full",
    last: int | None = None,
    freeze_batch_norm: bool = False,
    **fit_options: Any,
) -> History:
    """Adapt a pretrained model to the target.

    Parameters
    ----------
    door : Door
        The framework's verbs.
    model : TransferModel
        Changed in place.
    train, validation : Domain
        Labelled target examples.
    method : {"full", "head", "last", "gradual", "lp-ft"}
        As for `tlcourse.torch.fine_tune`.
    last : int, optional
        For ``"last"``: how many layers, the head included.
    freeze_batch_norm : bool
        Whether BatchNorm layers stay as they are, in every phase.
    **fit_options
        Passed on to ``door.fit``.

    Returns
    -------
    History

    Raises
    ------
    ValueError
        If the method is unknown, ``last`` does not go with it, or there are fewer updates than
        phases.
    """
    methods = {
        "full": _train_all,
        "head": _train_head,
        "last": _train_last,
        "gradual": _train_gradually,
        "lp-ft": _probe_then_train,
    }
    if method not in methods:
        raise ValueError(f"method is {method!r}; it must be one of {', '.join(methods)}.")
    if (last is not None) != (method == "last"):
        raise ValueError(
            f"last is {last!r} and method {method!r}; 'last' needs a number of "
            "layers, such as last=2, and the other methods take none."
        )
    if method == "last":
        fit_options["last"] = last
    if freeze_batch_norm:
        door = _holding_batch_norm(door)
    return methods[method](door, model, train, validation, **fit_options)


def distil(
    door: Door,
    make_loss: Callable[[np.ndarray, np.ndarray], Callable],
    student: Any,
    teacher: Any,
    train: Domain,
    validation: Domain | None = None,
    *,
    device: str = "auto",
    **fit_options: Any,
) -> History:
    """Train a student on a teacher's outputs and on the labels.

    Parameters
    ----------
    door : Door
        The framework's verbs.
    make_loss : callable
        ``make_loss(teacher_logits, labels)`` is a loss of the student's logits and of the numbers
        of the rows that they belong to.
    student, teacher : model
        From inputs to logits; the student is changed in place.
    train, validation : Domain
        Labelled target examples.
    device : str
        As for ``door.fit``.
    **fit_options
        Passed on to ``door.fit``, except ``loss``.

    Returns
    -------
    History
        Its ``seconds`` include the teacher's.

    Raises
    ------
    ValueError
        If the teacher or the student has other classes.
    """
    check_training_data(train, validation, None)
    start = perf_counter()
    logits = door.predict(teacher, train.inputs, device=device)
    if logits.shape[1] != train.n_classes:
        raise ValueError(
            f"teacher gives {logits.shape[1]} logits, but train has "
            f"{train.n_classes} classes; give the teacher a head for these classes."
        )
    teaching = perf_counter() - start
    # the loss has to know which example it sees, so examples are labelled by their row
    rows = np.arange(len(train))
    numbered = replace(train, labels=rows, class_names=tuple(map(str, rows)))
    compare = make_loss(logits, train.labels)

    def loss(outputs, rows):
        check_outputs(int(outputs.shape[-1]), train)
        return compare(outputs, rows)

    history = door.fit(
        student,
        numbered,
        validation,
        loss=loss,
        labels_are_classes=False,
        device=device,
        **fit_options,
    )
    history.seconds += teaching
    return history


def check_distillation(temperature: float, weight: float) -> None:
    """Refuse a temperature that is not positive, or a weight outside [0, 1].

    Parameters
    ----------
    temperature, weight : float
        As for `tlcourse.torch.distillation_loss`.

    Raises
    ------
    ValueError
        If either is out of range.

    Examples
    --------
    >>> from tlcourse.methods import check_distillation
    >>> check_distillation(4.0, 0.9)
    """
    if not temperature > 0 or not 0 <= weight <= 1:
        raise ValueError(
            f"temperature is {temperature!r} and weight {weight!r}; temperature must "
            "be > 0 and weight in [0, 1]."
        )


def check_outputs(outputs: int, train: Domain) -> None:
    """Refuse a model that has other classes than its training set.

    Parameters
    ----------
    outputs : int
        Logits that the model gives for an example.
    train : Domain
        The training set.

    Raises
    ------
    ValueError
        If the numbers differ.

    Examples
    --------
    >>> from tlcourse.methods import check_outputs
    >>> from tlcourse import data
    >>> check_outputs(3, data.load("iris"))
    """
    if outputs != train.n_classes:
        raise ValueError(
            f"model has {outputs} outputs, but train has {train.n_classes} classes; give it a head "
            "for these classes, by TransferModel(backbone, train.n_classes) (or, to fit, "
            "labels_are_classes=False if the loss takes the labels otherwise)."
        )


def check_tasks(
    classes: Mapping[str, int],
    trains: Mapping[str, Domain],
    weights: Mapping[str, float] | None,
) -> dict[str, float]:
    """Refuse domains that are not the trunk's tasks, and return the tasks' weights.

    Parameters
    ----------
    classes : dict of str to int
        Outputs of each task's head.
    trains : dict of str to Domain
        Examples of each task.
    weights : dict of str to float, optional
        Weight of each task's loss; by default 1 each.

    Returns
    -------
    dict of str to float

    Raises
    ------
    ValueError
        If the tasks differ, or a domain has no examples or other classes than its head.
    """
    weights = dict(weights or dict.fromkeys(trains, 1.0))
    for parameter, given in (("trains", trains), ("weights", weights)):
        if set(given) != set(classes):
            raise ValueError(
                f"{parameter} has the tasks {sorted(given)}, but the trunk has "
                f"{sorted(classes)}; give one entry for each."
            )
    for task, domain in trains.items():
        if domain.n_classes != classes[task] or not len(domain):
            raise ValueError(
                f"trains[{task!r}] has {len(domain)} examples of {domain.n_classes} "
                f"classes; its head needs at least one example and {classes[task]} classes."
            )
    return weights


def _holding_batch_norm(door):
    """Return a door that freezes BatchNorm before each phase of training."""

    def fit(model, *domains, **options):
        return door.fit(door.freeze_batch_norm(model), *domains, **options)

    return replace(door, fit=fit)


def _train_all(door, model, train, validation, **fit_options):
    """Train everything."""
    door.unfreeze(model, "*")
    return door.fit(model, train, validation, **fit_options)


def _train_head(door, model, train, validation, *, augment=None, device="auto", **fit_options):
    """Train the head on features that are computed once."""
    if augment is not None:
        raise ValueError(
            "augment needs the images of each epoch anew, but method='head' computes features "
            "once; call freeze(model, 'backbone') and fit(model, ..., augment=...)."
        )
    door.unfreeze_last(model, 1)
    start = perf_counter()
    domains = [
        domain and domain.with_inputs(door.extract_features(model, domain.inputs, device=device))
        for domain in (train, validation)
    ]
    extracting = perf_counter() - start
    history = door.fit(door.head_of(model), *domains, device=device, **fit_options)
    history.seconds += extracting
    return history


def _train_last(door, model, train, validation, *, last, **fit_options):
    """Train the last layers and keep those below still."""
    door.unfreeze_last(model, last)
    return door.fit(model, train, validation, **fit_options)


def _train_gradually(
    door, model, train, validation, *, epochs=20, steps=None, batch_size=32, seed=0, **fit_options
):
    """Train the head, then one layer more in each phase."""
    total = count_updates(len(train), epochs=epochs, steps=steps, batch_size=batch_size)
    phases = len(door.layer_names(model))
    if total < phases:
        raise ValueError(
            f"{total} updates are too few for {phases} phases, one for each layer; give more "
            "epochs or steps."
        )
    whole = History()
    for phase, share in enumerate(np.array_split(np.arange(total), phases)):
        door.unfreeze_last(model, phase + 1)
        part = door.fit(
            model,
            train,
            validation,
            steps=len(share),
            batch_size=batch_size,
            seed=seed + phase,
            **fit_options,
        )
        whole.join(part)
    return whole


def _probe_then_train(door, model, train, validation, *, device="auto", **fit_options):
    """Set the head by logistic regression, then train everything."""
    start = perf_counter()
    door.linear_probe(model, train, device=device)
    probing = perf_counter() - start
    history = _train_all(door, model, train, validation, device=device, **fit_options)
    history.seconds += probing
    return history
