"""Domains to learn from and to transfer to.

Design choices
--------------
- ``load(name)`` is the one door: embedded, rendered and downloaded domains alike.
- Embedded and rendered domains need no network; downloads are verified before use.
"""

from tlcourse.data import embedded
from tlcourse.data.domain import Domain, Split, few_shot_split

_EMBEDDED = {
    "handwritten-digits": embedded.handwritten_digits,
    "signs": embedded.signs,
    "iris": embedded.iris,
    "wine": embedded.wine,
    "breast-cancer": embedded.breast_cancer,
}
_RENDERED = {
    "rendered-letters": embedded.rendered_letters,
    "rendered-digits": embedded.rendered_digits,
    "rendered-signs": embedded.rendered_signs,
}

__all__ = ["Domain", "Split", "few_shot_split", "load", "names"]
