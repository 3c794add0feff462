"""Choosing without labels: by hand, in loops, and where each guess is known to mislead."""

from math import log

import numpy as np
import pytest
from scipy.stats import norm

from tlcourse import scores

LOGITS = np.random.default_rng(0).normal(size=(7, 3))


def answers():
    powers = np.exp(LOGITS)
    return powers / powers.sum(axis=1, keepdims=True)


def test_certainty_worked_by_hand():
    half, sure = [0.0, 0.0], [log(3), 0.0]  # probabilities 1/2 and 3/4
    expected = (0.5 * log(0.5) * 2 + 0.75 * log(0.75) + 0.25 * log(0.25)) / 2
    assert scores.certainty([half, sure]) == pytest.approx(expected)
    assert scores.certainty([[900.0, -900.0]]) == pytest.approx(0)  # and no overflow


def test_infomax_is_the_mutual_information_less_a_constant():
    p = answers()
    joint, marginal = p / len(p), p.mean(axis=0)
    mutual = sum(joint[i, k] * log(p[i, k] / marginal[k]) for i in range(len(p)) for k in range(3))
    assert scores.infomax(LOGITS) == pytest.approx(mutual - log(3))
    assert scores.infomax(LOGITS, prior=[2, 2, 2]) == pytest.approx(mutual - log(3))


def test_infomax_takes_the_prior_from_the_user():
    p, q = answers(), np.array([0.5, 0.3, 0.2])
    marginal = p.mean(axis=0)
    expected = (p * np.log(p)).sum() / len(p) - (marginal * np.log(marginal / q)).sum()
    assert scores.infomax(LOGITS, prior=10 * q) == pytest.approx(expected)
    uneven = 900.0 * np.eye(2)[[0, 0, 0, 1]]  # one class three times as frequent
    assert scores.infomax(uneven, prior=[3, 1]) == pytest.approx(0)
    assert scores.infomax(uneven) == pytest.approx(-log(2) - 0.75 * log(0.75) - 0.25 * log(0.25))


def test_a_model_that_always_says_the_same_deceives_all_but_infomax():
    always = np.tile([99.0, 0, 0], (6, 1))
    assert scores.certainty(always) == pytest.approx(0)
    assert scores.agreement(always, always) == 1
    assert scores.infomax(always) == pytest.approx(-log(3))


def test_agreement_counts_answers_and_not_their_strength():
    changed = 5 * LOGITS
    assert scores.agreement(LOGITS, changed) == 1
    changed[:2] = -changed[:2]
    assert scores.agreement(LOGITS, changed) == pytest.approx(5 / 7)


def test_source_validation_is_accuracy_and_weights_count_like_copies():
    labels = LOGITS.argmax(axis=1)
    labels[:3] = (labels[:3] + 1) % 3
    assert scores.source_validation(LOGITS, labels) == pytest.approx(4 / 7)
    copies = np.array([0, 1, 2, 3, 4, 0, 1])
    copied = scores.source_validation(np.repeat(LOGITS, copies, 0), np.repeat(labels, copies))
    assert scores.source_validation(LOGITS, labels, weights=copies) == pytest.approx(copied)
    assert scores.source_validation(LOGITS, labels, weights=0.1 * copies) == pytest.approx(copied)


def test_weights_are_the_ratio_of_two_known_densities():
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(4000, 1)), rng.normal(0.7, 1, size=(1500, 1))
    weights = scores.importance_weights(source, target, seed=0)
    true = norm.pdf(source[:, 0], 0.7) / norm.pdf(source[:, 0])
    np.testing.assert_allclose(weights, true, rtol=0.35)
    assert weights.mean() == pytest.approx(1, abs=0.1)


def test_weighted_validation_foretells_the_targets_accuracy_where_the_domains_overlap():
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(3000, 1)), rng.normal(1, 1, size=(3000, 1))

    def right(rows):
        return (rows[:, 0] < 1).astype(int)  # the model is right on the left only

    logits = np.stack([np.zeros(3000), np.ones(3000)], axis=1)
    weights = scores.importance_weights(source, target, seed=0)
    truth = right(target).mean()
    plain = scores.source_validation(logits, right(source))
    weighted = scores.source_validation(logits, right(source), weights=weights)
    assert plain > truth + 0.25 and weighted == pytest.approx(truth, abs=0.04)


def test_far_domains_give_finite_weights_that_hardly_count():
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(60, 2)), rng.normal(size=(60, 2)) + 500
    weights = scores.importance_weights(source, target, seed=0)
    assert np.isfinite(weights).all() and weights.max() < 0.1


def test_folds_follow_the_seed_and_rows_keep_their_order():
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(40, 2)), rng.normal(size=(30, 2)) + 0.5
    first, again, other = (scores.importance_weights(source, target, seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.corrcoef(first, source.sum(axis=1))[0, 1] > 0.5
