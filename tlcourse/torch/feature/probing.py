"""The linear probe: how good are features, with nothing but a linear head on them.

Design choices
--------------
- The probe is scikit-learn's logistic regression, written into the model's head. So its optimum
  is exact, and the probed model is a model like any other.
"""

from __future__ import annotations

import torch

from tlcourse.data import Domain
from tlcourse.methods import check_outputs
from tlcourse.probing import logistic_head
from tlcourse.torch.freezing import freeze
from tlcourse.torch.models import TransferModel
from tlcourse.torch.training import extract_features


def linear_probe(
    model: TransferModel, train: Domain, *, c: float = 1.0, device: str = "auto"
) -> TransferModel:
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

    Examples
    --------
    >>> import tlcourse.torch as tl
    >>> from tlcourse import data
    >>> digits = data.load("handwritten-digits", n=200)
    >>> model = tl.TransferModel(tl.backbone("small-cnn", weights="letters"), 10)
    >>> tl.evaluate(tl.linear_probe(model, digits), digits).accuracy > 0.9
    True
    """
    check_outputs(model.head.out_features, train)
    features = extract_features(model, train.inputs, device=device)
    weight, bias = logistic_head(features, train.labels, train.class_names, c=c)
    freeze(model, "backbone")
    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(weight))
        model.head.bias.copy_(torch.from_numpy(bias))
    return model.eval()
