"""What the checks of all chapters share: the hint, calling an answer, comparing it.

Design choices
--------------
- The usual wrong answers are recognised and get a hint of their own.
- An answer gets copies, so that one that works in place spoils nothing; only a check that
  is about working in place hands out its own.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


class Hint(Exception):  # noqa: N818 - what a student reads
    """An answer is not right yet; the message says where to look.

    Examples
    --------
    >>> from tlcourse import exercises
    >>> def setting(source_labels, target_labels, same_task):
    ...     return "inductive"
    >>> exercises.check_setting(setting)
    Traceback (most recent call last):
        ...
    tlcourse.exercises.hints.Hint: source labels True, target labels False, same task True: labels
    in the source only, and the same task, so 'transductive'; you returned 'inductive'.
    """


def call(
    function: Callable[..., Any],
    *arguments: object,
    copies: bool = True,
    may_be_none: bool = False,
) -> Any:
    """Call an answer, on copies; tell an empty one and one that fails from a wrong one."""
    try:
        answer = function(*(copy.deepcopy(arguments) if copies else arguments))
    except NotImplementedError:
        raise Hint("there is no answer yet: write the body of the function.") from None
    except Exception as error:
        raise Hint(f"your function stops with {type(error).__name__}: {error}") from error
    if answer is None and not may_be_none:
        raise Hint("your function returns nothing; does it end with `return ...`?")
    return answer


def array(answer: Any, *shape: int) -> np.ndarray:
    """Return a list, tuple, tensor or array as floats of this shape, or say what came instead."""
    if hasattr(answer, "detach"):
        answer = answer.detach().cpu()
    try:
        values = np.asarray(answer, dtype=float)
    except (TypeError, ValueError):
        raise Hint(f"return numbers in an array; you returned {answer!r}.") from None
    if values.shape != shape:
        raise Hint(f"return an array of shape {shape}; yours has shape {values.shape}.")
    return values


def number(answer: Any, advice: str) -> float:
    """Return a finite float, or say what came instead."""
    if np.ndim(answer) != 0:
        raise Hint(f"return one number; yours has shape {np.shape(answer)}.")
    try:
        value = float(answer)
    except (TypeError, ValueError):
        raise Hint(f"return one number; you returned {answer!r}.") from None
    if not np.isfinite(value):
        raise Hint(f"you returned {value}; {advice}")
    return value


def recognise(
    answer: Any, slips: Mapping[str, Any], *, rtol: float = 1e-5, atol: float = 1e-8
) -> None:
    """Give the hint of the first usual slip whose result, or one of a list, was returned."""
    for hint, wrong in slips.items():
        results = wrong if isinstance(wrong, list) else [wrong]
        if any(np.allclose(answer, result, rtol=rtol, atol=atol) for result in results):
            raise Hint(f"{hint}.")


def expect(answer: Any, expected: object, hint: str) -> None:
    """Compare an exact answer."""
    if answer != expected:
        raise Hint(f"{hint}. You returned {answer!r}, wanted was {expected!r}.")


def close(answer: Any, expected: Any, what: str) -> None:
    """Compare a number."""
    if not np.isclose(answer, expected, rtol=1e-6):
        raise Hint(f"wanted is {what}: {expected:.4f} here; you returned {answer!r}.")
