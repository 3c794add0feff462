"""Multitask learning: one trunk, a head for each task."""

import numpy as np

from tlcourse.checks import check_counts
from tlcourse.keras.models import TransferModel
from tlcourse.keras.training import fit


class SharedTrunk:
    """One backbone with a head for each of several tasks.

    Parameters
    ----------
    backbone : keras.Model
        Shared by all tasks.
    n_classes : dict of str to int
        Classes of each task.
    seed : int
        Seed of the heads.

    Attributes
    ----------
    tasks : dict of str to TransferModel
        For evaluation and prediction; they share the backbone.

    References
    ----------
    Caruana, "Multitask Learning", Machine Learning 28, 1997.
    """

    def __init__(self, backbone, n_classes, *, seed=0):
        if len(n_classes) < 2:
            raise ValueError(f"n_classes is {n_classes!r}; give at least two tasks.")
        self.tasks = {
            task: TransferModel(backbone, k, seed=seed + place)
            for place, (task, k) in enumerate(n_classes.items())
        }

    def fit(self, domains, *, rounds, steps=5, **fit_options):
        """Train all tasks in turn, a few updates each.

        Parameters
        ----------
        domains : dict of str to Domain
            Training examples of each task.
        rounds : int
            How often each task has its turn.
        steps : int
            Updates in a turn.
        **fit_options
            Passed on to `tlcourse.keras.fit`.

        Returns
        -------
        dict of str to list of float
            Mean loss of each turn.

        Raises
        ------
        ValueError
            If the tasks are not those of the trunk, or a number is below 1.
        """
        if set(domains) != set(self.tasks):
            raise ValueError(f"domains has {sorted(domains)}; the tasks are {sorted(self.tasks)}.")
        check_counts(rounds=rounds, steps=steps)
        losses = {task: [] for task in self.tasks}
        for turn in range(rounds):
            for task, model in self.tasks.items():
                history = fit(model, domains[task], steps=steps, seed=turn, **fit_options)
                losses[task] += [float(np.mean(history.loss))]
        return losses
