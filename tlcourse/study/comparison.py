"""What a study's table says: gain, harm, crossover, and a summary for reading.

Design choices
--------------
- Two strategies are compared draw by draw, since both met the same splits.
- No verdict without its evidence: harm is reported as the rows that show it.
- One measure of spread: the standard deviation over the draws, with n - 1 below the line.
- Student's interval, not the bootstrap: from 5 draws a bootstrap interval of 95 % covers the mean
  in about 84 % of cases.
"""

import numpy as np
import pandas as pd
from scipy import stats

from tlcourse.checks import check_integer
from tlcourse.study.store import KEY


def transfer_gain(
    table: pd.DataFrame, strategy: str, baseline: str, *, confidence: float = 0.95
) -> pd.DataFrame:
    """Gain in test accuracy of one strategy over another, paired by draw, for each budget.

    The interval is Student's for the mean of the paired differences [1]_. For normally
    distributed differences it covers the true mean as often as it says, however few the draws;
    the price is width: with 3 draws it is 4.3 standard errors to each side, with 5 draws 2.8,
    with many 2.0.

    Parameters
    ----------
    table : pandas.DataFrame
        Result of `study`.
    strategy, baseline : str
        Names in ``table["strategy"]``.
    confidence : float
        Level of the interval, between 0 and 1.

    Returns
    -------
    pandas.DataFrame
        One row for each budget: ``strategy``, ``baseline``, ``budget``, ``gain`` (mean
        difference), ``low``, ``high``, ``n`` (draws that both have), ``wins`` (draws in which
        the strategy is better). With one draw there is no interval: NaN.

    Raises
    ------
    ValueError
        If columns or names are missing, a trial occurs twice, or no draw is shared.

    References
    ----------
    .. [1] Student, The Probable Error of a Mean, Biometrika 6, 1908.

    Examples
    --------
    >>> import pandas as pd
    >>> from tlcourse.study import transfer_gain
    >>> table = pd.DataFrame({
    ...     "strategy": ["scratch", "scratch", "tuned", "tuned"],
    ...     "budget": [1, 1, 1, 1],
    ...     "seed": [0, 1, 0, 1],
    ...     "accuracy": [0.4, 0.3, 0.7, 0.5],
    ... })
    >>> gain = transfer_gain(table, "tuned", "scratch")
    >>> gain[["budget", "gain", "low", "high", "n", "wins"]].round(3).to_dict("records")
    [{'budget': 1, 'gain': 0.25, 'low': -0.385, 'high': 0.885, 'n': 2, 'wins': 2}]
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence!r}; it must lie between 0 and 1.")
    differences = _paired_differences(table, strategy, baseline)
    gains = []
    for budget, sample in differences.groupby(level="budget"):
        sample = sample.to_numpy()
        interval = _interval(sample, confidence)
        wins = int((sample > 0).sum())
        gains.append((strategy, baseline, budget, sample.mean(), *interval, len(sample), wins))
    columns = ["strategy", "baseline", "budget", "gain", "low", "high", "n", "wins"]
    return pd.DataFrame(gains, columns=columns)


def hurts(
    table: pd.DataFrame,
    strategy: str,
    baseline: str,
    *,
    confidence: float = 0.95,
    comparisons: int | None = None,
) -> pd.DataFrame:
    """Find negative transfer: budgets at which a strategy is worse than the baseline.

    Who looks at twenty intervals of 95 % finds one beyond zero by luck. So each budget is judged
    at a level of ``1 - (1 - confidence) / comparisons`` (Bonferroni): the chance that any is
    listed by luck is then at most ``1 - confidence``. That says nothing about other source
    models, other targets or better-tuned settings; and an empty result is no proof of
    harmlessness, as few draws give little power.

    Parameters
    ----------
    table : pandas.DataFrame
        Result of `study`.
    strategy, baseline : str
        Names in ``table["strategy"]``.
    confidence : float
        Level of the whole search, between 0 and 1.
    comparisons : int, optional
        How many questions are asked in all; by default, one for each budget. Give more when
        several strategies are searched.

    Returns
    -------
    pandas.DataFrame
        The rows of `transfer_gain` with ``high < 0`` at that level, with a column
        ``comparisons``; empty where nothing speaks for harm.

    Raises
    ------
    ValueError
        As `transfer_gain`; or if ``comparisons`` is smaller than the number of budgets.

    Examples
    --------
    >>> import pandas as pd
    >>> from tlcourse.study import hurts
    >>> table = pd.DataFrame({
    ...     "strategy": ["scratch", "scratch", "scratch", "tuned", "tuned", "tuned"],
    ...     "budget": [1, 1, 1, 1, 1, 1],
    ...     "seed": [0, 1, 2, 0, 1, 2],
    ...     "accuracy": [0.4, 0.3, 0.3, 0.7, 0.6, 0.5],
    ... })
    >>> hurts(table, "scratch", "tuned")["budget"].tolist()
    [1]
    """
    budgets = len(transfer_gain(table, strategy, baseline, confidence=confidence))
    comparisons = budgets if comparisons is None else comparisons
    check_integer("comparisons", comparisons)
    if comparisons < budgets:
        raise ValueError(
            f"comparisons is {comparisons}, but {budgets} budgets are compared; count them all."
        )
    level = 1 - (1 - confidence) / comparisons
    gain = transfer_gain(table, strategy, baseline, confidence=level)
    return gain[gain["high"] < 0].assign(comparisons=comparisons).reset_index(drop=True)


def crossover(
    table: pd.DataFrame, strategy: str, baseline: str, *, confidence: float = 0.95
) -> int | None:
    """Find the smallest budget at which a strategy's gain is no longer clear.

    Parameters
    ----------
    table : pandas.DataFrame
        Result of `study`.
    strategy, baseline : str
        Names in ``table["strategy"]``.
    confidence : float
        Level of the interval, between 0 and 1.

    Returns
    -------
    int or None
        Smallest budget whose interval of `transfer_gain` does not lie wholly above zero; None
        if the strategy still gains at the largest budget measured.

    Examples
    --------
    >>> import pandas as pd
    >>> from tlcourse.study import crossover
    >>> table = pd.DataFrame({
    ...     "strategy": ["scratch", "scratch", "tuned", "tuned"],
    ...     "budget": [1, 1, 1, 1],
    ...     "seed": [0, 1, 0, 1],
    ...     "accuracy": [0.4, 0.3, 0.7, 0.61],
    ... })
    >>> crossover(table, "tuned", "scratch") is None
    True
    """
    gain = transfer_gain(table, strategy, baseline, confidence=confidence)
    unclear = gain.loc[~(gain["low"] > 0), "budget"]
    return None if unclear.empty else int(unclear.min())


def finished(table: pd.DataFrame, doubled: pd.DataFrame) -> pd.DataFrame:
    """Say whether runs were long enough, so that twice the training changes little.

    A strategy counts as finished at a budget when twice the updates change its mean accuracy by
    less than the spread, which is the standard deviation over the draws. A baseline that is not
    finished makes every rival look good.

    Parameters
    ----------
    table : pandas.DataFrame
        Result of `study`.
    doubled : pandas.DataFrame
        Result of the same study, strategies under the same names, with twice the updates. It may
        hold fewer strategies and budgets.

    Returns
    -------
    pandas.DataFrame
        A row for each strategy and budget of ``doubled``: ``strategy``, ``budget``,
        ``accuracy``, ``doubled`` (means over the draws that both have), ``change`` (their
        difference), ``spread`` (sample standard deviation in ``table``), ``finished``.

    Raises
    ------
    ValueError
        If columns are missing, or a strategy and budget of ``doubled`` has fewer than two draws
        in common with ``table``.

    Examples
    --------
    >>> import pandas as pd
    >>> from tlcourse.study import finished
    >>> table = pd.DataFrame({
    ...     "strategy": "scratch", "budget": 1, "seed": [0, 1], "accuracy": [0.4, 0.3],
    ... })
    >>> finished(table, table.assign(accuracy=[0.5, 0.48])).round(2).to_dict("records")
    [{'strategy': 'scratch', 'budget': 1, 'accuracy': 0.35, 'doubled': 0.49, 'change': 0.14, \
'spread': 0.07, 'finished': False}]
    """
    for one in (table, doubled):
        require_columns(one, *KEY, "accuracy")
    both = table.merge(doubled, on=list(KEY), suffixes=("", "_doubled"), validate="one_to_one")
    rows = []
    for (strategy, budget), _ in doubled.groupby(["strategy", "budget"], sort=False):
        pairs = both[(both["strategy"] == strategy) & (both["budget"] == budget)]
        if len(pairs) < 2:
            raise ValueError(
                f"{strategy!r} at budget {budget} has {len(pairs)} draws in both tables; measure "
                "at least two, under the same name and seeds."
            )
        once, twice = pairs["accuracy"].mean(), pairs["accuracy_doubled"].mean()
        change, spread = twice - once, pairs["accuracy"].std()
        rows.append((strategy, budget, once, twice, change, spread, bool(abs(change) < spread)))
    columns = ["strategy", "budget", "accuracy", "doubled", "change", "spread", "finished"]
    return pd.DataFrame(rows, columns=columns)


def summary(table: pd.DataFrame, column: str = "accuracy", *, decimals: int = 2) -> pd.DataFrame:
    """Write mean and standard deviation over the draws as a wide table for reading.

    Parameters
    ----------
    table : pandas.DataFrame
        Result of `study`.
    column : str
        Which measurement.
    decimals : int
        Digits after the point.

    Returns
    -------
    pandas.DataFrame of str
        A row for each strategy in order of appearance, a column for each budget, cells like
        ``"0.68 ± 0.07"``; one draw has no ``±``, and a cell with fewer draws than others says so.

    Examples
    --------
    >>> import pandas as pd
    >>> from tlcourse.study import summary
    >>> table = pd.DataFrame({
    ...     "strategy": ["scratch", "scratch", "tuned", "tuned"],
    ...     "budget": [1, 1, 1, 1],
    ...     "seed": [0, 1, 0, 1],
    ...     "accuracy": [0.4, 0.3, 0.7, 0.5],
    ... })
    >>> summary(table)
    labels per class            1
    strategy
    scratch           0.35 ± 0.07
    tuned             0.60 ± 0.14
    """
    require_columns(table, *KEY, column)
    groups = table.groupby(["strategy", "budget"], sort=False)[column]
    cells = groups.agg(["mean", "std", "count"])
    most = cells["count"].max()
    texts = [
        f"{mean:,.{decimals}f}"
        + (f" ± {std:,.{decimals}f}" if count > 1 else "")
        + (f" (n={count})" if count < most else "")
        for mean, std, count in cells.itertuples(index=False)
    ]
    wide = pd.Series(texts, index=cells.index, dtype=object).unstack(fill_value="")
    wide = wide.loc[table["strategy"].unique(), sorted(table["budget"].unique())]
    return wide.rename_axis(index="strategy", columns="labels per class")


def require_columns(table: pd.DataFrame, *columns: str) -> None:
    """Refuse what is not a table with rows and these columns.

    Parameters
    ----------
    table : pandas.DataFrame
        What to check.
    *columns : str
        Names that must be there.

    Raises
    ------
    TypeError
        If ``table`` is not a pandas table.
    ValueError
        If it has no rows or lacks a column.

    Examples
    --------
    >>> import pandas as pd
    >>> from tlcourse.study import require_columns
    >>> require_columns(pd.DataFrame({"budget": [1]}), "budget", "seed")
    Traceback (most recent call last):
        ...
    ValueError: table lacks ['seed']; it has the columns ['budget'].
    """
    if not isinstance(table, pd.DataFrame):
        raise TypeError(
            f"table is a {type(table).__name__}; give the pandas table that study() returns."
        )
    absent = [column for column in columns if column not in table.columns]
    if absent:
        raise ValueError(f"table lacks {absent}; it has the columns {list(table.columns)}.")
    if table.empty:
        raise ValueError("table has no rows; give the result of a study with at least one trial.")


def _paired_differences(table: pd.DataFrame, strategy: str, baseline: str) -> pd.Series:
    """Return accuracy of strategy minus baseline, indexed by the budget and seed both have."""
    require_columns(table, *KEY, "accuracy")
    known = list(table["strategy"].unique())
    for parameter, name in (("strategy", strategy), ("baseline", baseline)):
        if name not in known:
            raise ValueError(f"{parameter} is {name!r}; the table has {known}.")
    if strategy == baseline:
        raise ValueError(f"strategy and baseline are both {strategy!r}; compare two of {known}.")
    if table.duplicated(list(KEY)).any() or not np.isfinite(table["accuracy"]).all():
        raise ValueError(
            "table has a trial twice or an accuracy that is not finite; give study()'s result."
        )
    accuracy = table.set_index(["budget", "seed"]).groupby("strategy")["accuracy"]
    differences = (accuracy.get_group(strategy) - accuracy.get_group(baseline)).dropna()
    if differences.empty:
        raise ValueError(
            f"{strategy!r} and {baseline!r} share no budget and seed; measure both on the same."
        )
    return differences


def _interval(sample: np.ndarray, confidence: float) -> tuple[float, float]:
    """Return Student's interval; a constant sample has a point, a single value nothing."""
    if len(sample) < 2:
        return np.nan, np.nan
    if np.ptp(sample) == 0:
        return sample.mean(), sample.mean()
    return tuple(stats.ttest_1samp(sample, 0).confidence_interval(confidence))
