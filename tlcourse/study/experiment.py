"""Run every strategy at every budget on every draw.

Design choices
--------------
- A trial draws its own split from the seed, so it is the same in any order and any process.
- Only the strategy is timed; the clock stops before anything is predicted.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from os import PathLike
from time import perf_counter
from typing import Any, NamedTuple

import joblib
import numpy as np
import pandas as pd
from tqdm import tqdm

from tlcourse.checks import check_integer, check_integers
from tlcourse.data import Domain, few_shot_split
from tlcourse.data.domain import check_domain
from tlcourse.evaluation import Evaluation, evaluate_logits
from tlcourse.study.store import COLUMNS, Trial, open_store, trial_of


class Fitted(NamedTuple):
    """What a strategy returns.

    Attributes
    ----------
    predict : callable
        Maps inputs ``(n, ...)`` to logits ``(n, k)``.
    trained_parameters : int
        How many numbers were learned from the target's labels.
    """

    predict: Callable[[Any], np.ndarray]
    trained_parameters: int


class View(NamedTuple):
    """A strategy that sees the target's rows in another form, such as features computed once.

    Attributes
    ----------
    strategy : callable
        As in `study`.
    domain : Domain
        The target's rows in the same order: ``target.with_inputs(features)``.
    """

    strategy: Callable[..., Fitted]
    domain: Domain


class TrialError(RuntimeError):
    """A strategy failed; the message names strategy, budget and seed."""


def study(
    strategies: Mapping[str, Callable[..., Fitted] | View],
    target: Domain,
    budgets: Sequence[int],
    seeds: Sequence[int],
    *,
    validation_per_class: int = 10,
    test_per_class: int = 50,
    store: str | PathLike[str] | None = None,
    workers: int = 1,
    progress: bool = True,
) -> pd.DataFrame:
    """Measure strategies over label budgets and draws of the data.

    For each budget and seed, `few_shot_split` draws one split that all strategies share. With one
    seed, validation and test sets are the same for every budget, and training sets are nested.

    Parameters
    ----------
    strategies : dict of str to callable or View
        Each is called as ``strategy(train, validation, seed=seed)`` with two `Domain` objects and
        returns `Fitted`. All randomness must come from ``seed``.
    target : Domain
        Where labels are scarce.
    budgets : sequence of int
        Training labels per class.
    seeds : sequence of int
        One draw of the data for each.
    validation_per_class, test_per_class : int
        Sizes of the held-out sets, per class.
    store : path, optional
        JSON-lines file. Each trial is appended as soon as it is finished; trials found there are
        not run again. Trials are told apart by strategy name, budget and seed: after changing a
        strategy, give it a new name or delete the file.
    workers : int
        Number of processes. With more than one, each may use ``cores // workers`` threads. It
        helps with many short trials on many cores; ``seconds`` then includes the crowding.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    pandas.DataFrame
        One row for each trial, ordered as ``strategies``, ``budgets`` and ``seeds`` are given:
        ``strategy``, ``budget`` (labels per class), ``seed``, ``accuracy`` and
        ``balanced_accuracy`` on the test set, ``validation_accuracy`` (NaN without validation
        set), ``seconds`` (wall-clock of the strategy call alone: neither prediction nor what was
        done before it, such as extracting the features of a `View`), ``trained_parameters``.

    Raises
    ------
    ValueError
        If a number is out of range, a class has too few examples, a view does not align with the
        target, or the store belongs to another study.
    TypeError
        If a strategy is not callable or the target not a `Domain`.
    TrialError
        If a strategy fails. Trials finished before stay in the store.

    Examples
    --------
    >>> from tlcourse.data import load
    >>> from tlcourse.probing import prototype_probe
    >>> from tlcourse.study import Fitted, study
    >>> def prototypes(train, validation, *, seed):
    ...     return Fitted(prototype_probe(train), trained_parameters=0)
    >>> table = study({"prototypes": prototypes}, load("iris"), [2], [0, 1],
    ...               validation_per_class=0, test_per_class=40, progress=False)
    >>> table[["strategy", "budget", "seed"]].values.tolist()
    [['prototypes', 2, 0], ['prototypes', 2, 1]]
    """
    views = _check_strategies(strategies, target)
    budgets = check_integers("budgets", budgets, smallest=1)
    seeds = check_integers("seeds", seeds, smallest=0)
    check_integer("test_per_class", test_per_class)
    check_integer("workers", workers)
    sizes = {"validation_per_class": validation_per_class, "test_per_class": test_per_class}
    few_shot_split(target, max(budgets), **sizes, seed=0)  # fails now rather than hours later
    trials = [Trial(*cell) for cell in product(views, budgets, seeds)]
    with open_store(store, target, sizes) as (rows, keep):
        missing = [trial for trial in trials if trial not in rows]
        finished = len(trials) - len(missing)
        with tqdm(total=len(trials), initial=finished, disable=not progress) as bar:
            for row in _run(missing, views, sizes, workers):
                keep(row)
                rows[trial_of(row)] = row
                note = f"{row['strategy']}, {row['budget']} per class, seed {row['seed']}"
                bar.set_postfix_str(note, refresh=False)
                bar.update()
    table = pd.DataFrame([rows[trial] for trial in trials], columns=list(COLUMNS))
    return table.astype({"validation_accuracy": float})


def _run(
    trials: list[Trial], views: dict[str, View], sizes: dict[str, int], workers: int
) -> Iterator[dict[str, Any]]:
    """Yield the rows of trials as they finish, here or in other processes."""
    if workers == 1:
        yield from (_run_trial(trial, views[trial.strategy], sizes) for trial in trials)
        return
    threads = max(1, joblib.cpu_count() // workers)
    with joblib.parallel_config("loky", n_jobs=workers, inner_max_num_threads=threads):
        # batches would hold finished rows back, and lose several at an interrupt
        batches: Any = {"batch_size": 1}
        parallel = joblib.Parallel(return_as="generator_unordered", **batches)
    call = joblib.delayed(_run_trial)
    rows: Any = parallel(call(trial, views[trial.strategy], sizes) for trial in trials)
    yield from rows


def _run_trial(trial: Trial, view: View, sizes: dict[str, int]) -> dict[str, Any]:
    """Draw the split, run and time the strategy, and evaluate what it returns."""
    train, validation, test = few_shot_split(view.domain, trial.budget, **sizes, seed=trial.seed)
    try:
        start = perf_counter()
        fitted = view.strategy(train, validation, seed=trial.seed)
        seconds = perf_counter() - start
        if not isinstance(fitted, Fitted):
            raise TypeError(
                f"the strategy returned a {type(fitted).__name__}; return "
                "Fitted(predict, trained_parameters)."
            )
        measured = _evaluate(fitted.predict, test)
        checked = _evaluate(fitted.predict, validation) if len(validation) else None
        row = (
            *trial,
            measured.accuracy,
            measured.balanced_accuracy,
            checked and checked.accuracy,
            seconds,
            int(fitted.trained_parameters),
        )
    except Exception as error:
        raise TrialError(
            f"strategy {trial.strategy!r} failed at budget {trial.budget}, seed {trial.seed}: "
            f"{type(error).__name__}: {error}"
        ) from error
    return dict(zip(COLUMNS, row, strict=True))


def _evaluate(predict: Callable[[Any], np.ndarray], domain: Domain) -> Evaluation:
    """Compare the predictions for a domain with its labels."""
    return evaluate_logits(predict(domain.inputs), domain.labels, domain.class_names)


def _check_strategies(
    strategies: Mapping[str, Callable[..., Fitted] | View], target: Domain
) -> dict[str, View]:
    """Return a view for each strategy, after checking that all of them align with the target."""
    check_domain("target", target)
    if not isinstance(strategies, Mapping) or not strategies:
        raise ValueError(
            f"strategies is {strategies!r}; give a dict of at least one name to a callable."
        )
    views = {}
    for name, entry in strategies.items():
        view = entry if isinstance(entry, View) else View(entry, target)
        if not isinstance(name, str) or not callable(view.strategy):
            raise TypeError(
                f"strategies[{name!r}] is {entry!r}; map a str to a callable or to "
                "View(callable, domain)."
            )
        aligned = (
            isinstance(view.domain, Domain)
            and view.domain.n_classes == target.n_classes
            and np.array_equal(view.domain.labels, target.labels)
        )
        if not aligned:
            raise ValueError(
                f"the view {view.domain!r} of strategies[{name!r}] does not align with {target!r}: "
                "rows, labels and classes must be the target's. Make it by target.with_inputs()."
            )
        views[name] = view
    return views
