"""The training loop of the Keras door, and what it needs before and after.

Design choices
--------------
- The loop is written out, as in the PyTorch door, with the same batches in the same order, the
  same one-cycle rate and the same decay. One step is compiled by ``tf.function``.
- Layers with rates of their own get an optimiser each: Keras has no parameter groups.
- The seed decides the order, and what dropout, noise and augmentation draw: the layers' own seed
  generators are set and afterwards restored, and the step's graph has a seed of its own. So
  TensorFlow's and Keras' global random states stay as they are.
- Predictions of many batches are compiled, by Keras itself, once for a model: on photographs a
  compiled net takes half the time. A few batches take less than their compilation.
- Mixed precision is a property of a Keras model, not of its training: make the model under
  ``keras.mixed_precision.set_dtype_policy("mixed_bfloat16")``. The loss is computed in float32.
- ``TLCOURSE_DEVICE`` is obeyed; otherwise TensorFlow chooses the device.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from time import perf_counter
from typing import Any

import numpy as np
from tqdm import tqdm

from tlcourse.batches import (
    check_inputs,
    count_updates,
    fetch,
    in_turn,
    to_float,
    usual_batch_size,
    warn_if_enlarged,
)
from tlcourse.checks import check_counts
from tlcourse.data import Domain, Pictures
from tlcourse.data.domain import check_domain, check_training_data
from tlcourse.evaluation import Evaluation, evaluate_logits
from tlcourse.history import BestWeights, History
from tlcourse.keras.devices import keras, tf
from tlcourse.keras.freezing import named_layers
from tlcourse.keras.models import Preprocess, TransferModel, count_parameters
from tlcourse.layering import group_by_rate
from tlcourse.methods import check_outputs

_FEW_BATCHES = 4


def cross_entropy(logits: Any, labels: Any) -> Any:
    """Mean cross-entropy of logits ``(n, k)`` and integer labels ``(n,)``, in nats."""
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    return tf.reduce_mean(losses)


def fit(
    model: keras.Model,
    train: Domain,
    validation: Domain | None = None,
    *,
    epochs: int = 20,
    steps: int | None = None,
    lr: float | Mapping[str, float] = 1e-3,
    batch_size: int = 32,
    weight_decay: float = 0.01,
    loss: Callable[[Any, Any], Any] = cross_entropy,
    labels_are_classes: bool = True,
    penalty: Callable[[Any], Any] | None = None,
    augment: Callable[[Any], Any] | None = None,
    patience: int | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: bool = False,
) -> History:
    """Train what is not frozen in a model, with AdamW and a one-cycle learning rate.

    Parameters
    ----------
    model : keras.Model
        From inputs (images ``(n, h, w, c)`` in [0, 1], or rows ``(n, d)``) to logits ``(n, k)``.
        Changed in place.
    train, validation : Domain
        The validation set chooses nothing unless ``patience`` is given.
    epochs : int
        Passes over the training set.
    steps : int, optional
        Number of updates; given, it replaces ``epochs``.
    lr : float or dict of str to float
        Peak learning rate; or one for each glob on layer names, such as
        ``{"backbone": 1e-4, "head": 1e-3}``. The first glob that matches counts.
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
        ``augment(images) -> images`` on training batches.
    patience : int, optional
        Stop after so many epochs without a lower validation loss, and restore the best weights.
    seed : int
        Seed of order, dropout, noise and augmentation.
    device : str
        ``"auto"``, or a device such as ``"cpu"`` or ``"cuda"``.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    History

    Raises
    ------
    ValueError
        If nothing can be trained, a number is out of range, a glob matches nothing, a layer has
        no learning rate, or the model has other classes than the training set.
    DivergedError
        If the loss is no longer finite.

    Warns
    -----
    UserWarning
        If picture files were loaded smaller than the model's backbone looks at them.

    Examples
    --------
    >>> import tlcourse.keras as tl
    >>> from tlcourse import data
    >>> model = tl.TransferModel(tl.mlp((4,), [8]), 3)
    >>> history = tl.fit(model, data.load("iris"), steps=30, lr=1e-2)
    >>> history.loss[-1] < history.loss[0]
    True
    """
    _check_training(model, train, validation, patience)
    total = count_updates(len(train), epochs=epochs, steps=steps, batch_size=batch_size)
    if labels_are_classes:
        check_outputs(model.output_shape[-1], train)
    batches = -(-len(train) // batch_size)
    keeper = BestWeights(patience, model.get_weights, model.set_weights)
    start, order = perf_counter(), np.random.default_rng(seed)

    def compute_loss(inputs, labels):
        inputs = inputs if augment is None else augment(inputs)
        value = loss(tf.cast(model(inputs, training=True), tf.float32), labels)
        return value if penalty is None else value + penalty(model)

    on = device_name(device)
    with (
        tf.device(on),
        seeded(seed, model, augment),
        tqdm(total=total, disable=not progress) as bar,
    ):
        groups = make_optimisers(named_layers(model), lr, weight_decay)
        history = History(trained_parameters=count_parameters(model, trainable=True))
        update = compile_step(compute_loss, groups, [train], seed)
        while history.steps < total and not keeper.is_exhausted:
            parts = np.array_split(order.permutation(len(train)), batches)[: total - history.steps]
            losses = []
            with closing(fetch(train.inputs, parts)) as fetched:
                for rows, inputs in zip(parts, fetched, strict=True):
                    set_rates(groups, history.steps, total)
                    losses.append(update(to_float(inputs), train.labels[rows]))
                    history.steps += 1
                    bar.update()
            measured = evaluate(model, validation, device=device) if validation else None
            history.record(float(np.mean([float(one) for one in losses])), measured)
            keeper.look(history)
    keeper.restore(history)
    history.seconds, history.device = perf_counter() - start, on or "auto"
    return history


def one_cycle(step: int, total: int, peak: float) -> float:
    """Learning rate of one update: up along a cosine for 30 % of them, then down.

    Parameters
    ----------
    step : int
        Updates made before, from 0.
    total : int
        All updates.
    peak : float
        Highest rate; it begins at a 25th of it and ends 10,000 times below that.

    Returns
    -------
    float
        PyTorch's ``OneCycleLR`` with its defaults (Smith and Topin, 2018), without its cycle of
        momentum.
    """

    def cosine(begin, end, share):
        return end + (begin - end) / 2 * (1 + np.cos(np.pi * share))

    total = max(2, total)
    up = 0.3 * total - 1
    if step <= up:
        return cosine(peak / 25, peak, step / up if up else 1.0)
    return cosine(peak, peak / 25e4, (step - up) / (total - 1 - up))


def predict(
    model: keras.Model,
    inputs: np.ndarray | Pictures,
    *,
    batch_size: int | None = None,
    device: str = "auto",
) -> np.ndarray:
    """Compute logits.

    Parameters
    ----------
    model : keras.Model
        From inputs to logits.
    inputs : ndarray of float32 or uint8, or Pictures
        Images ``(n, h, w, c)``: float in [0, 1], or bytes, which are divided by 255; or rows
        ``(n, d)``. What is like an array, with ``shape`` and rows that an index gives, is taken
        batch by batch and never held whole.
    batch_size : int, optional
        Examples computed at once; by default at most 256, and fewer where images are large: 16 of
        224 x 224 pixels on a CPU. It changes time and memory, not the results.
    device : str
        As for `fit`.

    Returns
    -------
    ndarray of float32, shape (n, k)

    Raises
    ------
    ValueError
        If the inputs are neither images nor rows, or images are clearly outside [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> import tlcourse.keras as tl
    >>> model = tl.TransferModel(tl.mlp((4,), [8]), 3)
    >>> tl.predict(model, np.zeros((5, 4))).shape
    (5, 3)
    """
    inputs = check_inputs(inputs)
    check_counts(batch_size=batch_size)
    warn_if_enlarged(inputs, (p.size for p in _preprocessing(model)))
    on = device_name(device)
    parts = in_turn(len(inputs), batch_size or _usual_batch_size(model, inputs, on))
    is_worth_it = len(parts) > _FEW_BATCHES or getattr(model, "predict_function", None) is not None
    outputs = []
    with tf.device(on), closing(fetch(inputs, parts)) as batches:
        for batch in batches:
            if is_worth_it:
                outputs.append(model.predict_on_batch(to_float(batch)))
            else:
                outputs.append(model(tf.constant(to_float(batch)), training=False).numpy())
    return np.concatenate(outputs).astype(np.float32, copy=False)


def extract_features(
    model: keras.Model,
    inputs: np.ndarray | Pictures,
    *,
    batch_size: int | None = None,
    device: str = "auto",
) -> np.ndarray:
    """Compute what the head sees: one feature vector for each input.

    Parameters
    ----------
    model : TransferModel or keras.Model
        A model with a ``backbone``, or a backbone itself.
    inputs : ndarray of float32 or uint8, or Pictures
        As for `predict`.
    batch_size : int, optional
        As for `predict`.
    device : str
        As for `fit`.

    Returns
    -------
    ndarray of float32, shape (n, feature_dim)

    Examples
    --------
    >>> import numpy as np
    >>> import tlcourse.keras as tl
    >>> model = tl.TransferModel(tl.mlp((4,), [8]), 3)
    >>> tl.extract_features(model, np.zeros((5, 4))).shape
    (5, 8)
    """
    net = model.backbone if isinstance(model, TransferModel) else model
    return predict(net, inputs, batch_size=batch_size, device=device)


def evaluate(model: keras.Model, domain: Domain, *, device: str = "auto") -> Evaluation:
    """Measure accuracy, recall per class and confusion on a domain.

    Parameters
    ----------
    model : keras.Model
        From inputs to logits, one for each class of the domain.
    domain : Domain
        Labelled examples that were not trained on.
    device : str
        As for `fit`.

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
    >>> import tlcourse.keras as tl
    >>> from tlcourse import data
    >>> letters = data.load("rendered-letters", n=52, seed=1)
    >>> tl.evaluate(tl.source_model("letters"), letters).accuracy > 0.9
    True
    """
    check_domain("domain", domain)
    logits = predict(model, domain.inputs, device=device)
    return evaluate_logits(logits, domain.labels, domain.class_names)


def device_name(device: str) -> str | None:
    """Translate a device's name for TensorFlow; None lets TensorFlow choose."""
    if device == "auto":
        device = os.environ.get("TLCOURSE_DEVICE") or "mps"
    if device == "mps":  # no TensorFlow device of this name
        return None
    name = str(device).upper().replace("CUDA", "GPU")
    kind = name.partition(":")[0]
    if kind not in ("CPU", "GPU") or not tf.config.list_physical_devices(kind):
        raise ValueError(
            f"device is {device!r}, which cannot be used here; use 'auto', 'cpu', or one that this "
            "computer has."
        )
    return name if ":" in name else f"{name}:0"


@contextmanager
def seeded(seed: int, *owners: Any) -> Iterator[None]:
    """Let the random layers of models follow a seed, and restore their state afterwards.

    Parameters
    ----------
    seed : int
        Any integer >= 0.
    *owners : keras.layers.Layer or other
        Models or layers; what holds no variables is passed over.

    Yields
    ------
    None
    """
    states = [
        variable
        for owner in owners
        if isinstance(owner, keras.layers.Layer)
        for variable in owner.variables
        if variable.name == "seed_generator_state"
    ]
    before = [state.numpy() for state in states]
    for place, state in enumerate(states):
        state.assign(np.random.SeedSequence([seed, place]).generate_state(2).astype(state.dtype))
    try:
        yield
    finally:
        for state, value in zip(states, before, strict=True):
            state.assign(value)


def make_optimisers(
    layers: Mapping[str, keras.layers.Layer], lr: float | Mapping[str, float], weight_decay: float
) -> list[tuple[keras.optimizers.Optimizer, float, list]]:
    """Make AdamW for what is not frozen: one optimiser for each learning rate.

    Parameters
    ----------
    layers : dict of str to keras.layers.Layer
        Innermost layers by name.
    lr : float or dict of str to float
        As for `fit`.
    weight_decay : float
        As for `fit`.

    Returns
    -------
    list of (optimiser, float, list of keras.Variable)
        With its peak rate and the variables that it moves.

    Raises
    ------
    ValueError
        If nothing can be trained, a glob matches nothing, or a layer has no learning rate.
    """
    trainable = [name for name, layer in layers.items() if layer.trainable_variables]
    groups = []
    for rate, names in group_by_rate(layers, trainable, lr, "layer"):
        variables = [variable for name in names for variable in layers[name].trainable_variables]
        optimiser = keras.optimizers.AdamW(rate, weight_decay=weight_decay, epsilon=1e-8)
        optimiser.build(variables)
        groups.append((optimiser, rate, variables))
    return groups


def set_rates(groups: list, step: int, total: int) -> None:
    """Give each optimiser its one-cycle rate of an update."""
    for optimiser, peak, _ in groups:
        optimiser.learning_rate.assign(one_cycle(step, total, peak))


def compile_step(
    compute_loss: Callable[..., Any], groups: list, domains: list[Domain], seed: int
) -> Callable[..., Any]:
    """Compile one update: forward, loss, gradients, and each optimiser's step.

    Parameters
    ----------
    compute_loss : callable
        ``compute_loss(inputs, labels)`` is a scalar tensor; with several domains, it takes inputs
        and labels of each in turn.
    groups : list
        From `make_optimisers`.
    domains : list of Domain
        Where the batches come from.
    seed : int
        Seed of TensorFlow's random numbers in the step.

    Returns
    -------
    callable
        ``update(inputs, labels, ...)`` takes the step and returns the loss before it.
    """
    variables = [variable for _, _, members in groups for variable in members]
    batches = [
        spec
        for domain in domains
        for spec in (
            tf.TensorSpec((None, *domain.inputs.shape[1:]), tf.float32),
            tf.TensorSpec((None,), tf.int64),
        )
    ]

    @tf.function(input_signature=batches)
    def update(*batch):
        tf.random.set_seed(seed)  # of this graph only, since it is called while it is traced
        with tf.GradientTape() as tape:
            value = compute_loss(*batch)
        gradients = iter(tape.gradient(value, [variable.value for variable in variables]))
        for optimiser, _, members in groups:
            optimiser.apply([next(gradients) for _ in members], members)
        return value

    return update


def _check_training(
    model: keras.Model, train: Domain, validation: Domain | None, patience: int | None
) -> None:
    """Refuse what cannot be trained, or not with these data."""
    if not isinstance(model, keras.Model):
        raise TypeError(f"model is a {type(model).__name__}; give a keras.Model.")
    check_training_data(train, validation, patience)
    check_counts(patience=patience)
    warn_if_enlarged(train.inputs, (p.size for p in _preprocessing(model)))


def _preprocessing(model: keras.Model) -> list[Preprocess]:
    """Return the layers that give images a model's size, channels and scale."""
    return [layer for layer in named_layers(model).values() if isinstance(layer, Preprocess)]


def _usual_batch_size(model: keras.Model, inputs: Any, device: str | None) -> int:
    """Choose how many examples to compute at once, by what the net sees of each."""
    sees = [p.channels * p.size**2 for p in _preprocessing(model)]
    seen = [int(np.prod(inputs.shape[1:])), *sees]
    gpu = device.startswith("GPU") if device else bool(tf.config.list_physical_devices("GPU"))
    return usual_batch_size(max(seen), on_gpu=gpu)
