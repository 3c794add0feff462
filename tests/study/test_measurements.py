"""What the columns of a study's table mean: which rows are scored, what is timed, which budget."""

import joblib
import numpy as np
import pandas as pd
import pytest

from tlcourse.data import Domain
from tlcourse.study import Fitted, TrialError, View, crossover, study

SIZES = {"validation_per_class": 5, "test_per_class": 15, "progress": False}


@pytest.fixture
def numbered():
    """Rows that are told apart by their number, three classes of 30."""
    return Domain("numbered", np.arange(90.0)[:, None], np.arange(90) % 3, tuple("abc"))


def learn_by_heart(train, validation, *, seed):
    """Answer rightly for every row that was handed over, wrongly for every other."""
    known = {
        row.item(): label
        for part in (train, validation)
        for row, label in zip(part.inputs, part.labels, strict=True)
    }

    def predict(inputs):
        right = inputs[:, 0].astype(int) % 3
        seen = np.array([row in known for row in inputs[:, 0].tolist()])
        return np.eye(3)[np.where(seen, right, (right + 1) % 3)]

    return Fitted(predict, 0)


def test_accuracy_is_that_of_the_test_set_and_never_of_rows_the_strategy_met(numbered):
    table = study({"by heart": learn_by_heart}, numbered, [2, 8], [0, 1], **SIZES)
    assert (table["accuracy"] == 0).all() and (table["balanced_accuracy"] == 0).all()
    assert (table["validation_accuracy"] == 1).all()


def test_the_clock_stops_before_anything_is_predicted(numbered, monkeypatch):
    now = 1000.0
    monkeypatch.setattr("tlcourse.study.experiment.perf_counter", lambda: now)

    def slow(train, validation, *, seed):
        def predict(inputs):
            nonlocal now
            now += 500
            return np.zeros((len(inputs), 3))

        nonlocal now
        now += 7
        return Fitted(predict, 0)

    table = study({"slow": slow}, numbered, [2], [0, 1], **SIZES)
    assert table["seconds"].tolist() == [7, 7] and now == 1000 + 2 * (7 + 2 * 500)


def test_crossover_is_the_first_budget_without_a_clear_gain_not_the_last():
    gains = {50: -0.3, 20: 0.4, 5: 0.0, 1: 0.5}  # clear at 1, not at 5, clear at 20, harm at 50
    rows = [
        (strategy, budget, seed, 0.5 + (gain if strategy == "moved" else 0) + luck)
        for budget, gain in gains.items()
        for seed, luck in enumerate([-0.01, 0.0, 0.01])
        for strategy in ("moved", "scratch")
    ]
    table = pd.DataFrame(rows, columns=["strategy", "budget", "seed", "accuracy"])
    assert crossover(table, "moved", "scratch") == 5


def test_held_out_sets_have_ten_and_fifty_examples_per_class_unless_told_otherwise():
    sizes = []

    def sizing(train, validation, *, seed):
        def predict(inputs):
            sizes.append(len(inputs))
            return np.zeros((len(inputs), 2))

        sizes.extend([len(train), len(validation)])
        return Fitted(predict, 0)

    target = Domain("many", np.arange(200.0)[:, None], np.arange(200) % 2, ("a", "b"))
    study({"sizing": sizing}, target, [3], [0], progress=False)
    assert sizes == [6, 20, 100, 20]  # training and validation, then what was predicted


def test_the_bar_counts_trials_those_in_the_store_included(numbered, tmp_path, capsys):
    shown = {"validation_per_class": 5, "test_per_class": 15, "store": tmp_path / "s.jsonl"}
    study({"by heart": learn_by_heart}, numbered, [2], [0], **shown, progress=False)
    assert capsys.readouterr().err == ""
    study({"by heart": learn_by_heart}, numbered, [2, 3], [0, 1], **shown)
    bar = capsys.readouterr().err
    assert "1/4" in bar and "4/4" in bar and "5/4" not in bar
    assert "by heart, 3 per class, seed 1" in bar


def test_what_was_learned_is_a_whole_number_and_a_missing_accuracy_a_float(numbered):
    def numpy_count(train, validation, *, seed):
        return Fitted(lambda inputs: np.eye(3)[inputs[:, 0].astype(int) % 3], np.float64(12))

    sizes = SIZES | {"validation_per_class": 0}
    table = study({"s": numpy_count}, numbered, [2], [0], **sizes)
    assert table["trained_parameters"].dtype == np.int64 and table["trained_parameters"][0] == 12
    assert table["validation_accuracy"].dtype == np.float64
    assert table["accuracy"][0] == 1


def test_a_right_answer_on_validation_only_is_its_accuracy_only(numbered):
    """A share of one half there is told from none and from all."""

    def half(train, validation, *, seed):
        good = set(validation.inputs[::2, 0].tolist())

        def predict(inputs):
            right = inputs[:, 0].astype(int) % 3
            known = np.array([row in good for row in inputs[:, 0].tolist()])
            return np.eye(3)[np.where(known, right, (right + 1) % 3)]

        return Fitted(predict, 0)

    table = study({"half": half}, numbered, [2], [0], **SIZES)
    assert table["validation_accuracy"][0] == 8 / 15 and table["accuracy"][0] == 0


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"strategies": [learn_by_heart]}, ValueError, "give a dict of at least one name"),
        ({"strategies": {3: learn_by_heart}}, TypeError, r"strategies\[3\] is .*; map a str to a"),
        (
            {"strategies": {"a": View(3, None)}},
            TypeError,
            r"\['a'\] is View.* View\(callable, domain\).$",
        ),
        ({"strategies": {"a": View(learn_by_heart, 3)}}, ValueError, "the view 3 of .*'a'.*align"),
        ({"seeds": [-1]}, ValueError, r"seeds\[0\] is -1; it must be an integer >= 0"),
        ({"test_per_class": 0}, ValueError, "^test_per_class is 0"),
        ({"budgets": [2, 11]}, ValueError, "examples"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_runs(numbered, changes, error, reason):
    ran = []
    calls = {"strategies": {"s": lambda *a, **k: ran.append(a)}, "budgets": [2], "seeds": [0]}
    with pytest.raises(error, match=reason):
        study(target=numbered, **(calls | SIZES | changes))
    assert not ran


def test_a_view_of_other_classes_does_not_align(numbered):
    other = Domain("other", numbered.inputs, numbered.labels, tuple("abcd"))
    with pytest.raises(
        ValueError, match=r"numbered.*: rows, labels and .* Make it by target.with_inputs\(\).$"
    ):
        study({"s": View(learn_by_heart, other)}, numbered, [2], [0], **SIZES)


@pytest.mark.parametrize(("cores", "threads"), [(9, 3), (2, 1)])
def test_several_workers_are_processes_that_share_the_cores(numbered, monkeypatch, cores, threads):
    """Here they are threads, and what was asked for is looked at; test_study has the processes."""
    asked, configure = [], joblib.parallel_config

    def in_threads(backend, **options):
        asked.append((backend, options))
        return configure("threading", n_jobs=options["n_jobs"])

    monkeypatch.setattr("joblib.cpu_count", lambda: cores)
    monkeypatch.setattr("joblib.parallel_config", in_threads)
    calls = ({"by heart": learn_by_heart}, numbered, [2, 3], [0, 1])
    three = study(*calls, **SIZES, workers=3)
    assert asked == [("loky", {"n_jobs": 3, "inner_max_num_threads": threads})]
    one = study(*calls, **SIZES)
    pd.testing.assert_frame_equal(three.drop(columns="seconds"), one.drop(columns="seconds"))
    assert len(asked) == 1  # one worker is this process


def test_two_workers_are_not_one(numbered, monkeypatch):
    def refused(*arguments, **options):
        raise InterruptedError("processes")

    monkeypatch.setattr("joblib.parallel_config", refused)
    with pytest.raises(InterruptedError):
        study({"by heart": learn_by_heart}, numbered, [2], [0], **SIZES, workers=2)


def test_a_failure_is_told_with_the_type_of_what_went_wrong(numbered):
    def broken(train, validation, *, seed):
        raise ArithmeticError("too much")

    with pytest.raises(TrialError, match="seed 0: ArithmeticError: too much$"):
        study({"broken": broken}, numbered, [2], [0], **SIZES)
    with pytest.raises(TrialError, match="TypeError: the strategy returned a int; return Fitted"):
        study({"bare": lambda train, validation, seed: 3}, numbered, [2], [0], **SIZES)
