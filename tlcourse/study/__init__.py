"""Strategies x label budgets x seeds -> one tidy table, and what it says about transfer.

The map
-------
``experiment``  run every strategy at every budget on every draw: `study`, `Fitted`, `View`
``comparison``  what the table says: gain, harm, crossover, finished runs, summary
``controls``    what stands beside every experiment: `raw_pixels`
``store``       finished trials on disk, so that a study can be stopped and resumed

Design choices
--------------
- A strategy is handed training and validation data, never the test set: choices can only be made
  on validation. The test inputs reach the fitted ``predict`` alone, the test labels nobody.
- All strategies meet the same draws: one split for each budget and seed. So differences between
  two strategies are paired, and most of the luck of the draw cancels.
- Every finished trial is one line on disk. What was measured once is not measured again.
- Intervals are Student's, of the paired differences; what they do not cover stands beside them.
"""

from tlcourse.study.comparison import (
    crossover,
    finished,
    hurts,
    require_columns,
    summary,
    transfer_gain,
)
from tlcourse.study.controls import raw_pixels
from tlcourse.study.experiment import Fitted, TrialError, View, study

__all__ = [
    "Fitted",
    "TrialError",
    "View",
    "crossover",
    "finished",
    "hurts",
    "raw_pixels",
    "require_columns",
    "study",
    "summary",
    "transfer_gain",
]
