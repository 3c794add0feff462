"""What a study's table says, at the edges: ties, constant gains, single draws, missing cells."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tlcourse.study import crossover, hurts, summary, transfer_gain


def paired(**differences):
    """Make a table in which a is better than b by differences[budget][seed]; b is always 0.25."""
    rows = [
        (strategy, int(budget.lstrip("n")), seed, 0.25 + (difference if strategy == "a" else 0))
        for budget, draws in differences.items()
        for seed, difference in enumerate(draws)
        for strategy in ("b", "a")
    ]
    return pd.DataFrame(rows, columns=["strategy", "budget", "seed", "accuracy"])


def test_the_interval_is_scipys_of_ten_thousand_resamples_from_seed_0():
    draws = np.random.default_rng(3).normal(size=20)
    expected = stats.bootstrap(
        (draws,),
        np.mean,
        n_resamples=10_000,
        confidence_level=0.95,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    gain = transfer_gain(paired(n5=draws), "a", "b")
    assert gain.columns.tolist() == [
        *("strategy", "baseline", "budget", "gain", "low", "high", "n", "wins")
    ]
    row = gain.loc[0].tolist()
    assert row[:3] == ["a", "b", 5] and row[6:] == [20, (draws > 0).sum()]
    np.testing.assert_allclose(row[3:6], [draws.mean(), *expected], rtol=1e-9)


def test_resamples_seed_and_confidence_reach_the_bootstrap():
    table = paired(n5=np.random.default_rng(0).normal(size=12))

    def width(**options):
        gain = transfer_gain(table, "a", "b", **options)
        return float(gain["high"][0] - gain["low"][0])

    assert width(confidence=0.5) < width() < width(confidence=0.999)
    assert width(seed=1) != width() and width(resamples=100) != width()


def test_a_tie_is_no_win_and_equal_gains_have_a_point_for_an_interval():
    gain = transfer_gain(paired(n1=[0.0, 0.5], n2=[0.5, 0.5, 0.5]), "a", "b")
    assert gain["wins"].tolist() == [1, 3]
    assert gain.loc[0, "low"] < gain.loc[0, "gain"] < gain.loc[0, "high"]
    assert gain.loc[1, ["low", "gain", "high"]].tolist() == [0.5, 0.5, 0.5]
    wide = transfer_gain(paired(n1=[0.0, 1.0]), "a", "b")  # a span of exactly 1 is no point
    assert (wide["low"][0], wide["high"][0]) == (0, 1)


def test_two_draws_have_an_interval_and_one_has_none():
    gain = transfer_gain(paired(n1=[0.5], n2=[0.25, 0.5]), "a", "b")
    assert gain["low"].isna().tolist() == [True, False]
    assert gain["high"].isna().tolist() == [True, False]


def test_no_difference_is_neither_harm_nor_gain():
    table = paired(n3=[0.0, 0.0, 0.0])
    assert hurts(table, "a", "b").empty
    assert crossover(table, "a", "b") == 3


def test_verdicts_take_the_confidence_that_is_asked_for():
    """Three draws of four speak for a gain at budget 2 and for harm at budget 9."""
    table = paired(n2=[0.3, 0.2, 0.25, -0.1], n9=[-0.3, -0.2, -0.25, 0.1])
    assert crossover(table, "a", "b", confidence=0.5) == 9
    assert crossover(table, "a", "b", confidence=0.999) == 2
    harm = hurts(table, "a", "b", confidence=0.5)
    assert harm["budget"].tolist() == [9] and harm.index.tolist() == [0]
    assert harm.columns.equals(transfer_gain(table, "a", "b").columns)
    assert hurts(table, "a", "b", confidence=0.999).empty


def test_the_summary_is_written_for_reading():
    table = paired(n10=[0.5, 0.25], n2=[0.5, 0.25]).iloc[:-1]
    table = pd.concat([table, table.iloc[:1].assign(strategy="late", budget=10, seed=4)])
    table["examples"] = 1000.0 * np.arange(len(table))
    wide = summary(table)
    assert (wide.index.name, wide.columns.name) == ("strategy", "labels per class")
    assert wide.index.tolist() == ["b", "a", "late"] and wide.columns.tolist() == [2, 10]
    assert wide.loc["b"].tolist() == ["0.25 ± 0.00", "0.25 ± 0.00"]
    assert wide.loc["a"].tolist() == ["0.75 (n=1)", "0.62 ± 0.18"]
    assert wide.loc["late"].tolist() == ["", "0.25 (n=1)"]
    assert summary(table, decimals=3).loc["a", 10] == "0.625 ± 0.177"
    assert summary(table, "examples", decimals=0).loc["b", 2] == "5,000 ± 1,414"


@pytest.mark.parametrize(
    ("table", "changes", "reason"),
    [
        (paired(n1=[0, 1]), {"confidence": 0}, "confidence is 0; it must lie between 0 and 1"),
        (paired(n1=[0, 1]), {"confidence": 1}, "confidence is 1;"),
        (paired(n1=[0, 1]), {"resamples": 0}, "resamples is 0"),
        (
            paired(n1=[0, np.nan]),
            {},
            r"^table has a trial twice or an accuracy .* not finite; give study\(\)'s result.$",
        ),
        (
            pd.concat([paired(n1=[0, 1]), paired(n1=[0.5]).iloc[1:]]),
            {},
            "a trial twice",
        ),
        (
            paired(n1=[0, 1]).iloc[:0],
            {},
            "^table has no rows; give the result of a study with at least one trial.$",
        ),
        (paired(n1=[0, 1]).iloc[[0, 3]], {}, "'a' and 'b' share no budget and seed"),
        (paired(n1=[0, 1]), {"strategy": "c"}, r"strategy is 'c'; the table has \['b', 'a'\]"),
        (paired(n1=[0, 1]).drop(columns="seed"), {}, r"table lacks \['seed'\]"),
        (paired(n1=[0, 1]).drop(columns="accuracy"), {}, r"table lacks \['accuracy'\]"),
    ],
)
def test_what_has_no_answer_is_refused(table, changes, reason):
    with pytest.raises(ValueError, match=reason):
        transfer_gain(table, **({"strategy": "a", "baseline": "b"} | changes))


def test_a_summary_is_of_a_studys_table():
    with pytest.raises(ValueError, match=r"table lacks \['seed'\]"):
        summary(paired(n1=[0, 1]).drop(columns="seed"))
