"""Sentences of the book that the code stands up for.

A chapter marks a sentence that compares or counts by a role,
``{claim}`the probe leads by {lead:.2f} <probe-leads>```, and a cell below says what must hold::

    claim("probe-leads", lambda lead, error: lead > 2 * error, lead=0.11, error=0.02)

Design choices
--------------
- The condition is a function of the numbers that it is about. So it can be asked twice: of the
  numbers as measured, where it must hold, and of the nearest wrong statement, where it must not.
  A condition that holds either way says nothing, and is an error too.
- The numbers go out with the cell's outputs. The page takes the sentence's numbers from there, so
  none is typed, and shows condition and numbers behind the sentence.
"""

import ast
import inspect
import itertools
from collections.abc import Callable

import numpy as np

MIME_TYPE = "application/vnd.tlcourse.claim+json"


class ClaimError(AssertionError):
    """A sentence of the book is not true of the numbers beside it."""


class LooseClaimError(ClaimError):
    """A condition would hold for a wrong sentence too, so it holds nothing up."""


def claim(
    name: str,
    condition: Callable[..., bool],
    *,
    apart: float | None = None,
    **shown: object,
) -> None:
    """Check what a sentence says, and that the opposite would have been noticed.

    The nearest wrong statements are made from the numbers: two of them, or the entries of one
    array, in reversed order; all of them equal (no effect); a single number with its sign turned,
    or zero. Given ``apart``, they are instead each number moved up and each moved down by so much;
    a condition on a level, or one that says "no difference", needs this.

    Parameters
    ----------
    name : str
        The role's target, unique in the chapter.
    condition : callable
        Takes the shown values by keyword and says whether the sentence is true. Write a ``lambda``:
        the page shows its source.
    apart : float, optional
        The smallest change of a number that would make the sentence wrong, at least in one
        direction.
    **shown : number, array of numbers, bool or str
        What was measured.

    Raises
    ------
    ClaimError
        If the condition does not hold.
    LooseClaimError
        If the condition holds for a nearest wrong statement as well.
    ValueError
        If nothing is shown, or a number is not finite.

    Examples
    --------
    >>> from tlcourse.claims import claim
    >>> claim("probe-leads", lambda lead: lead > 0.05, lead=0.11)
    probe-leads holds: lead = 0.11
    """
    values = {key: _plain(name, key, value) for key, value in shown.items()}
    if not values:
        raise ValueError(f"claim {name!r} shows nothing; give the numbers that it is about.")
    given = ", ".join(f"{key} = {_shown(value)}" for key, value in values.items())
    if not condition(**values):
        raise ClaimError(f"claim {name!r} does not hold: {given}.")
    for what, rivals in _nearest_wrong(values, apart):
        if all(condition(**values | rival) for rival in rivals):
            raise LooseClaimError(
                f"claim {name!r} holds for {given}, but would hold with {what} too. Tighten the "
                "condition, or say by apart=... how far a number may be off."
            )
    _publish(name, _source(name, condition), values, given)


def _plain(name, key, value):
    """Return a shown value as Python's own number, list of numbers, bool or str."""
    if isinstance(value, str | bool | np.bool_):
        return value if isinstance(value, str) else bool(value)
    array = np.asarray(value, dtype=float)
    if array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"claim {name!r} shows {key} = {value!r}; give finite numbers.")
    if np.issubdtype(np.asarray(value).dtype, np.integer):
        return np.asarray(value).tolist()
    return array.tolist()


def _nearest_wrong(values, apart):
    """Yield what would be wrong, and changes of the values of which one at least must fail."""
    numbers = {
        key: np.asarray(value, dtype=float)
        for key, value in values.items()
        if not isinstance(value, str | bool)
    }
    for key, value in values.items():
        if isinstance(value, bool):
            yield f"{key} = {not value}", [{key: not value}]
    if apart is not None:
        for key, number in numbers.items():
            moved = [{key: (number + step).tolist()} for step in (apart, -apart)]
            yield f"{key} moved by {apart:g} either way", moved
    elif sum(number.size for number in numbers.values()) == 1:
        ((key, number),) = numbers.items()
        yield f"{key} = {-number:g}", [{key: -float(number)}]
        yield f"{key} = 0", [{key: 0.0}]
    elif numbers:
        everything = np.concatenate([number.ravel() for number in numbers.values()])
        turned = np.empty_like(everything)
        turned[np.argsort(everything)] = np.sort(everything)[::-1]
        yield "the order turned round", [_refilled(numbers, turned)]
        level = np.full_like(everything, everything.mean())
        yield "all of them equal", [_refilled(numbers, level)]


def _refilled(numbers, flat):
    """Give the numbers of a flat array back their names and shapes."""
    ends = list(itertools.accumulate(number.size for number in numbers.values()))
    parts = np.split(flat, ends[:-1])
    return {
        key: part.reshape(number.shape).tolist()
        for (key, number), part in zip(numbers.items(), parts, strict=True)
    }


def _source(name, condition):
    """Return the condition as it is written in the cell, or its name where there is no source."""
    try:
        tree = ast.parse(inspect.cleandoc("\n" + "".join(inspect.findsource(condition)[0])))
    except (OSError, SyntaxError, TypeError):
        return getattr(condition, "__name__", "condition")
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and len(node.args) > 1
            and isinstance(node.args[1], ast.Lambda)
        ):
            first = node.args[0]
            if isinstance(first, ast.Constant) and first.value == name:
                return ast.unparse(node.args[1].body)
    return getattr(condition, "__name__", "condition")


def _shown(value):
    """Write a value briefly."""
    if isinstance(value, list):
        return "[" + ", ".join(_shown(one) for one in value) + "]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _publish(name, source, values, given):
    """Send the claim out with the cell's outputs; without a notebook, print it."""
    line = f"{name} holds: {given}"
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        get_ipython = None
    if get_ipython is None or get_ipython() is None:
        print(line)
        return
    record = {"name": name, "condition": source, "shown": values, "given": given}
    display({MIME_TYPE: record, "text/plain": line}, raw=True)
