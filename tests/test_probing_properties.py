"""What the probes and the evaluation see of features and logits, and what they do not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tlcourse.data import Domain
from tlcourse.evaluation import evaluate_logits
from tlcourse.probing import knn_probe, logistic_head, prototype_probe

few = settings(max_examples=12, deadline=None, derandomize=True)
NAMES = tuple("abcdef")


class Rows:
    """Labelled features of k classes, new rows to predict, and logits for the labelled ones."""

    def __init__(self, seed, k, d, per_class):
        self.rng = np.random.default_rng(seed)
        self.labels = self.rng.permutation(np.repeat(np.arange(k), per_class))
        self.features = self.rng.normal(size=(k, d))[self.labels] * 2
        self.features += self.rng.normal(size=self.features.shape)
        self.new = 2 * self.rng.normal(size=(9, d))
        self.turn = np.linalg.qr(self.rng.normal(size=(d, d)))[0]
        self.order = self.rng.permutation(len(self.labels))
        self.names = self.rng.permutation(k)
        self.logits = 3 * self.rng.normal(size=(len(self.labels), k))
        self.k = k

    def train(self, features=None, labels=None):
        features = self.features if features is None else features
        labels = self.labels if labels is None else labels
        return Domain("rows", features.astype(np.float32), labels, NAMES[: self.k])


cases = st.builds(
    Rows, st.integers(0, 2**32 - 1), st.integers(2, 5), st.integers(2, 5), st.integers(3, 9)
)
FACTORS = st.sampled_from([0.25, 2.0, 64.0])  # powers of two keep every digit


# Probes


@few
@given(cases, FACTORS)
def test_a_logistic_head_sees_no_unit_of_a_feature_and_no_order(case, factor):
    units = factor ** np.arange(case.features.shape[1])

    def logits(features, labels, new):
        weight, bias = logistic_head(features, labels, NAMES[: case.k])
        return new @ weight.T + bias

    expected = logits(case.features, case.labels, case.new)
    np.testing.assert_allclose(expected.sum(axis=1), 0, atol=1e-9)
    other = logits(case.features * units + 4, case.labels, case.new * units + 4)
    np.testing.assert_allclose(other, expected, rtol=1e-3, atol=1e-3)
    mixed = logits(case.features[case.order], case.labels[case.order], case.new)
    np.testing.assert_allclose(mixed, expected, rtol=1e-3, atol=1e-3)
    renamed = logits(case.features, case.names[case.labels], case.new)
    np.testing.assert_allclose(renamed[:, case.names], expected, rtol=1e-2, atol=1e-2)


@few
@given(cases, st.integers(1, 40))
def test_neighbours_see_directions_only(case, neighbours):
    def logits(train, new):
        return knn_probe(train, neighbours=neighbours)(new.astype(np.float32))

    expected = logits(case.train(), case.new)
    np.testing.assert_allclose(np.exp(expected).sum(axis=1), 1, rtol=1e-5)
    lengths = case.rng.choice([0.25, 2.0, 8.0], size=(len(case.labels), 1))
    longer = case.train(case.features * lengths)
    np.testing.assert_allclose(logits(longer, 4 * case.new), expected, rtol=1e-5)
    turned = case.train(case.features @ case.turn)
    np.testing.assert_allclose(logits(turned, case.new @ case.turn), expected, rtol=1e-5)
    mixed = case.train(case.features[case.order], case.labels[case.order])
    np.testing.assert_allclose(logits(mixed, case.new), expected, rtol=1e-5)
    renamed = logits(case.train(labels=case.names[case.labels]), case.new)
    np.testing.assert_allclose(renamed[:, case.names], expected, rtol=1e-5)


def test_neighbours_see_a_shift_and_prototypes_do_not():
    case = Rows(0, k=3, d=2, per_class=9)
    for probe, sees in ((knn_probe, True), (prototype_probe, False)):
        before = probe(case.train())(case.new.astype(np.float32))
        after = probe(case.train(case.features + 8))((case.new + 8).astype(np.float32))
        assert np.allclose(before, after, rtol=1e-3, atol=1e-3) is not sees


@few
@given(cases, FACTORS)
def test_prototypes_see_distances_only_in_the_square_of_the_unit(case, factor):
    def logits(train, new):
        return prototype_probe(train)(new.astype(np.float32))

    close = {"rtol": 1e-4, "atol": 1e-4}
    expected = logits(case.train(), case.new)
    assert (expected <= 0).all()
    moved = case.train(case.features @ case.turn + 3)
    np.testing.assert_allclose(logits(moved, case.new @ case.turn + 3), expected, **close)
    scaled = logits(case.train(factor * case.features), factor * case.new)
    np.testing.assert_allclose(scaled / factor**2, expected, **close)
    twice = case.train(np.tile(case.features, (2, 1)), np.tile(case.labels, 2))
    np.testing.assert_allclose(logits(twice, case.new), expected, **close)
    renamed = logits(case.train(labels=case.names[case.labels]), case.new)
    np.testing.assert_allclose(renamed[:, case.names], expected, **close)


# Evaluation


@few
@given(cases)
def test_an_evaluation_sees_neither_order_nor_a_constant_added_to_a_rows_logits(case):
    names = NAMES[: case.k]
    result = evaluate_logits(case.logits, case.labels, names)
    assert result.confusion.sum() == len(case.labels) and result.log_loss >= 0
    assert 0 <= result.accuracy <= 1 and 0 <= result.balanced_accuracy <= 1
    lifted = case.logits + 50 * case.rng.normal(size=(len(case.labels), 1))
    for logits, labels, times in [
        (case.logits[case.order], case.labels[case.order], 1),
        (lifted, case.labels, 1),
        (np.tile(case.logits, (3, 1)), np.tile(case.labels, 3), 3),
    ]:
        other = evaluate_logits(logits, labels, names)
        np.testing.assert_array_equal(other.confusion, times * result.confusion)
        assert other.log_loss == pytest.approx(result.log_loss)


@few
@given(cases)
def test_an_evaluation_follows_the_names_of_the_classes(case):
    result = evaluate_logits(case.logits, case.labels, NAMES[: case.k])
    logits = np.empty_like(case.logits)
    logits[:, case.names] = case.logits
    other = evaluate_logits(logits, case.names[case.labels], NAMES[: case.k])
    np.testing.assert_array_equal(other.confusion[np.ix_(case.names, case.names)], result.confusion)
    np.testing.assert_allclose(other.recall[case.names], result.recall)
    assert other.log_loss == pytest.approx(result.log_loss)
    assert other.balanced_accuracy == pytest.approx(result.balanced_accuracy)


@few
@given(cases)
def test_the_log_loss_sees_how_sure_the_logits_are_and_the_confusion_does_not(case):
    names = NAMES[: case.k]
    result = evaluate_logits(case.logits, case.labels, names)
    bold = evaluate_logits(9 * case.logits, case.labels, names)
    np.testing.assert_array_equal(bold.confusion, result.confusion)
    if result.accuracy < 0.5:
        assert bold.log_loss > result.log_loss  # sure and wrong
    shy = evaluate_logits(1e-6 * case.logits, case.labels, names)
    assert shy.log_loss == pytest.approx(np.log(case.k), abs=1e-4)
