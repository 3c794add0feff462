"""Regression: the ridge probe against scikit-learn, fine-tuning, units, and refused values."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

import tlcourse.torch as tl
from tlcourse.torch.regression import RegressionModel, fit_regression, ridge_probe

RNG = np.random.default_rng(0)
INPUTS = RNG.random((80, 32, 32, 1), dtype=np.float32) * RNG.random((80, 1, 1, 1), np.float32)
INK = INPUTS.mean(axis=(1, 2, 3)).astype(np.float64)


class Same(torch.nn.Module):
    """Rows as their own features."""

    def __init__(self, feature_dim):
        super().__init__()
        self.feature_dim = feature_dim

    def forward(self, rows):
        return rows


def test_the_ridge_probe_is_the_best_of_scikit_learns_by_leave_one_out():
    rows = RNG.normal(size=(40, 8)).astype(np.float32) * 3 + 1
    values = rows @ RNG.normal(size=(8, 2)) + 5 * RNG.normal(size=(40, 2)) + [100, -3]
    model = ridge_probe(RegressionModel(Same(8), values), rows, values)
    x = StandardScaler().fit_transform(rows.astype(float))
    y = StandardScaler().fit_transform(values)

    def left_out(alpha):
        return np.mean([
            (Ridge(alpha).fit(np.delete(x, i, 0), np.delete(y, i, 0)).predict(x[i:i + 1])
             - y[i]) ** 2 for i in range(40)])

    best = min(np.logspace(-3, 6, 19), key=left_out)
    wanted = Ridge(best).fit(x, y).predict(x) * values.std(axis=0) + values.mean(axis=0)
    np.testing.assert_allclose(tl.predict(model, rows), wanted, rtol=1e-4, atol=1e-4)


def test_a_probe_of_frozen_features_finds_the_ink_and_moves_no_backbone():
    net = tl.backbone("small-cnn", weights="letters")
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    model = ridge_probe(RegressionModel(net, INK[:60]), INPUTS[:60], INK[:60])
    found = tl.predict(model, INPUTS[60:])
    assert found.shape == (20, 1)
    assert np.corrcoef(found[:, 0], INK[60:])[0, 1] > 0.95
    fit_regression(model, INPUTS[:60], INK[:60], steps=3)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e9])
def test_units_do_not_matter(unit):
    losses = []
    for scale in (1.0, unit):
        values = scale * (INK + 3)
        model = RegressionModel(tl.backbone("small-cnn"), values)
        history = fit_regression(model, INPUTS, values, steps=30, lr=3e-3)
        losses.append(history.loss[-1])
        assert tl.predict(model, INPUTS).mean() == pytest.approx(values.mean(), rel=0.1)
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert losses[0] < 0.5 < history.loss[0]


def test_the_loss_is_one_for_the_mean_and_each_value_meets_its_own_input():
    values = np.stack([INK, -1000 * INK], axis=1)
    model = RegressionModel(tl.backbone("small-cnn"), values)
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.zero_()
    tl.freeze(model, "backbone", "head.weight")
    history = fit_regression(model, INPUTS, values, epochs=1, batch_size=80, lr=1e-9)
    assert history.loss[0] == pytest.approx(1, rel=1e-3)
    perfect = RegressionModel(Same(1), INK)
    with torch.no_grad():
        perfect.head.weight.fill_(1 / INK.std())
        perfect.head.bias.fill_(-INK.mean() / INK.std())
    rows = INK[:, None].astype(np.float32)
    assert fit_regression(perfect, rows, INK, steps=1, lr=1e-9).loss[0] < 1e-9


@pytest.mark.parametrize(("make", "error", "reason"), [
    (lambda: RegressionModel(torch.nn.Identity(), INK), TypeError, "without feature_dim"),
    (lambda: RegressionModel(Same(3), np.ones(5)), ValueError, "constant"),
    (lambda: RegressionModel(Same(3), [1.0, np.nan]), ValueError, "NaN"),
    (lambda: RegressionModel(Same(3), ["a", "b"]), TypeError, "real numbers"),
    (lambda: ridge_probe(Same(3), INPUTS, INK), TypeError, "give a RegressionModel"),
    (lambda: ridge_probe(RegressionModel(Same(3), INK), np.ones((5, 3)), INK), ValueError,
     "values have shape"),
    (lambda: fit_regression(RegressionModel(Same(3), INK), np.ones((80, 3)),
                            np.stack([INK, INK], axis=1)), ValueError, r"need \(80, 1\)"),
])
def test_bad_arguments_are_refused(make, error, reason):
    with pytest.raises(error, match=reason):
        make()
