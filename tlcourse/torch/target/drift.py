"""A target that drifts: test on what comes next, then keep up with it.

Design choices
--------------
- A stream is a list of domains in order of time, as `tlcourse.data.drifting` makes one. Each part
  is first a test and only then may be learned from, so no number is measured on training data.
- How to keep up is a function ``update(model, part)``: `recalibrate` uses no label, `Replay` needs
  labels that come after the prediction.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import nn

from tlcourse.checks import check_counts, check_integer
from tlcourse.data import Domain
from tlcourse.evaluation import Evaluation
from tlcourse.torch.feature.adaptation import adapt_batchnorm
from tlcourse.torch.training import evaluate, fit


def follow_stream(
    model: nn.Module,
    stream: Sequence[Domain],
    update: Callable[[nn.Module, Domain], object] | None = None,
    *,
    device: str = "auto",
) -> list[Evaluation]:
    """Test a model on each part of a stream, and let it keep up after each test.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place by ``update``.
    stream : sequence of Domain
        In order of time.
    update : callable, optional
        ``update(model, part)``, called after the test on the part; by default the model stays.
    device : str
        See `choose_device`; of the tests.

    Returns
    -------
    list of tlcourse.evaluation.Evaluation
        One for each part, each measured before the update on it.

    Raises
    ------
    TypeError
        If a part is no `Domain`.
    ValueError
        If the stream is empty.

    Examples
    --------
    >>> from tlcourse import data
    >>> from tlcourse.data.perturbing import drifting
    >>> import tlcourse.torch as tl
    >>> letters = data.load("rendered-letters", n=90)
    >>> stream = drifting(letters, 3, lambda images, time: images * (1 - 0.9 * time), seed=0)
    >>> found = tl.follow_stream(tl.source_model("letters"), stream, tl.recalibrate)
    >>> len(found), found[0].accuracy > 0.8
    (3, True)
    """
    if not len(stream):
        raise ValueError("stream is empty; give at least one Domain.")
    found = []
    for part in stream:
        if not isinstance(part, Domain):
            raise TypeError(f"stream holds a {type(part).__name__}; give Domain objects.")
        found.append(evaluate(model, part, device=device))
        if update is not None:
            update(model, part)
    return found


def recalibrate(model: nn.Module, part: Domain) -> None:
    """Measure BatchNorm's statistics anew on a part of the stream; its labels are not used.

    Parameters
    ----------
    model : torch.nn.Module
        With BatchNorm layers; changed in place.
    part : Domain
        The part just tested.

    References
    ----------
    Schneider, Rusak, Eck, Bringmann, Brendel and Bethge, Improving Robustness against Common
    Corruptions by Covariate Shift Adaptation, NeurIPS 2020; without the mixture with the source's
    statistics.

    Examples
    --------
    >>> from tlcourse import data
    >>> import tlcourse.torch as tl
    >>> model, part = tl.source_model("letters"), data.load("handwritten-digits", n=30)
    >>> norm = model.backbone.body.block1.norm
    >>> before = norm.running_mean.clone()
    >>> tl.recalibrate(model, part)
    >>> bool((norm.running_mean == before).any())
    False
    """
    adapt_batchnorm(model, part.inputs)


class Replay:
    """Train on each part together with a memory of what came before.

    The memory is a reservoir: at any time each example seen so far is in it with the same chance.
    Half of each training set comes from the memory, the other half from the part.

    Parameters
    ----------
    size : int
        Examples in the memory; 0 trains on the part alone, which forgets the past.
    past : Domain, optional
        What the model was trained on, to start the memory with.
    seed : int
        Seed of memory and training.
    **fit_options
        Passed on to `fit`: ``steps``, ``lr``, ``batch_size``, ...

    Attributes
    ----------
    memory : Domain or None
        What is remembered.

    Raises
    ------
    ValueError
        If ``size`` is no integer of at least 0.

    References
    ----------
    Robins, Catastrophic Forgetting, Rehearsal and Pseudorehearsal, Connection Science 7(2), 1995.
    Vitter, Random Sampling with a Reservoir, ACM Transactions on Mathematical Software 11(1), 1985.

    Examples
    --------
    >>> from tlcourse import data
    >>> import tlcourse.torch as tl
    >>> past, part = (data.load(f"{kind}-digits", n=40) for kind in ("rendered", "handwritten"))
    >>> keep_up = tl.Replay(30, past=past, steps=2)
    >>> keep_up(tl.TransferModel(tl.backbone("small-cnn"), 10), part)
    >>> len(keep_up.memory)
    30
    """

    def __init__(
        self, size: int, *, past: Domain | None = None, seed: int = 0, **fit_options: Any
    ) -> None:
        check_integer("size", size, smallest=0)
        check_counts(steps=fit_options.get("steps"), epochs=fit_options.get("epochs"))
        self.size, self.fit_options = size, fit_options
        self.memory: Domain | None = None
        self._seen = 0
        self._rng, self._seed = np.random.default_rng(seed), seed
        if past is not None:
            self._remember(past)

    def __call__(self, model: nn.Module, part: Domain) -> None:
        """Train the model on the part and the memory, then remember some of the part."""
        train = part
        if self.memory is not None:
            rows = self._rng.integers(len(self.memory), size=len(part))
            train = _join(part, self.memory.subset(rows))
        fit(model, train, seed=self._seed, **self.fit_options)
        self._seed += 1
        self._remember(part)

    def _remember(self, part):
        """Put each example into the memory with the chance that keeps all of them equal."""
        if not self.size:
            return
        both = part if self.memory is None else _join(self.memory, part)
        held = len(both) - len(part)
        places = list(range(held))  # row of ``both`` at each place of the memory
        for row in range(held, len(both)):
            self._seen += 1
            if len(places) < self.size:
                places.append(row)
            elif (place := self._rng.integers(self._seen)) < self.size:
                places[place] = row
        self.memory = both.subset(places)


def _join(first, second):
    """Put the examples of two domains of the same classes one after the other."""
    if first.class_names != second.class_names:
        raise ValueError(
            f"{second.name!r} has the classes {second.class_names[:5]}, but {first.name!r} "
            f"{first.class_names[:5]}; a stream keeps its classes."
        )
    return Domain(
        first.name,
        np.concatenate([first.inputs, second.inputs]),
        np.concatenate([first.labels, second.labels]),
        first.class_names,
    )
