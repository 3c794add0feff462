"""Rank candidate sources by a score, and ask whether the ranking came true.

Design choices
--------------
- A ranking takes scores by name, so any score, or any other number, can be tried as one.
- Rank correlations say whether the order is right; the regret says what a wrong first place costs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import softmax

from tlcourse.checks import check_positive


@dataclass(frozen=True)
class Ranking:
    """Candidate sources, best first, and how well the order agrees with measured fine-tuning.

    Attributes
    ----------
    scores : dict of str to float
        Score of each source, best first.
    measured : dict of str to float or None
        Measured result of each source in the same order, None where nothing was measured.
    """

    scores: dict[str, float]
    measured: dict[str, float] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sources, best score first; a tuple of str."""
        return tuple(self.scores)

    @property
    def kendall(self) -> float:
        """Kendall's tau-b between scores and measurements, from -1 to 1."""
        return self._correlation(stats.kendalltau)

    @property
    def weighted_kendall(self) -> float:
        """Kendall's tau with more weight on the top of both rankings (Vigna, WWW 2015)."""
        return self._correlation(stats.weightedtau)

    @property
    def spearman(self) -> float:
        """Spearman's rank correlation between scores and measurements, from -1 to 1."""
        return self._correlation(stats.spearmanr)

    @property
    def regret(self) -> float:
        """Best measurement minus that of the source ranked first: the price of the trust."""
        if self.measured is None:
            return float("nan")
        return max(self.measured.values()) - self.measured[self.names[0]]

    def weights(self, temperature: float = 1.0) -> dict[str, float]:
        """Turn scores into shares of a mixture of the sources: a softmax.

        Parameters
        ----------
        temperature : float
            In units of the score, > 0: two sources whose scores differ by it get shares whose
            ratio is e. Small values leave the first source alone, large ones make all equal.

        Returns
        -------
        dict of str to float
            Shares that sum to 1, best first.

        Raises
        ------
        TypeError, ValueError
            If the temperature is no positive number.

        Examples
        --------
        >>> from tlcourse.scores import rank_sources
        >>> rank_sources({"letters": 1.0, "noise": 1.0}).weights()
        {'letters': 0.5, 'noise': 0.5}
        """
        scores = np.array(list(self.scores.values())) / check_positive("temperature", temperature)
        return dict(zip(self.names, softmax(scores).tolist(), strict=True))

    def _correlation(self, statistic: Callable) -> float:
        """Return a rank correlation; NaN without measurements or where all values are equal."""
        if self.measured is None:
            return float("nan")
        columns = [list(column.values()) for column in (self.scores, self.measured)]
        if any(len(set(column)) == 1 for column in columns):
            return float("nan")
        return float(statistic(*columns).statistic)

    def __str__(self) -> str:
        """Return a small table and, where something was measured, the rank correlations."""
        width = max(len("source"), *map(len, self.names))
        lines = [f"{'source':<{width}}  {'score':>9}" + ("   measured" if self.measured else "")]
        for name, score in self.scores.items():
            result = f"  {self.measured[name]:9.4f}" if self.measured else ""
            lines.append(f"{name:<{width}}  {score:9.4f}{result}")
        if self.measured:
            lines.append(
                f"Kendall {self.kendall:.2f}, weighted {self.weighted_kendall:.2f}, "
                f"Spearman {self.spearman:.2f}; regret of the first {self.regret:.4f}"
            )
        return "\n".join(lines)


def rank_sources(
    scores: Mapping[str, float], measured: Mapping[str, float] | None = None
) -> Ranking:
    """Rank candidate sources by score and compare with what fine-tuning gave.

    Parameters
    ----------
    scores : mapping of str to float
        Score of each candidate source on the target; higher is more transferable. Give distances
        with their sign turned.
    measured : mapping of str to float, optional
        Result of fine-tuning from each source, such as accuracy; higher is better.

    Returns
    -------
    Ranking
        Sources, best first; equal scores keep their order.

    Raises
    ------
    TypeError
        If an argument is not a mapping.
    ValueError
        If there are fewer than two sources, names differ, or a number is not finite.

    Examples
    --------
    >>> from tlcourse.scores import rank_sources
    >>> ranking = rank_sources({"letters": -0.4, "noise": -2.1}, {"letters": 0.9, "noise": 0.6})
    >>> ranking.names
    ('letters', 'noise')
    >>> ranking.kendall
    1.0
    """
    numbers = _check_numbers("scores", scores)
    names = sorted(numbers, key=lambda name: numbers[name], reverse=True)
    ranked = {name: numbers[name] for name in names}
    if measured is None:
        return Ranking(ranked)
    results = _check_numbers("measured", measured)
    if set(results) != set(numbers):
        raise ValueError(
            f"measured names {sorted(results)}, but scores names {sorted(numbers)}; "
            "give one measurement for each source."
        )
    return Ranking(ranked, {name: results[name] for name in names})


def _check_numbers(parameter: str, numbers: object) -> dict[str, float]:
    """Return a dict of at least two finite floats."""
    if not isinstance(numbers, Mapping):
        raise TypeError(f"{parameter} is a {type(numbers).__name__}; give a dict: name -> number.")
    if len(numbers) < 2:
        raise ValueError(f"{parameter} has {len(numbers)} entries; a ranking needs at least 2.")
    for name, number in numbers.items():
        if not np.isfinite(number):
            raise ValueError(f"{parameter}[{name!r}] is {number}; give a finite number.")
    return {name: float(number) for name, number in numbers.items()}
