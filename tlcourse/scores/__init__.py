"""Which source fits, how alike two sets of features are, which model reads the target best.

The map
-------
``transferability``  LEEP, NCE, H-score, LogME: read target labels; higher is more transferable
``similarity``       linear CKA between models; MMD, CORAL and proxy A-distance between domains
``ranking``          rank candidate sources, and ask whether the ranking came true
``choosing``         which model reads an unlabelled target best

Design choices
--------------
- Everything takes arrays: no model is run here; only the proxy A-distance and the weights fit a
  classifier.
- Scores carry their paper's name and higher means more transferable; distances are named so.
"""

from tlcourse.scores.choosing import (
    agreement,
    certainty,
    importance_weights,
    infomax,
    source_validation,
)
from tlcourse.scores.ranking import Ranking, rank_sources
from tlcourse.scores.similarity import (
    coral_distance,
    linear_cka,
    median_bandwidth,
    mmd,
    proxy_a_distance,
)
from tlcourse.scores.transferability import h_score, leep, logme, nce

__all__ = [
    "Ranking",
    "agreement",
    "certainty",
    "coral_distance",
    "h_score",
    "importance_weights",
    "infomax",
    "leep",
    "linear_cka",
    "logme",
    "median_bandwidth",
    "mmd",
    "nce",
    "proxy_a_distance",
    "rank_sources",
    "source_validation",
]
