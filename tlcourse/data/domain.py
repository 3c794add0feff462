"""A domain: labelled inputs with their class names, origin and licence; and its few-shot split.

Design choices
--------------
- A domain is data, not a loader: two arrays that fit every framework and can be memory-mapped;
  a folder's pictures look like one.
- Bad arrays are refused when the domain is made, so no later code has to look again.
- What refuses an argument that is no domain stands here too: `tlcourse.checks` lies below and
  knows numbers and arrays only.
- With one seed, validation and test sets stay the same for every label budget, and a small
  training set is contained in a larger one. So learning curves compare like with like.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from tlcourse.checks import check_integer
from tlcourse.data.pictures import Pictures

_PIECE_BYTES = 2**24


@dataclass(frozen=True, eq=False)
class Domain:
    """Labelled inputs drawn from one distribution.

    Parameters
    ----------
    name : str
        Short name, such as ``"handwritten-digits"``.
    inputs : ndarray or Pictures
        Images ``(n, h, w, c)`` float32 in [0, 1] with 1 or 3 channels, or feature rows
        ``(n, d)`` float32. Other floating-point numbers are converted. `Pictures`, those of a
        folder, stay as they are; ``np.asarray(domain.inputs)`` decodes them.
    labels : ndarray of int64, shape (n,)
        Class indices from 0 to ``len(class_names) - 1``.
    class_names : sequence of str
        One name for each class.
    origin : str
        Where the data come from.
    licence : str
        Under which licence they may be used.

    Raises
    ------
    TypeError
        If ``inputs`` are not floating-point numbers or ``labels`` not integers.
    ValueError
        If shapes disagree, values are not finite, images leave [0, 1], or a label has no name.

    Examples
    --------
    >>> import numpy as np
    >>> from tlcourse.data import Domain
    >>> lengths = np.array([[1.4, 0.2], [4.7, 1.4], [1.3, 0.2]])
    >>> domain = Domain("petals", lengths, np.array([0, 1, 0]), ["setosa", "versicolor"])
    >>> domain
    Domain('petals', 3 x 2, 2 classes)
    >>> domain.subset(domain.labels == 0).inputs
    array([[1.4, 0.2],
           [1.3, 0.2]], dtype=float32)
    """

    name: str
    inputs: np.ndarray | Pictures
    labels: np.ndarray
    class_names: Sequence[str]
    origin: str = field(default="", repr=False)
    licence: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Check the arrays and fix their types."""
        inputs, labels = _as_float32(self.name, self.inputs), np.asarray(self.labels)
        if not isinstance(inputs, Pictures):  # whose values cannot be wrong
            _check_inputs(self.name, inputs)
        _check_labels(self.name, labels, len(inputs), len(self.class_names))
        object.__setattr__(self, "inputs", inputs)
        object.__setattr__(self, "labels", labels.astype(np.int64, copy=False))
        object.__setattr__(self, "class_names", tuple(str(name) for name in self.class_names))

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.inputs)

    def __repr__(self) -> str:
        """Describe the domain in one line, without its arrays."""
        shape = "x".join(map(str, self.inputs.shape[1:]))
        return f"Domain({self.name!r}, {len(self)} x {shape}, {self.n_classes} classes)"

    @property
    def n_classes(self) -> int:
        """Number of classes that have a name, whether or not an example is present."""
        return len(self.class_names)

    @property
    def is_image(self) -> bool:
        """Whether the inputs are images ``(n, h, w, c)``."""
        return self.inputs.ndim == 4

    def subset(self, indices: np.ndarray | slice | Sequence[int]) -> Domain:
        """Return the domain reduced to some rows.

        Parameters
        ----------
        indices : array of int or bool
            Rows to keep, in this order.

        Returns
        -------
        Domain
            The same classes. Arrays are copies, but for a slice, which shows the same memory;
            `Pictures` share theirs.
        """
        if isinstance(self.inputs, Pictures):
            inputs = self.inputs.subset(indices)
        else:
            inputs = self.inputs[indices]
        return replace(self, inputs=inputs, labels=self.labels[indices])

    def with_inputs(self, inputs: np.ndarray | Pictures, name: str | None = None) -> Domain:
        """Return the same labels under another view of the inputs, such as extracted features.

        Parameters
        ----------
        inputs : ndarray or Pictures, shape (n, ...)
            One row for each label.
        name : str, optional
            Name of the new domain; by default the name stays.

        Returns
        -------
        Domain
        """
        return replace(self, inputs=inputs, name=name or self.name)


class Split(NamedTuple):
    """Disjoint parts of one domain."""

    train: Domain
    validation: Domain
    test: Domain


def few_shot_split(
    domain: Domain,
    per_class: int,
    *,
    validation_per_class: int = 10,
    test_per_class: int = 50,
    seed: int,
) -> Split:
    """Draw disjoint training, validation and test sets with equal labels per class.

    The same seed gives the same validation and test sets for every ``per_class``, and the
    training set of a small budget is contained in that of a larger one.

    Parameters
    ----------
    domain : Domain
        What to draw from.
    per_class : int
        Training labels per class, the label budget.
    validation_per_class, test_per_class : int
        Sizes of the two held-out sets, per class. Zero leaves the set empty.
    seed : int
        Seed of the draw.

    Returns
    -------
    Split
        ``train``, ``validation`` and ``test`` domains, each shuffled.

    Raises
    ------
    ValueError
        If a number is negative, ``per_class`` is zero, or a class has too few examples.

    Examples
    --------
    >>> from tlcourse import data
    >>> iris = data.load("iris")
    >>> split = data.few_shot_split(iris, 5, validation_per_class=10, test_per_class=20, seed=0)
    >>> [len(part) for part in split]
    [15, 30, 60]
    """
    check_integer("per_class", per_class)
    check_integer("validation_per_class", validation_per_class, smallest=0)
    check_integer("test_per_class", test_per_class, smallest=0)
    edges = np.cumsum([test_per_class, validation_per_class, per_class])
    needed = edges[-1]
    rng = np.random.default_rng(seed)
    parts = [], [], []
    for label, class_name in enumerate(domain.class_names):
        rows = rng.permutation(np.flatnonzero(domain.labels == label))
        if len(rows) < needed:
            raise ValueError(
                f"class {class_name!r} of {domain.name!r} has {len(rows)} examples, but per_class="
                f"{per_class} + validation_per_class={validation_per_class} + test_per_class="
                f"{test_per_class} need {needed}. Lower one of the three."
            )
        for part, chosen in zip(parts, np.split(rows[:needed], edges[:-1]), strict=True):
            part.append(chosen)
    test, validation, train = (
        domain.subset(np.random.default_rng(seed).permutation(np.concatenate(part)))
        for part in parts
    )
    return Split(train, validation, test)


def check_training_data(train: Domain, validation: Domain | None, patience: int | None) -> None:
    """Refuse data that no training can use.

    Parameters
    ----------
    train, validation : Domain
        Of the training; the validation set may be None.
    patience : int or None
        Of the training.

    Raises
    ------
    TypeError
        If either is no `Domain`.
    ValueError
        If either is empty, or there is patience without a validation set.
    """
    check_domain("train", train)
    if validation is not None:
        check_domain("validation", validation)
    if patience is not None and validation is None:
        raise ValueError(f"patience is {patience}, but there is no validation set; give one.")


def check_domain(name: str, domain: Domain) -> None:
    """Refuse what is no domain, or an empty one.

    Parameters
    ----------
    name : str
        The parameter, for the message.
    domain : Domain
        What was given.

    Raises
    ------
    TypeError
        If it is no `Domain`.
    ValueError
        If it has no examples.
    """
    if not isinstance(domain, Domain):
        raise TypeError(f"{name} is a {type(domain).__name__}; give a tlcourse.data.Domain.")
    if not len(domain):
        raise ValueError(f"{name} has no examples; give at least one.")


def content_of(inputs: np.ndarray | Pictures) -> Iterator[bytes | memoryview]:
    """Yield what tells inputs from others, for a hash, without holding much of it at once.

    Parameters
    ----------
    inputs : ndarray or Pictures
        Of a domain; they may be memory-mapped.

    Yields
    ------
    bytes-like
        The bytes of an array, in pieces of 16 MiB or of one row; the fingerprint of `Pictures`.

    Examples
    --------
    >>> import numpy as np
    >>> from tlcourse.data.domain import content_of
    >>> [len(bytes(piece)) for piece in content_of(np.zeros((3, 2), dtype=np.float32))]
    [24]
    """
    if isinstance(inputs, Pictures):
        yield inputs.fingerprint().encode()
        return
    rows = max(1, _PIECE_BYTES // max(1, inputs[:1].nbytes))
    for start in range(0, len(inputs), rows):
        yield np.ascontiguousarray(inputs[start : start + rows]).data


def _as_float32(name, inputs):
    """Return floating-point inputs as float32, where what is too large becomes infinite."""
    if isinstance(inputs, Pictures):
        return inputs
    inputs = np.asanyarray(inputs)
    if not np.issubdtype(inputs.dtype, np.floating):
        raise TypeError(
            f"inputs of {name!r} have dtype {inputs.dtype}; give floating-point numbers "
            "(images scaled to [0, 1]: divide bytes by 255)."
        )
    with np.errstate(over="ignore"):  # the check that follows refuses it in words
        return inputs.astype(np.float32, copy=False)


def _check_inputs(name, inputs):
    """Refuse inputs that are not finite images in [0, 1] or rows."""
    if inputs.ndim not in (2, 4) or (inputs.ndim == 4 and inputs.shape[3] not in (1, 3)):
        raise ValueError(
            f"inputs of {name!r} have shape {inputs.shape}; give images (n, h, w, 1 or 3) "
            "or rows (n, d)."
        )
    if inputs.size == 0:
        return
    low, high = inputs.min(), inputs.max()
    if not np.isfinite(low) or not np.isfinite(high):
        raise ValueError(
            f"inputs of {name!r} contain NaN or infinity (beyond 3.4e38 a number is infinite in "
            "float32); drop or repair these rows."
        )
    if inputs.ndim == 4 and (low < 0 or high > 1):
        raise ValueError(
            f"images of {name!r} span [{low:.3g}, {high:.3g}]; scale them to [0, 1]. "
            "Normalisation belongs to the model's preprocessing."
        )


def _check_labels(name, labels, n_inputs, n_classes):
    """Refuse labels that are not integers naming a class, one for each input."""
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(f"labels of {name!r} have dtype {labels.dtype}; give integers from 0.")
    if labels.shape != (n_inputs,):
        raise ValueError(
            f"labels of {name!r} have shape {labels.shape}; {n_inputs} inputs need ({n_inputs},)."
        )
    if labels.size and (labels.min() < 0 or labels.max() >= n_classes):
        raise ValueError(
            f"labels of {name!r} span [{labels.min()}, {labels.max()}], but {n_classes} class "
            f"names allow 0 to {n_classes - 1}."
        )
