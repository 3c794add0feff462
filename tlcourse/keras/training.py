"""The training loop of the Keras door, and what it needs before and after.

Design choices
--------------
- The loop is written out, as in the PyTorch door, with the same batches in the same order, the
  same one-cycle rate and the same decay. One step is compiled by ``tf.function``.
- Layers with rates of their own get an optimiser each: Keras has no parameter groups.
- ``TLCOURSE_DEVICE`` is obeyed; otherwise TensorFlow chooses the device.
"""

import os
from time import perf_counter

import numpy as np
from tqdm import tqdm

from tlcourse.checks import check_counts
from tlcourse.data.domain import check_domain, check_training_data
from tlcourse.evaluation import evaluate_logits
from tlcourse.history import DivergedError, History
from tlcourse.keras.devices import keras, tf
from tlcourse.keras.freezing import named_layers
from tlcourse.keras.models import TransferModel, count_parameters
from tlcourse.layering import group_by_rate


def cross_entropy(logits, labels):
    """Mean cross-entropy of logits ``(n, k)`` and integer labels ``(n,)``, in nats."""
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    return tf.reduce_mean(losses)


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
    loss=cross_entropy,
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
    penalty : callable, optional
        ``penalty(model) -> scalar tensor``, added to the loss of each update.
    augment : callable, optional
        ``augment(images) -> images`` on training batches.
    patience : int, optional
        Stop after so many epochs without a lower validation loss, and restore the best weights.
    seed : int
        Seed of the order.
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
        If nothing can be trained, a number is out of range, a glob matches nothing, or a layer
        has no learning rate.
    DivergedError
        If the loss is no longer finite.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"model is a {type(model).__name__}; give a keras.Model.")
    check_training_data(train, validation, patience)
    check_counts(epochs=epochs, steps=steps, batch_size=batch_size, patience=patience)
    batches = -(-len(train) // batch_size)
    total = epochs * batches if steps is None else steps
    start, order = perf_counter(), np.random.default_rng(seed)
    best, weights = None, None
    with tf.device(device_name(device)), tqdm(total=total, disable=not progress) as bar:
        groups = _optimisers(model, lr, weight_decay)
        history = History(
            trained_parameters=count_parameters(model, trainable=True),
            device=device_name(device) or "auto",
        )
        update = _compiled_step(model, groups, train, loss, penalty, augment)
        while history.steps < total:
            parts = np.array_split(order.permutation(len(train)), batches)[: total - history.steps]
            losses = []
            for rows in parts:
                for optimiser, peak, _ in groups:
                    optimiser.learning_rate.assign(one_cycle(history.steps, total, peak))
                losses.append(update(train.inputs[rows], train.labels[rows]))
                history.steps += 1
                bar.update()
            _record(history, float(np.mean([float(one) for one in losses])), model, validation)
            if patience is not None:
                if best is None or history.validation_loss[-1] < history.validation_loss[best]:
                    best, weights = len(history.loss) - 1, model.get_weights()
                if len(history.loss) - 1 - best >= patience:
                    break
    if weights is not None:
        model.set_weights(weights)
        history.best_epoch = best
    history.seconds = perf_counter() - start
    return history


def one_cycle(step, total, peak):
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


def predict(model, inputs, *, batch_size=256, device="auto"):
    """Compute logits.

    Parameters
    ----------
    model : keras.Model
        From inputs to logits.
    inputs : ndarray of float32
        Images ``(n, h, w, c)`` in [0, 1], or rows ``(n, d)``.
    batch_size : int
        Examples computed at once.
    device : str
        As for `fit`.

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
    with tf.device(device_name(device)):
        # called eagerly: compiled, each model and each size of a last batch would be traced anew
        parts = [
            model(tf.constant(inputs[start : start + batch_size]), training=False).numpy()
            for start in range(0, len(inputs), batch_size)
        ]
    return np.concatenate(parts).astype(np.float32, copy=False)


def extract_features(model, inputs, *, batch_size=256, device="auto"):
    """Compute what the head sees: one feature vector for each input.

    Parameters
    ----------
    model : TransferModel or keras.Model
        A model with a ``backbone``, or a backbone itself.
    inputs : ndarray of float32
        Images ``(n, h, w, c)`` in [0, 1], or rows ``(n, d)``.
    batch_size : int
        Examples computed at once.
    device : str
        As for `fit`.

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
    """
    check_domain("domain", domain)
    logits = predict(model, domain.inputs, device=device)
    return evaluate_logits(logits, domain.labels, domain.class_names)


def device_name(device):
    """Translate a device's name for TensorFlow; None lets TensorFlow choose."""
    if device == "auto":
        device = os.environ.get("TLCOURSE_DEVICE") or None
    if device is None or device == "mps":  # no TensorFlow device of this name
        return None
    name = str(device).upper().replace("CUDA", "GPU")
    kind = name.partition(":")[0]
    if kind not in ("CPU", "GPU") or not tf.config.list_physical_devices(kind):
        raise ValueError(
            f"device is {device!r}, which cannot be used here; use 'auto', 'cpu', or one that this "
            "computer has."
        )
    return name if ":" in name else f"{name}:0"


def _optimisers(model, lr, weight_decay):
    """Return (optimiser, peak rate, variables) for each learning rate."""
    found = named_layers(model)
    trainable = [name for name, layer in found.items() if layer.trainable_variables]
    optimisers = []
    for rate, names in group_by_rate(found, trainable, lr, "layer"):
        variables = [variable for name in names for variable in found[name].trainable_variables]
        optimiser = keras.optimizers.AdamW(rate, weight_decay=weight_decay, epsilon=1e-8)
        optimiser.build(variables)
        optimisers.append((optimiser, rate, variables))
    return optimisers


def _compiled_step(model, groups, train, loss, penalty, augment):
    """Compile one update: forward, loss, gradients, and each optimiser's step."""
    variables = [variable for _, _, members in groups for variable in members]

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, *train.inputs.shape[1:]), tf.float32),
            tf.TensorSpec((None,), tf.int64),
        ]
    )
    def update(inputs, labels):
        if augment is not None:
            inputs = augment(inputs)
        with tf.GradientTape() as tape:
            value = loss(model(inputs, training=True), labels)
            if penalty is not None:
                value += penalty(model)
        gradients = iter(tape.gradient(value, [variable.value for variable in variables]))
        for optimiser, _, members in groups:
            optimiser.apply([next(gradients) for _ in members], members)
        return value

    return update


def _record(history, mean_loss, model, validation):
    """Write down an epoch, and stop a training that has no future."""
    if not np.isfinite(mean_loss):
        raise DivergedError(
            f"the loss is {mean_loss} after {history.steps} updates; lower lr, or check the loss."
        )
    history.loss.append(mean_loss)
    if validation is not None:
        measured = evaluate(model, validation)
        history.validation_loss.append(measured.log_loss)
        history.validation_accuracy.append(measured.accuracy)
