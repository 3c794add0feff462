"""Losses for rare classes and wrong labels: against formulas written in NumPy, and on data."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

import tlcourse.torch as tl
from tlcourse.data import Domain
from tlcourse.data.perturbing import corrupt_labels
from tlcourse.torch.target.losses import (
    SmallLoss,
    adjust_logits,
    class_balanced_loss,
    logit_adjusted_loss,
)

COUNTS = np.array([500, 40, 3])
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(20, 3))
LABELS = RNG.integers(0, 3, 20)


def by_example(logits=LOGITS):
    return -log_softmax(logits, axis=1)[np.arange(len(LABELS)), LABELS]


def value(loss, logits=LOGITS):
    return loss(torch.tensor(logits), torch.tensor(LABELS)).item()


def clusters(counts, *, spread=1.0, seed=0):
    """Draw points around one centre for each class."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    centres = np.array([[0, 0], [1.5, 0], [0, 1.5]])
    rows = (centres[labels] + spread * rng.normal(size=(len(labels), 2))).astype(np.float32)
    return Domain("clusters", rows, labels, tuple("abc"))


def trained(train, loss, *, steps=300, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = torch.nn.Sequential(torch.nn.Linear(2, 32), torch.nn.ReLU(), torch.nn.Linear(32, 3))
    tl.fit(net, train, steps=steps, lr=1e-2, loss=loss, batch_size=64, seed=seed)
    return net


# ---- class-balanced loss


@pytest.mark.parametrize("beta", [0.9, 0.999, 1 - 1e-9])
def test_class_balanced_loss_is_the_papers_formula(beta):
    weights = (1 - beta) / (1 - beta ** COUNTS.astype(np.longdouble))
    weights = weights * 3 / weights.sum()
    wanted = (weights[LABELS] * by_example()).mean()
    assert value(class_balanced_loss(COUNTS, beta=beta)) == pytest.approx(float(wanted), rel=1e-5)


def test_class_balanced_loss_runs_from_no_weights_to_inverse_counts():
    assert value(class_balanced_loss(COUNTS, beta=0)) == pytest.approx(by_example().mean())
    inverse = 1 / COUNTS * 3 / (1 / COUNTS).sum()
    assert value(class_balanced_loss(COUNTS, beta=1 - 1e-12)) == pytest.approx(
        (inverse[LABELS] * by_example()).mean(), rel=1e-5
    )


# ---- logit adjustment


def test_logit_adjusted_loss_is_the_papers_formula():
    wanted = by_example(LOGITS + 0.7 * np.log(COUNTS / 543)).mean()
    assert value(logit_adjusted_loss(COUNTS, tau=0.7)) == pytest.approx(wanted, rel=1e-6)
    assert value(logit_adjusted_loss(COUNTS, tau=0)) == pytest.approx(by_example().mean())


def test_adjusted_logits_of_the_prior_are_flat():
    rows = np.log(np.tile(COUNTS / 543, (4, 1))).astype(np.float32)
    flat = adjust_logits(rows, COUNTS)
    np.testing.assert_allclose(flat, 0, atol=1e-6)
    assert flat.dtype == np.float32


def test_both_adjustments_and_balancing_help_the_rare_class():
    train, test = clusters([600, 60, 12]), clusters([300, 300, 300], seed=1)
    counts = np.bincount(train.labels)
    plain = trained(train, torch.nn.functional.cross_entropy)
    logits = tl.predict(plain, test.inputs)
    rare = tl.evaluate(plain, test)
    post_hoc = np.mean(adjust_logits(logits, counts).argmax(axis=1) == test.labels)
    assert post_hoc > rare.accuracy + 0.1
    for loss in (class_balanced_loss(counts), logit_adjusted_loss(counts)):
        found = tl.evaluate(trained(train, loss), test)
        assert found.recall[2] > rare.recall[2] + 0.2
        assert found.balanced_accuracy > rare.balanced_accuracy + 0.05


# ---- small losses


def test_small_loss_leaves_out_the_largest_and_ever_more_of_them():
    loss, losses = SmallLoss(0.5, warm_up=2), np.sort(by_example())
    for kept in (20, 15, 10, 10):
        assert value(loss) == pytest.approx(losses[:kept].mean())
    assert loss.updates == 4


def test_left_out_examples_have_no_gradient():
    logits = torch.tensor(LOGITS, requires_grad=True)
    loss = SmallLoss(0.5, warm_up=1)
    loss.updates = 1
    loss(logits, torch.tensor(LABELS)).backward()
    moved = logits.grad.abs().sum(dim=1) > 0
    np.testing.assert_array_equal(moved.numpy(), by_example() <= np.sort(by_example())[9])


def test_trimming_resists_wrong_labels_that_a_net_would_memorise():
    gains = []
    for seed in range(3):
        train = corrupt_labels(clusters([60] * 3, spread=0.35, seed=seed), 0.4, seed=seed)
        test = clusters([300] * 3, spread=0.35, seed=9)
        plain, trimmed = (
            tl.evaluate(trained(train, loss, steps=1000, seed=seed), test).accuracy
            for loss in (torch.nn.functional.cross_entropy, SmallLoss(0.4))
        )
        gains.append(trimmed - plain)
    assert np.mean(gains) > 0.02


def test_label_smoothing_is_pytorchs_own():
    smooth = partial(torch.nn.functional.cross_entropy, label_smoothing=0.1)
    wanted = 0.9 * by_example().mean() - 0.1 * log_softmax(LOGITS, axis=1).mean()
    assert value(smooth) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("make", "error", "reason"),
    [
        (lambda: class_balanced_loss([5, 0]), ValueError, "a class without any example"),
        (lambda: class_balanced_loss([5.0, 2.0]), TypeError, "np.bincount"),
        (lambda: class_balanced_loss([5]), ValueError, "at least 2 classes"),
        (lambda: class_balanced_loss([5, 2], beta=1), ValueError, "beta is 1"),
        (lambda: logit_adjusted_loss([5, 2], tau=-1), ValueError, "tau is -1"),
        (lambda: adjust_logits(LOGITS, [5, 2]), ValueError, r"give logits \(n, 2\)"),
        (lambda: SmallLoss(1.0), ValueError, "trim is 1.0"),
        (lambda: SmallLoss(0.2, warm_up=0), ValueError, "warm_up is 0"),
    ],
)
def test_bad_arguments_are_refused(make, error, reason):
    with pytest.raises(error, match=reason):
        make()
