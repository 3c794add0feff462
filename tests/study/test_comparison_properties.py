"""Paired gains: what both strategies share cancels, and turning the question turns the sign."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tlcourse.study import crossover, hurts, summary, transfer_gain

few = settings(max_examples=12, deadline=None, derandomize=True)


class Draws:
    """Accuracies of two strategies on the same draws, and the luck of each draw."""

    def __init__(self, seed, n_budgets, n_seeds):
        self.rng = np.random.default_rng(seed)
        self.budgets = np.sort(self.rng.choice(200, size=n_budgets, replace=False) + 1)
        shape = (n_budgets, n_seeds)
        self.a = self.rng.uniform(0.4, 0.6, size=shape) + self.rng.normal(0, 0.1, (n_budgets, 1))
        self.b = self.rng.uniform(0.4, 0.6, size=shape)
        self.luck = self.rng.normal(size=shape)

    def table(self, luck=0.0, factor=1.0):
        rows = [
            (strategy, int(budget), seed, factor * (values + luck)[i, seed])
            for strategy, values in (("a", self.a), ("b", self.b))
            for i, budget in enumerate(self.budgets)
            for seed in range(self.a.shape[1])
        ]
        return pd.DataFrame(rows, columns=["strategy", "budget", "seed", "accuracy"])


draws = st.builds(Draws, st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 6))


def gain(table, strategy="a", baseline="b"):
    return transfer_gain(table, strategy, baseline)


def numbers(table):
    return table[["gain", "low", "high"]].to_numpy()


@few
@given(draws)
def test_turning_the_question_turns_the_sign(case):
    one, other = gain(case.table()), gain(case.table(), "b", "a")
    np.testing.assert_allclose(one["gain"], -other["gain"])
    np.testing.assert_allclose(one["low"], -other["high"])
    np.testing.assert_allclose(one["high"], -other["low"])
    assert (one["wins"] + other["wins"] == one["n"]).all()  # no two accuracies are equal


@few
@given(draws)
def test_the_luck_that_both_share_and_the_order_of_the_rows_cancel(case):
    expected = gain(case.table())
    np.testing.assert_allclose(numbers(gain(case.table(case.luck))), numbers(expected), atol=1e-12)
    mixed = case.table().sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(gain(mixed), expected)
    np.testing.assert_allclose(numbers(gain(case.table(factor=4))), 4 * numbers(expected))


def test_luck_that_only_one_has_does_not_cancel():
    case = Draws(0, n_budgets=1, n_seeds=6)
    own = case.table()
    own.loc[own["strategy"] == "a", "accuracy"] += case.luck.ravel()
    widths = [
        float(table["high"][0] - table["low"][0]) for table in (gain(own), gain(case.table()))
    ]
    assert widths[0] > 3 * widths[1]


@few
@given(draws)
def test_the_interval_lies_around_the_gain_and_shrinks_when_less_sure(case):
    narrow = transfer_gain(case.table(), "a", "b", confidence=0.5)
    for i, row in enumerate(gain(case.table()).itertuples()):
        differences = case.a[i] - case.b[i]
        assert row.gain == pytest.approx(differences.mean()) and row.n == len(differences)
        assert row.wins == (differences > 0).sum()
        if len(differences) == 1:
            assert np.isnan(row.low) and np.isnan(row.high)
        else:
            assert (row.low + row.high) / 2 == pytest.approx(row.gain)
            assert row.low < narrow["low"][i] <= row.gain <= narrow["high"][i] < row.high


@few
@given(draws)
def test_verdicts_are_what_the_intervals_say(case):
    table = case.table()
    intervals = transfer_gain(table, "a", "b")
    together = transfer_gain(table, "a", "b", confidence=1 - 0.05 / len(intervals))
    harmed = together.loc[together["high"] < 0, "budget"].tolist()
    assert hurts(table, "a", "b")["budget"].tolist() == harmed
    unclear = intervals.loc[~(intervals["low"] > 0), "budget"].tolist()
    assert crossover(table, "a", "b") == (min(unclear) if unclear else None)
    assert set(harmed) <= set(unclear)
    assert summary(table).shape == (2, len(case.budgets))
