"""Hints are executed under pytest, shapes included; without pytest nothing is checked.

The root's `conftest.py` has jaxtyping's import hook put `own_messages_first` around every function
and data class of the modules below, where the numbers are worked out by hand.
"""

from typing import Any, Self

from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

MODULES = [
    "tlcourse.align",
    "tlcourse.evaluation",
    "tlcourse.probing",
    "tlcourse.scores",
    "tlcourse.torch.feature.adaptation",
    "tlcourse.torch.target.losses",
]
_check = beartype(conf=BeartypeConf(is_pep484_tower=True))  # 1 is a float where 1.0 is


def switch_on():
    """Execute the hints of the modules, which must not have been imported yet."""
    install_import_hook(MODULES, f"{__name__}.own_messages_first")


def own_messages_first(function):
    """Check a private function's arguments before its body runs, a public one's after it.

    What a public function refuses, it refuses in its own words, which the tests read. What it
    accepts must agree with its hints.

    jaxtyping hands over two stand-ins for each function: one that is called with the arguments
    before the body runs, hinted to return anything, and one that is called with the arguments and
    the result after it.
    """
    hints, name = function.__annotations__, function.__name__
    private = name.startswith("_") and not name.endswith("__")
    if hints.get("return") is Any and not private:
        return function
    if name == "__init__" and function.__module__ == "tlcourse.align":
        return function  # a scikit-learn estimator keeps whatever it is given; `fit` looks at it
    # beartype knows Self in whole classes only
    function.__annotations__ = {key: Any if hint is Self else hint for key, hint in hints.items()}
    return _check(function)
