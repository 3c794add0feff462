"""What a study's table says, at the edges: ties, constant gains, single draws, missing cells."""

import numpy as np
import pandas as pd
import pytest

from tlcourse.study import crossover, finished, hurts, summary, transfer_gain


def paired(**differences):
    """Make a table in which a is better than b by differences[budget][seed]; b is always 0.25."""
    rows = [
        (strategy, int(budget.lstrip("n")), seed, 0.25 + (difference if strategy == "a" else 0))
        for budget, draws in differences.items()
        for seed, difference in enumerate(draws)
        for strategy in ("b", "a")
    ]
    return pd.DataFrame(rows, columns=["strategy", "budget", "seed", "accuracy"])


def test_the_interval_is_students_by_the_textbooks_formula():
    draws = np.random.default_rng(3).normal(size=5)
    half = 2.776445 * draws.std(ddof=1) / np.sqrt(5)  # the table's t for 4 degrees of freedom
    gain = transfer_gain(paired(n5=draws), "a", "b")
    assert gain.columns.tolist() == [
        *("strategy", "baseline", "budget", "gain", "low", "high", "n", "wins")
    ]
    row = gain.loc[0].tolist()
    assert row[:3] == ["a", "b", 5] and row[6:] == [5, (draws > 0).sum()]
    middle = draws.mean()
    np.testing.assert_allclose(row[3:6], [middle, middle - half, middle + half], rtol=1e-6)


def test_the_interval_covers_the_mean_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(size=(2000, 5))
    table = paired(**{f"n{i + 1}": row for i, row in enumerate(draws)})
    gain = transfer_gain(table, "a", "b")
    covered = ((gain["low"] < 0) & (gain["high"] > 0)).mean()
    assert abs(covered - 0.95) < 0.015  # the bootstrap: 0.84


def test_many_questions_are_judged_more_strictly():
    """One draw in a hundred worlds without harm may be listed, however many budgets there are."""
    draws = np.random.default_rng(0).normal(size=(300, 20, 4))
    found = sum(
        len(hurts(paired(**{f"n{i + 1}": row for i, row in enumerate(world)}), "a", "b")) > 0
        for world in draws
    )
    assert found < 300 * 0.05  # without correction, 40 % of the worlds
    table = paired(n1=[-0.30, -0.20, -0.25, -0.15])
    assert hurts(table, "a", "b")["comparisons"].tolist() == [1]
    assert hurts(table, "a", "b", comparisons=20).empty


def test_finished_means_that_twice_the_updates_change_less_than_the_spread():
    table = paired(n1=[0.0, 0.5], n2=[0.0, 0.5])
    doubled = table[table["strategy"] == "a"].copy()
    doubled["accuracy"] += np.where(doubled["budget"] == 1, 0.353, -0.354)  # spread: 0.5 / sqrt(2)
    rows = finished(table, doubled)
    assert rows["strategy"].tolist() == ["a", "a"] and rows["budget"].tolist() == [1, 2]
    assert rows["finished"].tolist() == [True, False]
    np.testing.assert_allclose(rows["change"], [0.353, -0.354])
    np.testing.assert_allclose(rows["doubled"] - rows["accuracy"], rows["change"])
    np.testing.assert_allclose(rows["spread"], 0.5 / np.sqrt(2))


def test_finished_needs_the_same_draws_twice():
    table = paired(n1=[0.0, 0.5])
    with pytest.raises(ValueError, match="'a' at budget 1 has 1 draws in both tables"):
        finished(table, table[(table["strategy"] == "a") & (table["seed"] == 0)])
    with pytest.raises(ValueError, match="'c' at budget 1 has 0 draws"):
        finished(table, table.assign(strategy="c", seed=table.index))
    with pytest.raises(ValueError, match=r"lacks \['accuracy'\]"):
        finished(table, table.drop(columns="accuracy"))
    with pytest.raises(ValueError, match=r"lacks \['seed'\]"):
        finished(table, table.drop(columns="seed"))
    with pytest.raises(ValueError, match="not unique"):
        finished(table, pd.concat([table, table]))


def test_finished_and_summary_keep_the_order_of_the_strategies():
    table = paired(n1=[0.0, 0.5])
    assert table["strategy"].iloc[0] == "b"
    assert finished(table, table)["strategy"].tolist() == ["b", "a"]
    assert summary(table).index.tolist() == ["b", "a"] and summary(table).index.name == "strategy"


def test_a_tie_is_no_win_and_equal_gains_have_a_point_for_an_interval():
    gain = transfer_gain(paired(n1=[0.0, 0.5], n2=[0.5, 0.5, 0.5]), "a", "b")
    assert gain["wins"].tolist() == [1, 3]
    assert gain.loc[0, "low"] < gain.loc[0, "gain"] < gain.loc[0, "high"]
    assert gain.loc[1, ["low", "gain", "high"]].tolist() == [0.5, 0.5, 0.5]
    wide = transfer_gain(paired(n1=[0.0, 1.0]), "a", "b")  # a span of exactly 1 is no point
    assert wide["low"][0] < 0 and wide["high"][0] > 1


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
    assert harm.columns.tolist() == [*transfer_gain(table, "a", "b").columns, "comparisons"]
    with pytest.raises(ValueError, match="comparisons is 1, but 2 budgets are compared"):
        hurts(table, "a", "b", comparisons=1)
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
