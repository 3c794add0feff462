"""Logistic regression on frozen features, as the weights of a linear head.

Design choices
--------------
- scikit-learn finds the optimum; both doors only write it into their heads.
- Features are standardised for the solver, and the scaling is folded into the weights.
"""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def logistic_head(features, labels, class_names, *, c=1.0):
    """Fit a linear head by logistic regression.

    Parameters
    ----------
    features : ndarray, shape (n, d)
        Frozen features.
    labels : ndarray of int, shape (n,)
        At least one example of each class.
    class_names : sequence of str
        Names of the k classes.
    c : float
        scikit-learn's inverse strength of the L2 penalty, on standardised features.

    Returns
    -------
    weight : ndarray, shape (k, d)
    bias : ndarray, shape (k,)
        Logits are ``features @ weight.T + bias``.

    Raises
    ------
    ValueError
        If a class has no example or ``c`` is not positive.
    """
    missing = np.setdiff1d(np.arange(len(class_names)), labels)
    if len(missing):
        raise ValueError(
            f"train has no example of class {class_names[missing[0]]!r}; a probe needs at least "
            "one of each class."
        )
    if not c > 0:
        raise ValueError(f"c is {c!r}; it must be > 0.")
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=2000))
    probe.fit(features, labels)
    scaler, regression = probe
    weight, bias = regression.coef_, regression.intercept_
    if len(class_names) == 2:  # scikit-learn gives the second class's log-odds only
        weight, bias = np.vstack([-weight, weight]) / 2, np.hstack([-bias, bias]) / 2
    weight = weight / scaler.scale_
    return weight, bias - weight @ scaler.mean_
