"""The linear probe: how good are features, with nothing but a linear head on them.

Design choices
--------------
- The probe is scikit-learn's logistic regression, written into the model's head. So its optimum
  is exact, and the probed model is a model like any other.
"""

from tlcourse.keras.freezing import freeze
from tlcourse.keras.training import extract_features
from tlcourse.probing import logistic_head


def linear_probe(model, train, *, c=1.0, device="auto"):
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
    """
    if model.head.units != train.n_classes:
        raise ValueError(
            f"model's head has {model.head.units} outputs, but train {train.n_classes} classes; "
            "make the model by TransferModel(backbone, train.n_classes)."
        )
    features = extract_features(model, train.inputs, device=device)
    weight, bias = logistic_head(features, train.labels, train.class_names, c=c)
    freeze(model, "backbone")
    model.head.set_weights([weight.T, bias])
    return model
