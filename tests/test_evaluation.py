"""Accuracy, recall, confusion and log loss, against scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics

from tlcourse.evaluation import evaluate_logits


@pytest.fixture
def scored():
    rng = np.random.default_rng(0)
    return rng.normal(size=(200, 4)) * 3, rng.choice(4, size=200, p=[0.6, 0.2, 0.15, 0.05])


def test_every_number_agrees_with_scikit_learn(scored):
    logits, labels = scored
    result = evaluate_logits(logits, labels, list("abcd"))
    predicted = logits.argmax(axis=1)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_array_equal(result.confusion, metrics.confusion_matrix(labels, predicted))
    assert result.accuracy == pytest.approx(metrics.accuracy_score(labels, predicted))
    assert result.balanced_accuracy == pytest.approx(
        metrics.balanced_accuracy_score(labels, predicted)
    )
    assert result.log_loss == pytest.approx(metrics.log_loss(labels, shares))
    np.testing.assert_allclose(result.recall, metrics.recall_score(labels, predicted, average=None))


def test_huge_logits_do_not_overflow():
    result = evaluate_logits([[1e4, -1e4], [1e4, -1e4]], [0, 1], ["a", "b"])
    assert result.log_loss == pytest.approx(1e4)


def test_a_class_without_examples_has_no_recall_and_does_not_count():
    result = evaluate_logits([[1, 0, 0], [0, 1, 0]], [0, 0], ["a", "b", "c"])
    assert result.recall[0] == 0.5 and np.isnan(result.recall[1:]).all()
    assert result.balanced_accuracy == 0.5
    assert str(result).startswith("accuracy 0.500") and "'a' with recall 0.500" in str(result)


def test_the_weakest_class_is_named_wherever_it_stands():
    result = evaluate_logits([[1, 0], [1, 0], [0, 1]], [0, 1, 1], ["a", "b"])
    assert "weakest class 'b' with recall 0.500 (3 examples)" in str(result)


def test_the_loss_of_a_sure_float32_net_is_small_but_not_zero():
    """In float32, log(1 + exp(-20)) is 0."""
    result = evaluate_logits(np.float32([[20, 0]]), [0], ["a", "b"])
    assert result.log_loss == pytest.approx(np.exp(-20), rel=1e-6)
    assert result.confusion.dtype == np.int64


@pytest.mark.parametrize(
    ("logits", "labels", "reason"),
    [
        ([[1, 2, 3]], [0], r"shape \(1, 3\)"),
        ([[1, 2]], [0, 1], "and labels"),
        (
            np.zeros((0, 2)),
            np.zeros(0, int),
            "^labels are empty; evaluation needs at least one example.$",
        ),
        ([[np.nan, 1]], [0], "^logits contain NaN; the model diverged: lower its learning rate.$"),
        ([[0, 1]], [2], "2 classes allow 0 to 1"),
    ],
)
def test_bad_logits_are_refused(logits, labels, reason):
    with pytest.raises(ValueError, match=reason):
        evaluate_logits(logits, labels, ["a", "b"])
