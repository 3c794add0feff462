"""The linear probe: how good are features, with nothing but a linear head on them.

Design choices
--------------
- The probe is scikit-learn's logistic regression, written into the model's head. So its optimum
  is exact, and the probed model is a model like any other.
"""

import torch

from tlcourse.probing import logistic_head
from tlcourse.torch.freezing import freeze
from tlcourse.torch.training import extract_features


def linear_probe(model, train, *, c=1.0, device="auto"):
    """Replace the head by logistic regression on the frozen features of the target.

    Features are standardised; the scaling is folded into the head's weights.

    Parameters
    ----------
    model : TransferModel
        Its backbone is frozen and its head overwritten.
    train : Domain
        Labelled target examples, at least one of each class.
    c : float
        scikit-learn's inverse strength of the L2 penalty.
    device : str
        See `choose_device`.

    Returns
    -------
    TransferModel
        The same model, in evaluation mode.

    Raises
    ------
    ValueError
        If a class has no example, ``c`` is not positive, or the head has other classes.
    """
    if model.head.out_features != train.n_classes:
        raise ValueError(
            f"model's head has {model.head.out_features} outputs, but train has {train.n_classes} "
            "classes; make the model by TransferModel(backbone, train.n_classes)."
        )
    features = extract_features(model, train.inputs, device=device)
    weight, bias = logistic_head(features, train.labels, train.class_names, c=c)
    freeze(model, "backbone")
    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(weight))
        model.head.bias.copy_(torch.from_numpy(bias))
    return model.eval()
