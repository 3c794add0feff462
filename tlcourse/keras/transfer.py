"""Ways to adapt a pretrained model: fine-tune more or less of it, or probe its features.

Design choices
--------------
- The methods, budgets and results are those of the PyTorch door.
- A frozen backbone sees each image once; the linear probe is scikit-learn's.
"""

from time import perf_counter

import numpy as np

from tlcourse.checks import check_counts
from tlcourse.history import History
from tlcourse.keras.devices import keras
from tlcourse.keras.feature.probing import linear_probe
from tlcourse.keras.freezing import freeze, unfreeze
from tlcourse.keras.parameter.layers import layer_names, unfreeze_last
from tlcourse.keras.training import extract_features, fit


def fine_tune(model, train, validation=None, *, method="full", last=None, **fit_options):
    """Adapt a pretrained model to the target.

    Parameters
    ----------
    model : TransferModel
        Changed in place.
    train, validation : Domain
        Labelled target examples.
    method : {"full", "head", "last", "gradual", "lp-ft"}
        As in `tlcourse.torch.fine_tune`.
    last : int, optional
        For ``"last"``: how many layers, the head included (see `layer_names`).
    **fit_options
        Passed on to `fit`.

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
    return methods[method](model, train, validation, **fit_options)


def _train_all(model, train, validation, **fit_options):
    """Train everything."""
    unfreeze(model, "*")
    return fit(model, train, validation, **fit_options)


def _train_head(model, train, validation, *, augment=None, device="auto", **fit_options):
    """Train the head on features that are computed once."""
    if augment is not None:
        raise ValueError(
            "augment needs the images of each epoch anew, but method='head' computes features "
            "once; call freeze(model, 'backbone') and fit(model, ..., augment=...)."
        )
    freeze(model, "backbone")
    unfreeze(model, "head")
    start = perf_counter()
    domains = [
        domain and domain.with_inputs(extract_features(model, domain.inputs, device=device))
        for domain in (train, validation)
    ]
    extracting = perf_counter() - start
    features = keras.Input(model.backbone.output_shape[1:])
    history = fit(
        keras.Model(features, model.head(features)), *domains, device=device, **fit_options
    )
    history.seconds += extracting
    return history


def _train_last(model, train, validation, *, last, **fit_options):
    """Train the last layers and keep those below still."""
    unfreeze_last(model, last)
    return fit(model, train, validation, **fit_options)


def _train_gradually(
    model, train, validation, *, epochs=20, steps=None, batch_size=32, seed=0, **fit_options
):
    """Train the head, then one layer more in each phase."""
    check_counts(epochs=epochs, steps=steps, batch_size=batch_size)
    phases = len(layer_names(model))
    total = epochs * -(-len(train) // batch_size) if steps is None else steps
    if total < phases:
        raise ValueError(
            f"{total} updates are too few for {phases} phases, one for each layer; give more "
            "epochs or steps."
        )
    whole = History()
    for phase, share in enumerate(np.array_split(np.arange(total), phases)):
        unfreeze_last(model, phase + 1)
        part = fit(
            model,
            train,
            validation,
            steps=len(share),
            batch_size=batch_size,
            seed=seed + phase,
            **fit_options,
        )
        if part.best_epoch is not None:
            whole.best_epoch = len(whole.loss) + part.best_epoch
        for name in ("loss", "validation_loss", "validation_accuracy"):
            getattr(whole, name).extend(getattr(part, name))
        whole.steps += part.steps
        whole.seconds += part.seconds
    whole.trained_parameters, whole.device = part.trained_parameters, part.device
    return whole


def _probe_then_train(model, train, validation, *, device="auto", **fit_options):
    """Set the head by logistic regression, then train everything."""
    start = perf_counter()
    linear_probe(model, train, device=device)
    probing = perf_counter() - start
    history = _train_all(model, train, validation, device=device, **fit_options)
    history.seconds += probing
    return history
