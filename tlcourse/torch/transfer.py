"""Ways to adapt a pretrained model: fine-tune more or less of it, or probe its features.

Design choices
--------------
- The methods stand in `tlcourse.methods`, once for both doors; here are the verbs they are made of.
"""

from __future__ import annotations

from typing import Any

from tlcourse import methods
from tlcourse.data import Domain
from tlcourse.history import History
from tlcourse.torch.feature.probing import linear_probe
from tlcourse.torch.freezing import freeze_batch_norm as hold_batch_norm
from tlcourse.torch.freezing import unfreeze
from tlcourse.torch.models import TransferModel
from tlcourse.torch.parameter.layers import layer_names, unfreeze_last
from tlcourse.torch.training import extract_features, fit, predict

DOOR = methods.Door(
    fit=fit,
    predict=predict,
    extract_features=extract_features,
    linear_probe=linear_probe,
    unfreeze=unfreeze,
    freeze_batch_norm=hold_batch_norm,
    unfreeze_last=unfreeze_last,
    layer_names=layer_names,
    head_of=lambda model: model.head,
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
        ``"full"`` trains everything. ``"head"`` keeps the backbone frozen, computes its features
        once, and trains the head on them. ``"last"`` trains the last layers. ``"gradual"`` trains
        in phases: the head first, then in each phase one layer more; the updates are shared
        out equally and each phase has its own learning-rate cycle. ``"lp-ft"`` sets the head by
        `linear_probe`, then trains everything.
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

    References
    ----------
    "gradual": Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification",
    ACL 2018, section 3.3. "lp-ft": Kumar, Raghunathan, Jones, Ma and Liang, "Fine-Tuning can
    Distort Pretrained Features and Underperform Out-of-Distribution", ICLR 2022.

    Examples
    --------
    >>> import tlcourse.torch as tl
    >>> from tlcourse import data
    >>> digits = data.load("handwritten-digits", n=60)
    >>> model = tl.TransferModel(tl.backbone("small-cnn", weights="letters"), 10)
    >>> tl.fine_tune(model, digits, method="last", last=1, steps=2).trained_parameters
    1290
    """
    history = methods.fine_tune(
        DOOR,
        model,
        train,
        validation,
        method=method,
        last=last,
        freeze_batch_norm=freeze_batch_norm,
        **fit_options,
    )
    model.eval()
    return history
