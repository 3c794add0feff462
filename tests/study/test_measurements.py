"""What the columns of a study's table mean: which rows are scored, what is timed, which budget."""

import numpy as np
import pandas as pd
import pytest

from tlcourse.data import Domain
from tlcourse.study import Fitted, crossover, study

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
