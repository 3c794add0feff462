"""Studies: fair, resumable, parallel; and what their tables say, against hand computation."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression

from tlcourse.data import Domain, load
from tlcourse.study import (
    Fitted,
    TrialError,
    View,
    crossover,
    hurts,
    study,
    summary,
    transfer_gain,
)

SIZES = {"validation_per_class": 5, "test_per_class": 15, "progress": False}


def logistic(train, validation, *, seed):
    model = LogisticRegression(max_iter=500).fit(train.inputs, train.labels)
    return Fitted(model.decision_function, model.coef_.size)


def guess(train, validation, *, seed):
    return Fitted(
        lambda inputs: np.random.default_rng(seed).normal(size=(len(inputs), train.n_classes)), 0
    )


@pytest.fixture(scope="module")
def iris():
    return load("iris")


# ---- running


def test_one_row_for_each_cell_in_the_order_given(iris):
    table = study({"guess": guess, "logistic": logistic}, iris, [5, 2], [3, 1], **SIZES)
    cells = list(table[["strategy", "budget", "seed"]].itertuples(index=False, name=None))
    assert cells == [(s, b, d) for s in ("guess", "logistic") for b in (5, 2) for d in (3, 1)]
    skilled = table[table["strategy"] == "logistic"]
    assert (skilled["accuracy"] > 0.7).all() and (skilled["trained_parameters"] == 12).all()
    np.testing.assert_allclose(table["accuracy"], table["balanced_accuracy"])  # equal classes
    assert (table["seconds"] >= 0).all() and table["validation_accuracy"].between(0, 1).all()


def test_a_strategy_never_sees_test_rows_and_all_meet_the_same_draws(iris):
    marked = iris.with_inputs(np.hstack([np.arange(150.0)[:, None], iris.inputs]))
    met = {"a": {}, "b": {}}

    def watcher(name):
        def strategy(train, validation, *, seed):
            rows = [set(part.inputs[:, 0].astype(int)) for part in (train, validation)]

            def predict(inputs):
                tested.append(set(inputs[:, 0].astype(int)))
                return np.zeros((len(inputs), 3))

            tested = []
            met[name][len(train), seed] = (*rows, tested)
            return Fitted(predict, 0)

        return strategy

    study({name: watcher(name) for name in met}, marked, [2, 5], [0, 1], **SIZES)
    for cell, (train, validation, tested) in met["a"].items():
        assert not train & validation
        (test,) = [rows for rows in tested if not rows & validation]
        assert len(test) == 45 and not test & train
        assert met["b"][cell][:2] == (train, validation) and test in met["b"][cell][2]
    assert set(met["a"]) == {(size, seed) for size in (6, 15) for seed in (0, 1)}
    assert met["a"][6, 0][1] != met["a"][6, 1][1]  # another seed, another draw
    assert met["a"][6, 0][1] == met["a"][15, 0][1]  # one validation set for all budgets
    assert met["a"][6, 0][0] < met["a"][15, 0][0]  # nested training sets


def test_a_view_gives_a_strategy_other_inputs_of_the_same_rows(iris):
    widths = []

    def width(train, validation, *, seed):
        widths.append(train.inputs.shape[1])
        return logistic(train, validation, seed=seed)

    wide = iris.with_inputs(np.hstack([iris.inputs, iris.inputs]))
    study({"plain": width, "wide": View(width, wide)}, iris, [3], [0], **SIZES)
    assert widths == [4, 8]
    shuffled = Domain("x", iris.inputs, iris.labels[::-1].copy(), iris.class_names)
    with pytest.raises(ValueError, match="does not align"):
        study({"wrong": View(width, shuffled)}, iris, [3], [0], **SIZES)


def test_two_processes_measure_the_same(iris):
    strategies = {"guess": guess, "logistic": logistic}
    one = study(strategies, iris, [2, 4], [0, 1], **SIZES)
    two = study(strategies, iris, [2, 4], [0, 1], **SIZES, workers=2)
    pd.testing.assert_frame_equal(one.drop(columns="seconds"), two.drop(columns="seconds"))


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"strategies": {}}, ValueError, "at least one name"),
        ({"strategies": {"a": 3}}, TypeError, r"strategies\['a'\] is 3"),
        ({"target": "iris"}, TypeError, "target is a str"),
        ({"budgets": [0]}, ValueError, r"budgets\[0\] is 0; it must be an integer >= 1"),
        ({"budgets": [2, 2]}, ValueError, "each only once"),
        ({"budgets": [40]}, ValueError, "has 50 examples"),
        ({"seeds": []}, ValueError, "at least one integer"),
        ({"seeds": 3}, TypeError, "sequence of integers"),
        ({"workers": 0}, ValueError, "workers is 0"),
    ],
)
def test_bad_arguments_fail_before_anything_runs(iris, changes, error, reason):
    calls = {"strategies": {"logistic": logistic}, "target": iris, "budgets": [2], "seeds": [0]}
    with pytest.raises(error, match=reason):
        study(**(calls | changes), **SIZES)


def test_a_failing_strategy_is_named(iris):
    def broken(train, validation, *, seed):
        raise ArithmeticError("too much")

    with pytest.raises(TrialError, match="'broken' failed at budget 2, seed 7.*too much"):
        study({"broken": broken}, iris, [2], [7], **SIZES)
    with pytest.raises(TrialError, match=r"return Fitted\(predict, trained_parameters\)"):
        study({"bare": lambda train, validation, seed: 3}, iris, [2], [7], **SIZES)


# ---- resuming


class Counting:
    """A strategy that counts its calls, and fails at one of them."""

    def __init__(self, fail_at=None):
        self.calls, self.fail_at = 0, fail_at

    def __call__(self, train, validation, *, seed):
        self.calls += 1
        if self.calls == self.fail_at:
            raise KeyboardInterrupt
        return logistic(train, validation, seed=seed)


def test_an_interrupted_study_goes_on_where_it_stopped(iris, tmp_path):
    store, first, second = tmp_path / "deep" / "study.jsonl", Counting(fail_at=4), Counting()
    with pytest.raises(KeyboardInterrupt):
        study({"s": first}, iris, [2, 4], [0, 1, 2], **SIZES, store=store)
    table = study({"s": second}, iris, [2, 4], [0, 1, 2], **SIZES, store=store)
    assert (first.calls, second.calls) == (4, 3) and len(table) == 6
    fresh = study({"s": Counting()}, iris, [2, 4], [0, 1, 2], **SIZES)
    pd.testing.assert_frame_equal(table.drop(columns="seconds"), fresh.drop(columns="seconds"))


def test_a_finished_trial_is_on_disk_before_the_next_one_starts(iris, tmp_path):
    """A power cut, unlike an exception, does not close files."""
    store, lines = tmp_path / "study.jsonl", []

    def reader(train, validation, *, seed):
        lines.append(len(store.read_bytes().splitlines()))
        return logistic(train, validation, seed=seed)

    study({"s": reader}, iris, [2], [0, 1, 2], **SIZES, store=store)
    assert lines == [1, 2, 3]  # the first line says what is measured


def test_a_store_in_use_is_refused(iris, tmp_path):
    store = tmp_path / "study.jsonl"

    def nested(train, validation, *, seed):
        with pytest.raises(ValueError, match="in use by another study"):
            study({"s": logistic}, iris, [2], [0], **SIZES, store=store)
        return logistic(train, validation, seed=seed)

    assert len(study({"s": nested}, iris, [2], [0], **SIZES, store=store)) == 1


@pytest.mark.parametrize("kept", [1, 2, 5])
def test_a_line_cut_by_a_kill_is_measured_again(iris, tmp_path, kept):
    store = tmp_path / "study.jsonl"
    whole = study({"s": logistic}, iris, [2, 4], [0, 1], **SIZES, store=store)
    lines = store.read_bytes().splitlines(keepends=True)
    store.write_bytes(b"".join(lines[: kept - 1]) + lines[kept - 1][:-9])
    again = study({"s": logistic}, iris, [2, 4], [0, 1], **SIZES, store=store)
    pd.testing.assert_frame_equal(whole.drop(columns="seconds"), again.drop(columns="seconds"))
    assert [json.loads(line) for line in store.read_bytes().splitlines()]


def test_a_store_of_another_study_is_refused_and_left_alone(iris, tmp_path):
    store = tmp_path / "study.jsonl"
    study({"s": logistic}, iris, [2], [0], **SIZES, store=store)
    before = store.read_bytes()
    changed = iris.with_inputs(iris.inputs + 1)
    with pytest.raises(ValueError, match="holds another study: content was"):
        study({"s": logistic}, changed, [2], [0], **SIZES, store=store)
    with pytest.raises(ValueError, match="test_per_class was 15 and is now 10"):
        study({"s": logistic}, iris, [2], [0], **(SIZES | {"test_per_class": 10}), store=store)
    assert store.read_bytes() == before
    diary = tmp_path / "diary.txt"
    diary.write_text("Dear diary,\nno study.\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 1 of store .* is not a study's"):
        study({"s": logistic}, iris, [2], [0], **SIZES, store=diary)
    assert diary.read_text(encoding="utf-8").startswith("Dear diary")


def test_without_validation_its_accuracy_is_missing(iris, tmp_path):
    sizes = SIZES | {"validation_per_class": 0}
    table = study({"s": logistic}, iris, [2], [0], **sizes, store=tmp_path / "s.jsonl")
    again = study({"s": logistic}, iris, [2], [0], **sizes, store=tmp_path / "s.jsonl")
    assert np.isnan(table["validation_accuracy"][0]) and np.isnan(again["validation_accuracy"][0])


# ---- what tables say


def made_up(**accuracies):
    """Make a table: accuracies[strategy][budget] is a list over seeds."""
    rows = [
        (strategy, budget, seed, accuracy)
        for strategy, budgets in accuracies.items()
        for budget, draws in budgets.items()
        for seed, accuracy in enumerate(draws)
    ]
    return pd.DataFrame(rows, columns=["strategy", "budget", "seed", "accuracy"])


TABLE = made_up(
    scratch={1: [0.2, 0.4, 0.6, 0.3], 10: [0.9, 0.91, 0.92, 0.93]},
    moved={1: [0.5, 0.6, 0.7, 0.7], 10: [0.8, 0.82, 0.81, 0.85]},
)


def test_gain_is_the_mean_paired_difference_with_scipys_interval():
    gain = transfer_gain(TABLE, "moved", "scratch")
    differences = np.array([0.3, 0.2, 0.1, 0.4])
    assert gain["gain"].tolist() == pytest.approx([0.25, -0.095])
    assert gain["wins"].tolist() == [4, 0] and gain["n"].tolist() == [4, 4]
    reference = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert (gain["low"][0], gain["high"][0]) == pytest.approx(tuple(reference))


def test_pairing_is_by_seed_not_by_position():
    shuffled = TABLE.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(
        transfer_gain(TABLE, "moved", "scratch"), transfer_gain(shuffled, "moved", "scratch")
    )
    unpaired = TABLE[~((TABLE["strategy"] == "moved") & (TABLE["seed"] == 0))]
    assert transfer_gain(unpaired, "moved", "scratch")["n"].tolist() == [3, 3]


def test_harm_and_crossover_need_evidence():
    assert hurts(TABLE, "moved", "scratch")["budget"].tolist() == [10]
    assert hurts(TABLE, "scratch", "moved").empty  # at 95 % for two budgets together
    assert hurts(TABLE, "scratch", "moved", confidence=0.9)["budget"].tolist() == [1]
    assert crossover(TABLE, "moved", "scratch") == 10
    better = made_up(a={1: [0.6, 0.7], 2: [0.8, 0.84]}, b={1: [0.1, 0.21], 2: [0.2, 0.25]})
    assert crossover(better, "a", "b") is None and hurts(better, "a", "b").empty


def test_one_draw_has_no_interval_and_proves_nothing():
    table = made_up(a={1: [0.9]}, b={1: [0.1]})
    gain = transfer_gain(table, "a", "b")
    assert np.isnan(gain["low"][0]) and crossover(table, "a", "b") == 1
    assert hurts(table, "b", "a").empty


def test_the_summary_shows_mean_and_sample_standard_deviation():
    wide = summary(TABLE)
    assert wide.index.tolist() == ["scratch", "moved"] and wide.columns.tolist() == [1, 10]
    draws = [0.2, 0.4, 0.6, 0.3]
    assert wide.loc["scratch", 1] == f"{np.mean(draws):.2f} ± {np.std(draws, ddof=1):.2f}"
    assert summary(TABLE.iloc[1:]).loc["scratch", 1].endswith("(n=3)")


@pytest.mark.parametrize(
    ("call", "error", "reason"),
    [
        (lambda: transfer_gain(TABLE, "moved", "gone"), ValueError, "baseline is 'gone'"),
        (lambda: transfer_gain(TABLE, "moved", "moved"), ValueError, "are both 'moved'"),
        (
            lambda: transfer_gain(pd.concat([TABLE, TABLE]), "moved", "scratch"),
            ValueError,
            "a trial twice",
        ),
        (lambda: transfer_gain([1], "a", "b"), TypeError, "table is a list"),
        (lambda: summary(TABLE, "speed"), ValueError, r"lacks \['speed'\]"),
        (lambda: summary(TABLE.iloc[:0]), ValueError, "no rows"),
        (lambda: hurts(TABLE, "moved", "scratch", confidence=2), ValueError, "confidence is 2"),
    ],
)
def test_bad_questions_are_refused(call, error, reason):
    with pytest.raises(error, match=reason):
        call()
