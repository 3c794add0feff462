"""What the checks of all chapters share: the hint, calling an answer, comparing it.

Design choices
--------------
- The usual wrong answers are recognised and get a hint of their own.
"""

import numpy as np


class Hint(Exception):  # noqa: N818 - what a student reads
    """An answer is not right yet; the message says where to look."""


def call(function, *arguments):
    """Call an answer; tell an empty one and one that fails from a wrong one."""
    try:
        return function(*arguments)
    except NotImplementedError:
        raise Hint("there is no answer yet: write the body of the function.") from None
    except Exception as error:
        raise Hint(f"your function stops with {type(error).__name__}: {error}") from error


def number(answer, advice):
    """Return a finite float, or say what came instead."""
    try:
        number = float(answer)
    except (TypeError, ValueError):
        raise Hint(f"return one number; you returned {answer!r}.") from None
    if not np.isfinite(number):
        raise Hint(f"you returned {number}; {advice}")
    return number


def recognise(answer, slips, *, rtol=1e-5, atol=1e-8):
    """Give the hint of the first usual slip whose result, or one of a list, was returned."""
    for hint, wrong in slips.items():
        results = wrong if isinstance(wrong, list) else [wrong]
        if any(np.allclose(answer, result, rtol=rtol, atol=atol) for result in results):
            raise Hint(f"{hint}.")


def expect(answer, expected, hint):
    """Compare an exact answer."""
    if answer != expected:
        raise Hint(f"{hint}. You returned {answer!r}, wanted was {expected!r}.")


def close(answer, expected, what):
    """Compare a number."""
    if not np.isclose(answer, expected, rtol=1e-6):
        raise Hint(f"wanted is {what}: {expected:.4f} here; you returned {answer!r}.")
