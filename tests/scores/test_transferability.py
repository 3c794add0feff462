"""Scores and distances: cases worked by hand, and second implementations written differently."""

from math import log

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal, weightedtau
from sklearn.covariance import ledoit_wolf
from sklearn.datasets import load_digits

from tlcourse import scores


def labelled_features(n=80, d=6, k=3, seed=0):
    """Draw features that carry some information about k classes."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % k)
    means = rng.normal(size=(k, d))
    return means[labels] + rng.normal(size=(n, d)) @ rng.normal(size=(d, d)), labels


def softmax_rows(n, k, seed=0):
    """Draw class probabilities."""
    logits = 2 * np.random.default_rng(seed).normal(size=(n, k))
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


# LEEP


def test_leep_of_three_examples_worked_by_hand():
    probabilities, labels = np.array([[0.8, 0.2], [0.6, 0.4], [0.1, 0.9]]), np.array([0, 0, 1])
    # Sums per class: class 0 (1.4, 0.6), class 1 (0.1, 0.9); source classes: (1.5, 1.5).
    first = 0.8 * 1.4 / 1.5 + 0.2 * 0.6 / 1.5
    second = 0.6 * 1.4 / 1.5 + 0.4 * 0.6 / 1.5
    third = 0.1 * 0.1 / 1.5 + 0.9 * 0.9 / 1.5
    expected = (log(first) + log(second) + log(third)) / 3
    assert scores.leep(probabilities, labels) == pytest.approx(expected, abs=1e-14)


def test_leep_equals_its_definition_in_loops():
    theta, labels = softmax_rows(40, 5), labelled_features(n=40)[1]
    joint = np.zeros((3, 5))
    for row, label in zip(theta, labels, strict=True):
        for z in range(5):
            joint[label, z] += row[z] / 40
    total = 0.0
    for row, label in zip(theta, labels, strict=True):
        total += log(sum(joint[label, z] / joint[:, z].sum() * row[z] for z in range(5)))
    assert scores.leep(theta, labels) == pytest.approx(total / 40, abs=1e-12)


def test_leep_is_zero_for_a_source_that_knows_the_classes_and_survives_an_unused_one():
    labels = np.arange(30) % 3
    assert scores.leep(np.eye(4)[labels], labels) == pytest.approx(0, abs=1e-12)


def test_leep_with_certain_predictions_is_nce():
    rng = np.random.default_rng(0)
    source_labels, labels = rng.integers(0, 4, 50), rng.integers(0, 3, 50)
    assert scores.leep(np.eye(4)[source_labels], labels) == pytest.approx(
        scores.nce(source_labels, labels), abs=1e-12
    )


# NCE


def test_nce_worked_by_hand():
    # z = 0: labels 0, 0, 1 -> entropy of (2/3, 1/3); z = 1: label 1 only -> 0.
    expected = (2 * log(2 / 3) + log(1 / 3)) / 4
    assert scores.nce([0, 0, 0, 1], [0, 0, 1, 1]) == pytest.approx(expected, abs=1e-14)


def test_nce_is_the_negative_label_entropy_for_a_source_that_says_one_class():
    expected = 0.25 * log(0.25) + 0.75 * log(0.75)
    assert scores.nce([7, 7, 7, 7], [9, 2, 2, 2]) == pytest.approx(expected, abs=1e-14)


def test_nce_equals_joint_minus_marginal_entropy():
    rng = np.random.default_rng(1)
    z, y = rng.integers(0, 5, 200), rng.integers(0, 4, 200)
    _, joint = np.unique(np.stack([z, y]), axis=1, return_counts=True)
    marginal = np.unique(z, return_counts=True)[1]
    joint, marginal = joint / 200, marginal / 200
    expected = (joint * np.log(joint)).sum() - (marginal * np.log(marginal)).sum()
    assert scores.nce(z, y) == pytest.approx(expected, abs=1e-12)


# H-score


def test_h_score_worked_by_hand():
    # One feature: mean 3, variance (9 + 1 + 1 + 9) / 4 = 5; class means 1 and 5, variance 4.
    features, labels = np.array([[0.0], [2.0], [4.0], [6.0]]), np.array([0, 0, 1, 1])
    assert scores.h_score(features, labels, regularised=False) == pytest.approx(4 / 5)


def test_h_score_equals_the_matrix_formula():
    features, labels = labelled_features()
    means = np.stack([features[labels == label].mean(axis=0) for label in labels])
    sigma, between = np.cov(features.T, ddof=0), np.cov(means.T, ddof=0)
    plain = np.trace(np.linalg.inv(sigma) @ between)
    assert scores.h_score(features, labels, regularised=False) == pytest.approx(plain, rel=1e-9)


@pytest.mark.parametrize("n, d", [(80, 6), (20, 50), (12, 12)])
def test_regularised_h_score_equals_the_matrix_formula(n, d):
    features, labels = labelled_features(n, d)
    means = np.stack([features[labels == label].mean(axis=0) for label in labels])
    shrunk, alpha = ledoit_wolf(features)
    assert 0 < alpha < 1
    expected = (1 - alpha) * np.trace(np.linalg.solve(shrunk, np.cov(means.T, ddof=0)))
    assert scores.h_score(features, labels) == pytest.approx(expected, rel=1e-9)


def test_regularised_h_score_of_one_feature_is_the_plain_one():
    """A single variance is a multiple of the identity already: there is nothing to shrink."""
    features, labels = np.array([[0.0], [2.0], [4.0], [6.0]]), np.array([0, 0, 1, 1])
    assert scores.h_score(features, labels) == pytest.approx(4 / 5)


def test_plain_h_score_saturates_with_few_examples_and_the_regularised_one_does_not():
    noise = np.random.default_rng(0).normal(size=(20, 50))
    labels = np.arange(20) % 4
    assert scores.h_score(noise, labels, regularised=False) == pytest.approx(3)
    assert scores.h_score(noise, labels) < 1.5


def test_h_score_ignores_copied_and_constant_features_and_any_invertible_map():
    features, labels = labelled_features()
    expected = scores.h_score(features, labels, regularised=False)
    padded = np.hstack([features, features[:, :2], np.ones((80, 1))])
    assert scores.h_score(padded, labels, regularised=False) == pytest.approx(expected, rel=1e-8)
    mapped = features @ np.random.default_rng(5).normal(size=(6, 6)) + 4
    assert scores.h_score(mapped, labels, regularised=False) == pytest.approx(expected, rel=1e-8)


# LogME


def evidence_by_search(features, column):
    """Maximise the log density of N(0, I / beta + F F' / alpha) over both by Nelder-Mead."""

    def negative(logs):
        alpha, beta = np.exp(logs)
        covariance = np.eye(len(column)) / beta + features @ features.T / alpha
        return -multivariate_normal(cov=covariance).logpdf(column) / len(column)

    options = {"xatol": 1e-9, "fatol": 1e-13, "maxiter": 4000, "maxfev": 4000}
    return -minimize(negative, [0.0, 0.0], method="Nelder-Mead", options=options).fun


@pytest.mark.parametrize("n, d", [(60, 5), (25, 25), (20, 40)])
def test_logme_equals_the_evidence_maximised_by_a_general_optimiser(n, d):
    features, labels = labelled_features(n, d)
    expected = np.mean([evidence_by_search(features, 1.0 * (labels == c)) for c in range(3)])
    assert scores.logme(features, labels) == pytest.approx(expected, abs=1e-6)


def test_logme_of_regression_targets_is_the_mean_over_columns():
    rng = np.random.default_rng(3)
    features = rng.normal(size=(50, 4))
    targets = features @ rng.normal(size=(4, 2)) + 0.5 * rng.normal(size=(50, 2)) + 1
    expected = [evidence_by_search(features, column) for column in targets.T]
    assert scores.logme(features, targets) == pytest.approx(np.mean(expected), abs=1e-6)
    assert scores.logme(features, targets[:, 0]) == pytest.approx(expected[0], abs=1e-6)


def logme_by_the_papers_algorithm(features, labels):
    """Follow Algorithm 1 of the paper line by line, one class at a time, until nothing moves."""
    n, d = features.shape
    sigma, v = np.linalg.eigh(features.T @ features)
    sigma = np.maximum(sigma, 0)
    evidences = []
    for label in np.unique(labels):
        y, alpha, beta = (labels == label).astype(float), 1.0, 1.0
        for _ in range(3000):
            gamma = (beta * sigma / (alpha + beta * sigma)).sum()
            m = v @ np.diag(beta / (alpha + beta * sigma)) @ v.T @ features.T @ y
            alpha, beta = gamma / (m @ m), (n - gamma) / ((features @ m - y) ** 2).sum()
        a = alpha * np.eye(d) + beta * features.T @ features
        fit = beta / 2 * ((features @ m - y) ** 2).sum() + alpha / 2 * m @ m
        evidence = n / 2 * log(beta) + d / 2 * log(alpha) - n / 2 * log(2 * np.pi)
        evidences.append((evidence - fit - np.linalg.slogdet(a)[1] / 2) / n)
    return np.mean(evidences)


@pytest.mark.parametrize("n", [400, 40])
def test_logme_of_real_features_equals_the_papers_algorithm(n):
    images, labels = load_digits(return_X_y=True)
    images, labels = images[:n] / 16, labels[:n]  # Some pixels are never on: rank < 64 = d.
    expected = logme_by_the_papers_algorithm(images, labels)
    assert scores.logme(images, labels) == pytest.approx(expected, abs=1e-6)


def test_logme_stays_finite_for_useless_and_for_perfect_features():
    labels = np.arange(40) % 2
    # Orthogonal to both one-hot columns: the evidence is that of pure noise, N(0, 1/2).
    useless = np.where(np.arange(40) % 4 < 2, 1.0, -1.0)[:, None]
    noise = -0.5 * (log(2 * np.pi * 0.5) + 1)
    assert scores.logme(useless, labels) == pytest.approx(noise, abs=1e-6)
    assert noise + 5 < scores.logme(np.eye(2)[labels], labels) < 100


def test_every_score_prefers_informative_features():
    features, labels = labelled_features(n=300, seed=4)
    shuffled = np.random.default_rng(0).permutation(features)
    for score in (scores.h_score, scores.logme):
        assert score(features, labels) > score(shuffled, labels) + 0.01
    informed, blind = 0.8 * np.eye(3)[labels] + 0.2 / 3, softmax_rows(300, 3)
    assert scores.leep(informed, labels) > scores.leep(blind, labels) + 0.1
    assert scores.nce(labels, labels) > scores.nce(blind.argmax(axis=1), labels) + 0.1


# Ranking


def test_ranking_worked_by_hand():
    ranking = scores.rank_sources(
        {"noise": 0.1, "letters": 0.9, "signs": 0.5, "iris": 0.3},
        {"noise": 0.50, "letters": 0.80, "signs": 0.85, "iris": 0.60},
    )
    assert ranking.names == ("letters", "signs", "iris", "noise")
    assert ranking.measured == {"letters": 0.80, "signs": 0.85, "iris": 0.60, "noise": 0.50}
    assert ranking.kendall == pytest.approx(4 / 6)  # 5 pairs agree, 1 does not.
    assert ranking.spearman == pytest.approx(1 - 6 * 2 / (4 * 15))  # Rank differences 1, 1, 0, 0.
    assert ranking.regret == pytest.approx(0.05)
    # A mistake at the top weighs more than one at the bottom.
    swapped = {"letters": 0.85, "signs": 0.80, "iris": 0.50, "noise": 0.60}
    assert ranking.weighted_kendall < scores.rank_sources(ranking.scores, swapped).weighted_kendall
    assert ranking.weighted_kendall < ranking.kendall
    assert "letters" in str(ranking).splitlines()[1]
    assert "Kendall 0.67" in str(ranking)


def test_ranking_without_measurements_or_without_differences():
    ranking = scores.rank_sources({"a": -2.0, "b": -1.0})
    assert ranking.names == ("b", "a")
    assert np.isnan([ranking.kendall, ranking.spearman, ranking.regret]).all()
    assert "measured" not in str(ranking)
    tied = scores.rank_sources({"a": 1.0, "b": 1.0}, {"a": 0.4, "b": 0.9})
    assert tied.names == ("a", "b")
    assert np.isnan([tied.kendall, tied.weighted_kendall, tied.spearman]).all()


def test_ranking_weights_are_a_softmax_of_the_scores():
    shares = scores.rank_sources({"far": -3.0, "near": -1.0, "middle": -2.0}).weights(0.5)
    assert list(shares) == ["near", "middle", "far"]
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["near"] / shares["middle"] == pytest.approx(np.exp(2))
    with pytest.raises(ValueError, match="temperature is 0"):
        scores.rank_sources({"a": 1.0, "b": 2.0}).weights(0)


def test_two_sources_are_enough_for_a_correlation():
    for measured, expected in (({"a": 0.9, "b": 0.6}, 1), ({"a": 0.6, "b": 0.9}, -1)):
        ranking = scores.rank_sources({"a": 2.0, "b": 1.0}, measured)
        assert ranking.kendall == expected and ranking.spearman == pytest.approx(expected)


def test_a_temperature_of_1_is_the_scores_own_unit():
    ranking = scores.rank_sources({"a": 1.0, "b": 0.0})
    shares = ranking.weights()
    assert shares["a"] / shares["b"] == pytest.approx(np.e) and shares == ranking.weights(1.0)


def test_a_ranking_is_read_as_a_table():
    given_scores = {"noise": 0.1, "handwritten letters": 0.9, "signs": 0.5}
    assert str(scores.rank_sources(given_scores)).splitlines() == [
        "source                   score",
        "handwritten letters     0.9000",
        "signs                   0.5000",
        "noise                   0.1000",
    ]
    measured = {"noise": 0.5, "handwritten letters": 0.8, "signs": 0.85}
    table = str(scores.rank_sources({**given_scores, "signs": 0.25}, measured)).splitlines()
    assert table[:2] == [
        "source                   score   measured",
        "handwritten letters     0.9000     0.8000",
    ]
    weighted = weightedtau([0.9, 0.25, 0.1], [0.8, 0.85, 0.5]).statistic
    assert table[-1] == (
        f"Kendall 0.33, weighted {weighted:.2f}, Spearman 0.50; regret of the first 0.0500"
    )
    short = str(scores.rank_sources({"a": 1.0, "b": 0.0})).splitlines()
    assert short[:2] == ["source      score", "a          1.0000"]


# Bad input

X, Y = labelled_features(n=12)
P = softmax_rows(12, 4)
NAN, INF = X * np.where(np.arange(12) == 5, np.nan, 1)[:, None], X + np.inf

BAD_CALLS = [
    # LEEP and NCE
    (scores.leep, (P[:5], Y), {}, ValueError, r"labels has shape \(12,\).*\(5,\)"),
    (scores.leep, (P * np.nan, Y), {}, ValueError, "source_probabilities holds NaN .* 12 of 12"),
    (scores.leep, (np.log(P), Y), {}, ValueError, "source_probabilities.*apply a softmax"),
    (
        scores.leep,
        (P / 2, Y),
        {},
        ValueError,
        "^source_probabilities.*sum to 1 in each row; they span \\[",
    ),
    (scores.leep, (P, Y * 0.5), {}, TypeError, "labels has dtype float64; give integer"),
    (scores.leep, (P, Y - 1), {}, ValueError, "labels holds -1; class indices start at 0"),
    (scores.leep, (P, Y * 0 + 3), {}, ValueError, r"labels holds 1 class only, \[3\]"),
    (scores.nce, (Y[:5], Y), {}, ValueError, r"labels has shape \(12,\)"),
    (scores.nce, (P, Y), {}, TypeError, "source_labels has dtype float64"),
    (scores.nce, ([], []), {}, TypeError, "source_labels has dtype float64"),
    (scores.nce, (Y[:0], Y[:0]), {}, ValueError, r"source_labels has shape \(0,\)"),
    (scores.nce, (-Y, Y), {}, ValueError, "source_labels holds -2"),
    # H-score and LogME
    (scores.h_score, (NAN, Y), {}, ValueError, "features holds NaN or infinity in 1 of 12 rows"),
    (scores.h_score, (X[:, 0], Y), {}, ValueError, r"features has shape \(12,\); give rows"),
    (scores.h_score, (X[:, :0], Y), {}, ValueError, "at least 2 rows and 1 column"),
    (scores.h_score, (X * 0 + 3, Y), {}, ValueError, "all rows of features are equal"),
    (scores.h_score, (X, Y[:, None]), {}, ValueError, r"labels has shape \(12, 1\)"),
    (scores.h_score, (X.astype(str), Y), {}, TypeError, "features has dtype"),
    (scores.logme, (INF, Y), {}, ValueError, "features holds NaN or infinity in 12 of 12 rows"),
    (scores.logme, (X[:0], Y[:0]), {}, ValueError, "features has shape"),
    (scores.logme, (X * 0, Y), {}, ValueError, "all rows of features are equal or zero"),
    (scores.logme, (X, Y == 0), {}, TypeError, "labels has dtype bool"),
    (scores.logme, (X, Y * 0), {}, ValueError, "labels holds 1 class only"),
    (scores.logme, (X, np.ones(12)), {}, ValueError, r"labels are constant in columns \[0\]"),
    (scores.h_score, (X, Y[:5]), {}, ValueError, r"labels has shape \(5,\).*\(12,\)"),
    (scores.logme, (X, Y[:5]), {}, ValueError, r"labels has shape \(5,\).*\(12,\)"),
    (
        scores.logme,
        (X, np.c_[X[:, 0], Y * 0.0]),
        {},
        ValueError,
        r"constant in columns \[1\]; drop",
    ),
    (scores.logme, (X, P[:5]), {}, ValueError, "labels have 5 rows; 12 rows"),
    (scores.logme, (X, P * np.nan), {}, ValueError, "labels holds NaN"),
    # Ranking
    (scores.rank_sources, ([0.1, 0.2],), {}, TypeError, "scores is a list; give a dict"),
    (scores.rank_sources, ({"a": 1.0, "b": 2.0}, {"a": 1.0}), {}, ValueError, "^measured has 1"),
    (scores.rank_sources, ({"a": 1.0},), {}, ValueError, "scores has 1 entries"),
    (scores.rank_sources, ({"a": 1.0, "b": np.nan},), {}, ValueError, r"scores\['b'\] is nan"),
    (
        scores.rank_sources,
        ({"a": 1.0, "b": 2.0}, {"a": 1.0, "c": 2.0}),
        {},
        ValueError,
        r"\['a', 'c'\], but scores names \['a', 'b'\]; give one measurement for each source.$",
    ),
]


@pytest.mark.parametrize(
    "function, arguments, options, error, message",
    BAD_CALLS,
    ids=[f"{call[0].__name__}: {call[4][:30]}".replace("\\", "") for call in BAD_CALLS],
)
def test_bad_input_is_named(function, arguments, options, error, message):
    with pytest.raises(error, match=message):
        function(*arguments, **options)
