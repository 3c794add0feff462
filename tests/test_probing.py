"""Classifiers on features: against definitions written out, and as a strategy of a study."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tlcourse.data import Domain
from tlcourse.probing import knn_probe, logistic_head, prototype_probe
from tlcourse.study import Fitted, study

RNG = np.random.default_rng(0)


def features(n=90, k=3, d=4, spread=1.0):
    labels = np.arange(n) % k
    rows = 3 * np.eye(k, d)[labels] + spread * RNG.normal(size=(n, d))
    return Domain("features", rows.astype(np.float32), labels, tuple("abcdef"[:k]))


def test_neighbours_vote_by_angle_not_by_length():
    train, new = features(), RNG.normal(size=(20, 4)).astype(np.float32)
    nearest = cdist(new, train.inputs, "cosine").argsort(axis=1)[:, :7]
    votes = np.stack([(train.labels[nearest] == label).sum(axis=1) for label in range(3)], axis=1)
    logits = knn_probe(train, neighbours=7)(new)
    np.testing.assert_allclose(np.exp(logits), (votes + 1 / 3) / 8, rtol=1e-5)
    np.testing.assert_allclose(np.exp(logits).sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(logits, knn_probe(train, neighbours=7)(1000 * new))
    assert logits.dtype == np.float32


def test_more_neighbours_than_examples_all_vote():
    train = features(6)
    np.testing.assert_allclose(
        knn_probe(train, neighbours=50)(train.inputs), np.log(1 / 3), rtol=1e-5
    )


def test_prototypes_are_class_means_and_logits_minus_squared_distances():
    train, new = features(), RNG.normal(size=(20, 4)).astype(np.float32)
    means = np.stack([train.inputs[train.labels == label].mean(axis=0) for label in range(3)])
    logits = prototype_probe(train)(new)
    np.testing.assert_allclose(logits, -cdist(new, means, "sqeuclidean"), rtol=1e-4)


def test_five_neighbours_vote_unless_told_otherwise():
    train, new = features(spread=3.0), RNG.normal(size=(50, 4)).astype(np.float32)
    np.testing.assert_array_equal(knn_probe(train)(new), knn_probe(train, neighbours=5)(new))


def test_prototypes_far_from_zero_keep_the_digits_of_their_features():
    rows = (1e4 + RNG.integers(-8, 9, size=(3000, 4)) / 8).astype(np.float32)
    train = Domain("far", rows, np.arange(3000) % 3, tuple("abc"))
    means = np.stack([rows[label::3].astype(np.float64).mean(axis=0) for label in range(3)])
    logits = prototype_probe(train)(rows[:20])
    np.testing.assert_allclose(logits, -cdist(rows[:20], means, "sqeuclidean"), rtol=1e-5)
    assert logits.dtype == np.float32


def test_both_are_strategies_of_a_study():
    table = study(
        {
            "neighbours": lambda train, validation, *, seed: Fitted(knn_probe(train), 0),
            "prototypes": lambda train, validation, *, seed: Fitted(prototype_probe(train), 0),
        },
        features(300),
        budgets=(5,),
        seeds=(0,),
        validation_per_class=0,
        test_per_class=50,
    )
    assert (table["accuracy"] > 0.85).all()


def shares(logits):
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("c", [0.01, 1.0])
def test_a_logistic_head_is_scikit_learns_pipeline_in_one_matrix(k, c):
    train = features(60, k)
    rows = train.inputs * [1, 10, 100, 1000] + [0, 5, 50, 500]
    weight, bias = logistic_head(rows, train.labels, train.class_names, c=c)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=c)).fit(rows, train.labels)
    assert weight.shape == (k, 4) and bias.shape == (k,)
    np.testing.assert_allclose(shares(rows @ weight.T + bias), pipeline.predict_proba(rows))
    if c == 1.0:
        for found, given in zip(
            logistic_head(rows, train.labels, train.class_names), (weight, bias), strict=True
        ):
            np.testing.assert_array_equal(found, given)


def test_a_weak_penalty_is_given_the_steps_that_it_needs():
    """Some 300 steps: scikit-learn's own limit of 100 ends in a warning, here an error."""
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(200, 60)), rng.integers(5, size=200)
    weight, bias = logistic_head(rows, labels, tuple("abcde"), c=1e6)
    assert ((rows @ weight.T + bias).argmax(axis=1) == labels).mean() > 0.6


@pytest.mark.parametrize("c", [0, -1, np.inf])
def test_an_inverse_penalty_is_a_positive_number(c):
    train = features()
    with pytest.raises(ValueError, match=f"^c is {c}; give a finite number > 0"):
        logistic_head(train.inputs, train.labels, train.class_names, c=c)


@pytest.mark.parametrize("probe", [knn_probe, prototype_probe])
def test_a_class_without_example_is_refused(probe):
    train = features()
    with pytest.raises(
        ValueError, match="no example of class 'c'; a probe needs at least one of each class.$"
    ):
        probe(train.subset(train.labels < 2))
    with pytest.raises(ValueError, match="no example of class 'c'"):
        logistic_head(train.inputs, train.labels % 2, train.class_names)


def test_a_number_of_neighbours_is_positive():
    with pytest.raises(ValueError, match="neighbours is 0"):
        knn_probe(features(), neighbours=0)
