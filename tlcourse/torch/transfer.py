"""The first two ways to transfer: fine-tune a pretrained model, or probe its features.

Design choices
--------------
- A frozen backbone sees each image once: its features are kept, and only the head is trained on
  them.
- The linear probe is scikit-learn's logistic regression, written into the model's head. So its
  optimum is exact, and the probed model is a model like any other.
"""

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tlcourse.torch.freezing import freeze, unfreeze
from tlcourse.torch.training import extract_features, fit


def fine_tune(model, train, validation=None, *, method="full", **fit_options):
    """Adapt a pretrained model to the target.

    Parameters
    ----------
    model : TransferModel
        Changed in place.
    train, validation : Domain
        Labelled target examples.
    method : {"full", "head"}
        ``"full"`` trains everything; ``"head"`` keeps the backbone frozen, computes its features
        once, and trains the head on them.
    **fit_options
        Passed on to `fit`.

    Returns
    -------
    History

    Raises
    ------
    ValueError
        If the method is unknown.
    """
    if method == "full":
        unfreeze(model, "*")
        return fit(model, train, validation, **fit_options)
    if method == "head":
        return _train_head(model, train, validation, **fit_options)
    raise ValueError(f"method is {method!r}; it must be 'full' or 'head'.")


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
        If a class has no example, or ``c`` is not positive.
    """
    missing = np.setdiff1d(np.arange(train.n_classes), train.labels)
    if len(missing):
        raise ValueError(
            f"train has no example of class {train.class_names[missing[0]]!r}; a probe needs at "
            "least one of each class."
        )
    if not c > 0:
        raise ValueError(f"c is {c!r}; it must be > 0.")
    features = extract_features(model, train.inputs, device=device)
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=2000))
    probe.fit(features, train.labels)
    scaler, regression = probe
    weight, bias = regression.coef_, regression.intercept_
    if train.n_classes == 2:  # scikit-learn gives the second class's log-odds only
        weight, bias = np.vstack([-weight, weight]) / 2, np.hstack([-bias, bias]) / 2
    weight = weight / scaler.scale_
    bias = bias - weight @ scaler.mean_
    freeze(model, "backbone")
    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(weight))
        model.head.bias.copy_(torch.from_numpy(bias))
    return model.eval()


def _train_head(model, train, validation, *, augment=None, device="auto", **fit_options):
    """Train the head on features that are computed once."""
    if augment is not None:
        raise ValueError(
            "augment needs the images of each epoch anew, but method='head' computes features "
            "once; call freeze(model, 'backbone') and fit(model, ..., augment=...)."
        )
    freeze(model, "backbone")
    unfreeze(model, "head")
    domains = [
        domain and domain.with_inputs(extract_features(model, domain.inputs, device=device))
        for domain in (train, validation)
    ]
    return fit(model.head, *domains, device=device, **fit_options)
