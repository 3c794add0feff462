"""The linear probe: how good are features, with nothing but a linear head on them.

Design choices
--------------
- The probe is scikit-learn's logistic regression, written into the model's head. So its optimum
  is exact, and the probed model is a model like any other.
"""

from __future__ import annotations

from tlcourse.data import Domain
from tlcourse.keras.freezing import freeze
from tlcourse.keras.models import TransferModel
from tlcourse.keras.training import extract_features
from tlcourse.methods import check_outputs
from tlcourse.probing import logistic_head


def linear_probe(
    model: TransferModel, train: Domain, *, c: float = 1.0, device: str = "auto"
) -> TransferModel:
    """Replace the head by logistic regression on the frozen features of the target.

    Parameters
    ----------
    model : TransferModel
        Its backbone is frozen and its head overwritten.
    train : Domain
        Labelled target examples, at least one of each class.
    c : float
        scikit-learn's inverse strength of the L2 penalty.
    device : str
        As for `fit`.

    Returns
    -------
    TransferModel
        The same model.

    Raises
    ------
    ValueError
        If a class has no example, ``c`` is not positive, or the head has other classes.

    Examples
    --------
    >>> import tlcourse.keras as tl
    >>> from tlcourse import data
    >>> digits = data.load("handwritten-digits", n=200)
    >>> model = tl.TransferModel(tl.backbone("small-cnn", weights="letters"), 10)
    >>> tl.evaluate(tl.linear_probe(model, digits), digits).accuracy > 0.9
    True
    """
    check_outputs(model.head.units, train)
    features = extract_features(model, train.inputs, device=device)
    weight, bias = logistic_head(features, train.labels, train.class_names, c=c)
    freeze(model, "backbone")
    model.head.set_weights([weight.T, bias])
    return model
