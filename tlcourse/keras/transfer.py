"""Ways to adapt a pretrained model: fine-tune more or less of it, or probe its features.

Design choices
--------------
- The methods stand in `tlcourse.methods`, once for both doors; here are the verbs they are made of.
- A head that learns alone is a small model of its own, which shares the head's parameters.
"""

from __future__ import annotations

from typing import Any

from tlcourse import methods
from tlcourse.data import Domain
from tlcourse.history import History
from tlcourse.keras.devices import keras
from tlcourse.keras.feature.probing import linear_probe
from tlcourse.keras.freezing import freeze_batch_norm as hold_batch_norm
from tlcourse.keras.freezing import unfreeze
from tlcourse.keras.models import TransferModel
from tlcourse.keras.parameter.layers import layer_names, unfreeze_last
from tlcourse.keras.training import extract_features, fit, predict


def _head_of(model: TransferModel) -> keras.Model:
    """Make the head alone a model from features to logits."""
    features = keras.Input(model.backbone.output_shape[1:])
    return keras.Model(features, model.head(features))


DOOR = methods.Door(
    fit=fit,
    predict=predict,
    extract_features=extract_features,
    head_of=_head_of,
    linear_probe=linear_probe,
    unfreeze=unfreeze,
    freeze_batch_norm=hold_batch_norm,
    unfreeze_last=unfreeze_last,
    layer_names=layer_names,
)


def fine_tune(
    model: TransferModel,
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
    model : TransferModel
        Changed in place.
    train, validation : Domain
        Labelled target examples.
    method : {"full", "head", "last", "gradual", "lp-ft"}
        As in `tlcourse.torch.fine_tune`.
    last : int, optional
        For ``"last"``: how many layers, the head included (see `layer_names`).
    freeze_batch_norm : bool
        Whether BatchNorm layers stay as they are while the weights around them learn: their
        statistics, scale and shift. With few pictures in a batch this is often the safer choice.
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

    Examples
    --------
    >>> import tlcourse.keras as tl
    >>> from tlcourse import data
    >>> digits = data.load("handwritten-digits", n=60)
    >>> model = tl.TransferModel(tl.backbone("small-cnn", weights="letters"), 10)
    >>> tl.fine_tune(model, digits, method="last", last=1, steps=2).trained_parameters
    1290
    """
    return methods.fine_tune(
        DOOR,
        model,
        train,
        validation,
        method=method,
        last=last,
        freeze_batch_norm=freeze_batch_norm,
        **fit_options,
    )
