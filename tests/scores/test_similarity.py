"""Likeness of features: cases worked by hand, and second implementations written differently."""

from math import exp, sqrt

import numpy as np
import pytest

from tlcourse import scores

# Linear CKA


def test_linear_cka_worked_by_hand():
    # Centred: x = (-1, 0, 1), y = (-2/3, 4/3, -2/3): x'y = 0. With z = (0, 0, 3): x'z = 3.
    x, y, z = ([[0.0], [1], [2]], [[0.0], [2], [0]], [[0.0], [0], [3]])
    assert scores.linear_cka(x, y) == pytest.approx(0, abs=1e-15)
    assert scores.linear_cka(x, z) == pytest.approx(9 / (2 * 6))


@pytest.mark.parametrize("n", [10, 60])
def test_linear_cka_equals_its_form_with_gram_matrices(n):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 20)) + 3
    y = x[:, :7] ** 2 + rng.normal(size=(n, 7))
    centring = np.eye(n) - 1 / n

    def hsic(a, b):
        return np.trace(a @ a.T @ centring @ b @ b.T @ centring)

    expected = hsic(x, y) / sqrt(hsic(x, x) * hsic(y, y))
    assert 0.05 < expected < 0.95
    assert scores.linear_cka(x, y) == pytest.approx(expected, rel=1e-9)


def test_linear_cka_sees_through_rotation_scale_and_shift_only():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 5)) * [5, 3, 1, 1, 1]
    rotation, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    assert scores.linear_cka(x, 3 * x @ rotation + 2) == pytest.approx(1)
    assert scores.linear_cka(x, x * [1, 5, 9, 9, 9]) < 0.9


# MMD


def test_mmd_worked_by_hand():
    x, y = [[0.0], [1.0]], [[0.0], [2.0]]
    within_x, within_y = exp(-1 / 2), exp(-4 / 2)
    between = (1 + exp(-4 / 2) + exp(-1 / 2) + exp(-1 / 2)) / 4
    unbiased = within_x + within_y - 2 * between
    biased = (2 + 2 * within_x) / 4 + (2 + 2 * within_y) / 4 - 2 * between
    assert scores.mmd(x, y, bandwidth=1) == pytest.approx(unbiased)
    assert scores.mmd(x, y, bandwidth=1, unbiased=False) == pytest.approx(biased)


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("bandwidth", [2.5, [0.5, 1.0, 4.0]])
def test_mmd_equals_its_definition_in_loops(unbiased, bandwidth):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(9, 3)) + 100, rng.normal(size=(12, 3)) * 2 + 100
    widths = np.atleast_1d(bandwidth)

    def mean_kernel(a, b, same):
        values = [
            np.mean([exp(-((p - q) ** 2).sum() / (2 * w**2)) for w in widths])
            for i, p in enumerate(a)
            for j, q in enumerate(b)
            if not (same and unbiased and i == j)
        ]
        return np.mean(values)

    expected = mean_kernel(x, x, True) + mean_kernel(y, y, True) - 2 * mean_kernel(x, y, False)
    found = scores.mmd(x, y, bandwidth=bandwidth, unbiased=unbiased)
    assert found == pytest.approx(expected, abs=1e-10)


def test_mmd_sums_every_block_of_a_large_kernel():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2100, 1)), rng.normal(size=(1030, 1)) + 1
    kernels = [np.exp(-((a - b.T) ** 2) / 2).mean() for a, b in ((x, x), (y, y), (x, y))]
    expected = kernels[0] + kernels[1] - 2 * kernels[2]
    assert scores.mmd(x, y, bandwidth=1, unbiased=False) == pytest.approx(expected, abs=1e-10)


def test_unbiased_mmd_is_zero_on_average_for_one_distribution():
    rng = np.random.default_rng(0)
    draws = [
        scores.mmd(rng.normal(size=(15, 2)), rng.normal(size=(20, 2)), bandwidth=1)
        for _ in range(300)
    ]
    assert abs(np.mean(draws)) < 4 * np.std(draws) / sqrt(300)
    assert min(draws) < 0


def test_median_bandwidth_worked_by_hand_and_in_the_default_of_mmd():
    x, y = [[0.0], [0.0], [1.0]], [[5.0], [5.0]]
    # Distances above zero: 1, 1, 5, 5, 5, 5, 4, 4.
    assert scores.median_bandwidth(x, y) == 4.5
    assert scores.median_bandwidth([[2.0], [2.0]], [[2.0], [2.0]]) == 1
    assert scores.mmd(x, y) == scores.mmd(x, y, bandwidth=4.5)


def test_median_bandwidth_does_not_fall_for_the_order_of_the_rows():
    rows = 10.0 * (np.arange(10_000) % 10) + np.random.default_rng(0).normal(0, 0.01, 10_000)
    cycling, sorted_rows = rows[:, None], np.sort(rows)[:, None]
    assert scores.median_bandwidth(cycling, cycling) == pytest.approx(30, abs=0.5)
    assert scores.median_bandwidth(sorted_rows, sorted_rows) == pytest.approx(30, abs=0.5)


def test_median_bandwidth_of_many_rows_is_close_to_that_of_all():
    rng = np.random.default_rng(0)
    x, y = np.sort(rng.normal(size=(2500, 1)), axis=0), rng.normal(size=(300, 1)) + 1
    pooled = np.concatenate([x[:, 0], y[:, 0]])
    exact = np.median(np.abs(pooled[:, None] - pooled)[np.triu_indices(2800, 1)])
    assert scores.median_bandwidth(x, y) == pytest.approx(exact, rel=0.05)


def test_median_bandwidth_draws_no_row_twice_and_the_same_ones_each_time():
    x, y = np.arange(1001.0)[:, None], np.array([[0.0], [1000.0]])  # one row is left out
    pooled = np.concatenate([x, y])
    exact = np.median(np.abs(pooled - pooled.T)[np.triu_indices(1003, 1)])
    found = scores.median_bandwidth(x, y)
    assert found == pytest.approx(exact, abs=1) and found == scores.median_bandwidth(x, y)
    far = np.random.default_rng(0).normal(size=(3000, 3))
    assert scores.median_bandwidth(far, far + 1) == scores.median_bandwidth(far, far + 1)


def test_mmd_keeps_its_digits_far_from_zero():
    """A million from zero, and elsewhere in each column, squares of lengths lose four digits."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(9, 3)).round(3), rng.normal(size=(12, 3)).round(3) + 1
    far = np.array([1e6, -2e6, 5e5])
    expected = scores.mmd(x, y, bandwidth=1)
    assert scores.mmd(x + far, y + far, bandwidth=1) == pytest.approx(expected, rel=1e-8)


# CORAL and proxy A-distance


def test_coral_distance_worked_by_hand():
    # Covariances [[2, 0], [0, 0]] and [[0, 0], [0, 8]]: (4 + 64) / (4 * 2^2).
    x, y = [[-1.0, 0], [1, 0]], [[7.0, 2], [7, -2]]
    assert scores.coral_distance(x, y) == pytest.approx(68 / 16)
    # One feature: variances 2 and 8, (8 - 2)^2 / 4.
    assert scores.coral_distance([[-1.0], [1]], [[2.0], [-2]]) == pytest.approx(9)


def test_proxy_a_distance_at_both_ends_and_between():
    rng = np.random.default_rng(0)
    x, far, same = rng.normal(size=(3, 400, 4)) + np.array([0, 20, 0])[:, None, None]
    assert scores.proxy_a_distance(x, far, seed=0) == 2
    assert 0 <= scores.proxy_a_distance(x, same, seed=0) < 0.25
    # Means two standard deviations apart: the best linear rule errs with Phi(-1) = 0.1587.
    near = rng.normal(size=(4000, 1)) + 2
    found = scores.proxy_a_distance(rng.normal(size=(4000, 1)), near, seed=0)
    assert found == pytest.approx(2 * (1 - 2 * 0.1587), abs=0.05)


def test_proxy_a_distance_is_held_out_balanced_and_seeded():
    rng = np.random.default_rng(0)
    # More features than rows: a classifier tested on its own training rows would reach 2.
    few, more = rng.normal(size=(30, 200)), rng.normal(size=(90, 200))
    assert scores.proxy_a_distance(few, more, seed=0) < 0.8
    # Always answering "the large domain" is right for 95 % of the rows, and worth nothing.
    small, large = rng.normal(size=(20, 3)), rng.normal(size=(380, 3))
    assert scores.proxy_a_distance(small, large, seed=0) < 0.7
    found = [scores.proxy_a_distance(small + 1, large, seed=seed) for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]


def test_proxy_a_distance_weighs_both_domains_alike_whatever_their_sizes():
    # The rule "below the middle" is right for all of x and for half of y: error (0 + 1/2) / 2.
    x, y = np.zeros((20, 1)), np.tile([[0.0], [10.0]], (190, 1))
    assert scores.proxy_a_distance(x, y, seed=0) == pytest.approx(2 * (1 - 2 * 0.25))


def test_proxy_a_distance_is_never_negative():
    rng = np.random.default_rng(0)
    found = [scores.proxy_a_distance(*rng.normal(size=(2, 10, 3)), seed=0) for _ in range(10)]
    assert min(found) == 0


# Bad input

X = np.random.default_rng(0).normal(size=(12, 6))
NAN, INF = X * np.where(np.arange(12) == 5, np.nan, 1)[:, None], X + np.inf

BAD_CALLS = [
    (
        scores.linear_cka,
        (X, X[:5]),
        {},
        ValueError,
        "^x has 12 rows and y 5; .* inputs, in order.$",
    ),
    (scores.linear_cka, (X, X * 0), {}, ValueError, "all rows of y are equal"),
    (scores.linear_cka, (X * 0, X), {}, ValueError, "all rows of x are equal"),
    (scores.linear_cka, (NAN, X), {}, ValueError, "^x holds NaN"),
    (scores.linear_cka, (X, NAN), {}, ValueError, "^y holds NaN"),
    (
        scores.mmd,
        (X, X[:, :2]),
        {},
        ValueError,
        "6 features and y 2; extract both with the same model.$",
    ),
    (scores.mmd, (X, X), {"bandwidth": 0}, ValueError, "bandwidth is .*0.*> 0"),
    (scores.mmd, (X, X), {"bandwidth": []}, ValueError, "^bandwidth is empty; .* > 0, or None.$"),
    (scores.mmd, (X, X), {"bandwidth": "median"}, TypeError, "bandwidth is .*median"),
    (scores.mmd, (X, NAN), {}, ValueError, "y holds NaN"),
    (scores.median_bandwidth, (X, X[:1]), {}, ValueError, "y has shape .* at least 2 rows"),
    (scores.coral_distance, (X[:1], X), {}, ValueError, "x has shape .* at least 2 rows"),
    (scores.coral_distance, (X, INF), {}, ValueError, "y holds NaN or infinity"),
    (scores.proxy_a_distance, (X[:4], X), {"seed": 0}, ValueError, "x has .* at least 5 rows"),
    (scores.proxy_a_distance, (X, X[:4]), {"seed": 0}, ValueError, "y has .* at least 5 rows"),
    (scores.proxy_a_distance, (X, NAN), {"seed": 0}, ValueError, "y holds NaN"),
]


@pytest.mark.parametrize(
    "function, arguments, options, error, message",
    BAD_CALLS,
    ids=[f"{call[0].__name__}: {call[4][:30]}".replace("\\", "") for call in BAD_CALLS],
)
def test_bad_input_is_named(function, arguments, options, error, message):
    with pytest.raises(error, match=message):
        function(*arguments, **options)
