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
    for seed in range(4):  # seeds 0 to 11 gain 0.025 on average, and each some
        train = corrupt_labels(clusters([60] * 3, spread=0.35, seed=seed), 0.3, seed=seed)
        test = clusters([300] * 3, spread=0.35, seed=9)
        plain, trimmed = (
            tl.evaluate(trained(train, loss, steps=1000, seed=seed), test).accuracy
            for loss in (torch.nn.functional.cross_entropy, SmallLoss(0.3))
        )
        gains.append(trimmed - plain)
    assert np.mean(gains) > 0.01


def test_label_smoothing_is_pytorchs_own():
    smooth = partial(torch.nn.functional.cross_entropy, label_smoothing=0.1)
    wanted = 0.9 * by_example().mean() - 0.1 * log_softmax(LOGITS, axis=1).mean()
    assert value(smooth) == pytest.approx(wanted)


def test_usual_strengths_are_the_documented_ones():
    weights = 0.001 / (1 - 0.999**COUNTS)
    weights = weights * 3 / weights.sum()
    wanted = (weights[LABELS] * by_example()).mean()
    assert value(class_balanced_loss(COUNTS)) == pytest.approx(wanted, rel=1e-6)
    wanted = by_example(LOGITS + np.log(COUNTS / 543)).mean()
    assert value(logit_adjusted_loss(COUNTS)) == pytest.approx(wanted, rel=1e-6)
    np.testing.assert_allclose(adjust_logits(LOGITS, COUNTS), LOGITS - np.log(COUNTS / 543))
    loss = SmallLoss(0.8)
    loss.updates = 50  # half of the usual 100
    assert value(loss) == pytest.approx(np.sort(by_example())[:12].mean())
    loss = SmallLoss(0.51)
    loss.updates = 54  # 0.2754 left out of 20 examples: 14.49 kept
    assert value(loss) == pytest.approx(np.sort(by_example())[:14].mean())


def test_logits_are_adjusted_by_the_asked_strength_in_their_own_type_and_not_in_place():
    kept = LOGITS.copy()
    for dtype in (np.float64, np.float32):
        adjusted = adjust_logits(LOGITS.astype(dtype), COUNTS.tolist(), tau=0.3)
        np.testing.assert_allclose(adjusted, LOGITS - 0.3 * np.log(COUNTS / 543), rtol=1e-5)
        assert adjusted.dtype == dtype
    np.testing.assert_array_equal(LOGITS, kept)


@pytest.mark.parametrize(
    "loss",
    [class_balanced_loss(COUNTS), logit_adjusted_loss(COUNTS, tau=0.5), SmallLoss(0.3, warm_up=1)],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_losses_keep_the_type_and_their_gradients_are_finite_differences(loss, dtype):
    if isinstance(loss, SmallLoss):
        loss.updates = 1  # from now on the share stays
    logits = torch.tensor(LOGITS, dtype=dtype, requires_grad=True)
    labels = torch.tensor(LABELS)
    assert loss(logits, labels).dtype == dtype and loss(logits, labels).ndim == 0
    if dtype == torch.float64:
        assert torch.autograd.gradcheck(lambda rows: loss(rows, labels), logits)


@pytest.mark.parametrize(
    ("trim", "n", "kept"), [(0.33, 20, 13), (0.37, 20, 13), (0.99, 3, 1), (0, 20, 20)]
)
def test_the_kept_number_is_rounded_and_at_least_one(trim, n, kept):
    loss = SmallLoss(trim, warm_up=1)
    loss(torch.tensor(LOGITS[:n]), torch.tensor(LABELS[:n]))
    found = loss(torch.tensor(LOGITS[:n]), torch.tensor(LABELS[:n])).item()
    assert found == pytest.approx(np.sort(by_example()[:n])[:kept].mean())


def test_one_example_of_each_of_two_classes_is_enough():
    logits, labels = torch.tensor(LOGITS[:4, :2]), torch.tensor([0, 1, 1, 0])
    plain = torch.nn.functional.cross_entropy(logits, labels).item()
    for loss in (class_balanced_loss([1, 1]), logit_adjusted_loss([1, 1])):
        assert loss(logits, labels).item() == pytest.approx(plain)


INTEGERS = "; give integers: np.bincount(labels, minlength=k)."
A_CLASS = (
    "; give one number >= 1 for each of at least 2 classes: a class without any example cannot be "
    "weighed."
)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: class_balanced_loss([5, 0]), ValueError, "counts are [5, 0]" + A_CLASS),
        (lambda: class_balanced_loss([5]), ValueError, "counts are [5]" + A_CLASS),
        (lambda: class_balanced_loss([[5, 5]]), ValueError, "counts are [[5, 5]]" + A_CLASS),
        (
            lambda: class_balanced_loss([5.0, 2.0]),
            TypeError,
            "counts have dtype float64" + INTEGERS,
        ),
        (lambda: logit_adjusted_loss([True, True]), TypeError, "counts have dtype bool" + INTEGERS),
        (
            lambda: class_balanced_loss([5, 2], beta=1),
            ValueError,
            "beta is 1; it must be at least 0 and below 1, such as 0.999.",
        ),
        (
            lambda: class_balanced_loss([5, 2], beta=-0.1),
            ValueError,
            "beta is -0.1; it must be at least 0 and below 1, such as 0.999.",
        ),
        (
            lambda: logit_adjusted_loss([5, 2], tau=-1),
            ValueError,
            "tau is -1; give a finite number >= 0.",
        ),
        (
            lambda: adjust_logits(LOGITS, [5, 2], tau=-1),
            ValueError,
            "tau is -1; give a finite number >= 0.",
        ),
        (
            lambda: adjust_logits(LOGITS, [5, 2]),
            ValueError,
            "logits have shape (20, 3) and counts 2 classes; give logits (n, 2).",
        ),
        (
            lambda: adjust_logits(LOGITS[0], [5, 2, 2]),
            ValueError,
            "logits have shape (3,) and counts 3 classes; give logits (n, 3).",
        ),
        (
            lambda: adjust_logits(LOGITS[None], [5] * 20),
            ValueError,
            "logits have shape (1, 20, 3) and counts 20 classes; give logits (n, 20).",
        ),
        (
            lambda: SmallLoss(1.0),
            ValueError,
            "trim is 1.0; it must be at least 0 and below 1.",
        ),
        (
            lambda: SmallLoss(-0.1),
            ValueError,
            "trim is -0.1; it must be at least 0 and below 1.",
        ),
        (
            lambda: SmallLoss(0.2, warm_up=0),
            ValueError,
            "warm_up is 0; it must be an integer >= 1.",
        ),
        (
            lambda: SmallLoss(0.2, warm_up=1.5),
            ValueError,
            "warm_up is 1.5; it must be an integer >= 1.",
        ),
    ],
)
def test_bad_arguments_are_refused(make, error, message):
    with pytest.raises(error) as raised:
        make()
    assert str(raised.value) == message
