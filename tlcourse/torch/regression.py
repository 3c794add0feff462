"""Numbers instead of classes as targets: ridge regression on frozen features, and fine-tuning.

Design choices
--------------
- A `Domain` has classes; here inputs and values are plain arrays.
- The model knows mean and scale of its training values, so one learning rate suits grams and
  light-years, and its outputs are in the values' own units.
- Fine-tuning is `fit`: each example's "label" is its row number, and the loss looks its values up.
"""

import numpy as np
import torch
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from tlcourse.checks import check_features
from tlcourse.data import Domain
from tlcourse.torch.devices import seeded
from tlcourse.torch.freezing import freeze
from tlcourse.torch.training import extract_features, fit

_ALPHAS = np.logspace(-3, 6, 19)


class RegressionModel(nn.Module):
    """A backbone and a linear head for one or more numbers.

    Parameters
    ----------
    backbone : Backbone or torch.nn.Module
        Any module with ``feature_dim``. It is used, not copied.
    values : ndarray of float, shape (n,) or (n, m)
        Training values, from which it takes their number m, mean and scale.
    seed : int
        Seed of the head's start.

    Raises
    ------
    TypeError
        If the backbone has no ``feature_dim`` or the values are no numbers.
    ValueError
        If values are not finite, fewer than 2, or a column is constant.
    """

    def __init__(self, backbone, values, *, seed=0):
        super().__init__()
        if not isinstance(getattr(backbone, "feature_dim", None), int):
            raise TypeError(f"backbone is a {type(backbone).__name__} without feature_dim.")
        columns = _columns(values)
        if not np.ptp(columns, axis=0).all():
            raise ValueError("values are constant in a column; there is nothing to learn: drop it.")
        self.backbone = backbone
        with seeded(seed):
            self.head = nn.Linear(backbone.feature_dim, columns.shape[1])
        for name, numbers in (("mean", columns.mean(axis=0)), ("scale", columns.std(axis=0))):
            self.register_buffer(name, torch.tensor(numbers, dtype=torch.float32))

    def forward(self, inputs):
        """Map inputs to values ``(n, m)`` in their own units."""
        return self.head(self.backbone(inputs)) * self.scale + self.mean


def ridge_probe(model, inputs, values, *, device="auto"):
    """Replace the head by ridge regression on the frozen features.

    The strength of the penalty is chosen by leave-one-out error on the training examples, on
    standardised features; the scaling is folded into the head's weights.

    Parameters
    ----------
    model : RegressionModel
        Its backbone is frozen and its head overwritten.
    inputs : ndarray of float32, shape (n, h, w, c) or (n, d)
        Training inputs.
    values : ndarray of float, shape (n,) or (n, m)
        Training values.
    device : str
        See `choose_device`.

    Returns
    -------
    RegressionModel
        The same model, in evaluation mode; `predict` gives values ``(n, m)``.

    Raises
    ------
    TypeError, ValueError
        If values do not fit the inputs or the model.
    """
    columns = _check(model, inputs, values)
    features = extract_features(model.backbone, inputs, device=device).astype(np.float64)
    mean, scale = (buffer.double().cpu().numpy() for buffer in (model.mean, model.scale))
    probe = make_pipeline(StandardScaler(), RidgeCV(_ALPHAS))
    scaler, ridge = probe.fit(features, (columns - mean) / scale)
    weight = np.atleast_2d(ridge.coef_) / scaler.scale_  # (m, d)
    freeze(model, "backbone")
    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(weight))
        model.head.bias.copy_(torch.from_numpy(ridge.intercept_ - weight @ scaler.mean_))
    return model.eval()


def fit_regression(model, inputs, values, **fit_options):
    """Train what is not frozen by the mean squared error, each column in units of its scale.

    Call `ridge_probe` first, then ``unfreeze(model, "*")``, and the head need not be found anew.

    Parameters
    ----------
    model : RegressionModel
        Changed in place.
    inputs : ndarray of float32, shape (n, h, w, c) or (n, d)
        Training inputs.
    values : ndarray of float, shape (n,) or (n, m)
        Training values.
    **fit_options
        Passed on to `fit`: ``epochs``, ``steps``, ``lr``, ``augment``, ``seed``, ...

    Returns
    -------
    History
        ``loss`` is the squared error in units of the training values' variance: 1 is as good as
        always predicting their mean.

    Raises
    ------
    TypeError, ValueError
        If values do not fit the inputs or the model.
    """
    columns = torch.tensor(_check(model, inputs, values), dtype=torch.float32)
    rows = Domain("regression", inputs, np.arange(len(columns)), range(len(columns)))

    def squared_error(predicted, labels):
        wanted = columns.to(predicted.device)[labels]
        return ((predicted - wanted) / model.scale).square().mean()

    return fit(model, rows, loss=squared_error, **fit_options)


def _columns(values):
    """Return values as finite float64 columns (n, m), at least 2 rows."""
    values = np.asarray(values)
    return check_features("values", values[:, None] if values.ndim == 1 else values)


def _check(model, inputs, values):
    """Refuse values that do not fit; return them as columns (n, m)."""
    if not isinstance(model, RegressionModel):
        raise TypeError(f"model is a {type(model).__name__}; give a RegressionModel.")
    columns = _columns(values)
    if columns.shape != (len(inputs), len(model.mean)):
        raise ValueError(
            f"values have shape {np.shape(values)}; {len(inputs)} inputs and this model need "
            f"({len(inputs)}, {len(model.mean)})."
        )
    return columns
