"""Classifiers on features: against definitions written out, and as a strategy of a study."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from tlcourse.data import Domain
from tlcourse.probing import knn_probe, prototype_probe
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


@pytest.mark.parametrize("probe", [knn_probe, prototype_probe])
def test_a_class_without_example_is_refused(probe):
    train = features()
    with pytest.raises(ValueError, match="no example of class 'c'"):
        probe(train.subset(train.labels < 2))


def test_a_number_of_neighbours_is_positive():
    with pytest.raises(ValueError, match="neighbours is 0"):
        knn_probe(features(), neighbours=0)
