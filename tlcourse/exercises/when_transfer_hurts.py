"""Checks of chapter 14's exercises: the guard, harm or luck, names that do not fit.

Design choices
--------------
- Each usual slip gives an answer of its own on the inputs of the check, and is known by it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from tlcourse.exercises.hints import Hint, array, call, recognise


def check_guarded(function: Callable[..., Any]) -> None:
    """Check ``guarded(validation, test)``.

    Parameters
    ----------
    function : callable
        Maps the accuracies of candidates on validation and on test data, both
        ``(draws, candidates)``, to the test accuracy of the chosen one in each draw ``(draws,)``.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    validation = np.array([[0.6, 0.9, 0.8], [0.7, 0.5, 0.7], [0.4, 0.7, 0.5], [0.3, 0.8, 0.9]])
    test = np.array([[0.61, 0.72, 0.83], [0.64, 0.55, 0.46], [0.67, 0.58, 0.49], [0.31, 0.42, 0.5]])
    draws, best = np.arange(4), validation.argmax(axis=1)
    answer = array(call(function, validation, test), 4)
    usual = {
        "you choose on the test; a choice may only look at validation data": test.max(axis=1),
        "you choose one candidate for all draws; the guard chooses anew in each": test[
            :, validation.mean(axis=0).argmax()
        ],
        "where candidates are level, take the first, which is training from scratch": test[
            draws, [1, 2, 1, 2]
        ],
        "you return the accuracy on validation data, which the choice has made too large": (
            validation.max(axis=1)
        ),
        "you return which candidate is chosen; wanted is its accuracy on the test": best,
        "you never leave training from scratch": test[:, 0],
        "you take the worst on validation data": test[draws, validation.argmin(axis=1)],
    }
    recognise(answer, usual)
    if not np.allclose(answer, test[draws, best]):
        raise Hint(
            f"for validation accuracies {validation.tolist()} the candidates chosen are "
            f"{best.tolist()}; return the test accuracy of each in its own draw."
        )
    print("Right.")


def check_harmful(function: Callable[..., Any]) -> None:
    """Check ``harmful(differences, chance)``.

    Parameters
    ----------
    function : callable
        Maps paired differences to the baseline, ``(questions, draws)``, and the chance of any
        false alarm that is allowed, to one truth value for each question.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    noise = np.array([-1.2, -0.5, 0.1, 0.6, 1.0])
    noise = (noise - noise.mean()) / noise.std(ddof=1) * np.sqrt(5)
    wanted = np.array([-7.0, -4.8, -4.4, -3.0, 7.0, -2.72, -0.5])  # Student's t of each question
    differences = 0.02 * (wanted[:, None] + noise)
    answer = array(call(function, differences, 0.05), 7).astype(bool)
    two_sided, one_sided = stats.t.isf([0.05 / 14, 0.05 / 7], 4)
    usual = {
        "seven questions are asked, so each is judged at a seventh of the chance": wanted
        < -stats.t.isf(0.025, 4),
        "a mean below zero is not yet harm: is the whole interval below zero?": wanted < 0,
        "with five draws the normal distribution is too sure; take Student's, with 4 degrees of "
        "freedom": wanted < -stats.norm.isf(0.05 / 14),
        "the spread divides by n - 1: ddof=1": wanted * np.sqrt(5 / 4) < -two_sided,
        "an interval has two ends: a half of the chance belongs to each": wanted < -one_sided,
        "an interval that lies above zero is a gain, not a harm": np.abs(wanted) > two_sided,
        "these are the questions without harm": wanted >= -two_sided,
        "the mean of n draws spreads less than one draw: divide by the root of n": np.zeros(
            7, dtype=bool
        ),
    }
    recognise(answer, usual)
    if not np.array_equal(answer, wanted < -two_sided):
        raise Hint(
            f"with mean over standard error {wanted.tolist()} in 7 questions and 5 draws, harm is "
            f"below {-two_sided:.2f}; you say {answer.tolist()}."
        )
    few = array(call(function, differences[2:6], 0.2), 4).astype(bool)
    if few.tolist() != [True, True, False, False]:
        raise Hint(
            "right for 7 questions and a chance of 0.05, wrong for 4 and 0.2: take the number of "
            "questions from the shape, and the chance as it is given."
        )
    print("Right.")


def check_pair_names(function: Callable[..., Any]) -> None:
    """Check ``pair_names(saved, wanted)``.

    Parameters
    ----------
    function : callable
        Maps two dicts of name to shape, of a checkpoint whose names carry one unknown prefix and
        of a net, to a dict: the net's name to the checkpoint's, where name and shape fit.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    shapes = {"body.conv.weight": (8, 1, 3, 3), "body.conv.bias": (8,)}
    wanted = {**shapes, "head.weight": (10, 8), "head.bias": (10,)}
    saved = {f"student.net.{name}": shape for name, shape in shapes.items()}
    saved |= {"student.net.head.weight": (26, 8), "student.net.head.bias": (26,)}
    saved |= {"average.body.conv.bias": (8,), "steps": ()}
    expected = {name: f"student.net.{name}" for name in shapes}
    answer = call(function, saved, wanted)
    if not isinstance(answer, dict):
        raise Hint(f"return a dict: the net's name to the checkpoint's; not {answer!r}.")
    if answer == {there: here for here, there in expected.items()}:
        raise Hint("turn it round: the net's names are the keys, the checkpoint's the values.")
    if answer.keys() & {"head.weight", "head.bias"}:
        raise Hint("the heads have another shape, (26, 8) and (10, 8): they do not fit.")
    if not answer:
        raise Hint(
            "nothing fits, although 'student.net.body.conv.bias' is 'body.conv.bias' behind a "
            "prefix. The prefix is not always 'module.': find it in the names."
        )
    if answer.get("body.conv.bias") == "average.body.conv.bias":
        raise Hint(
            "'average.body.conv.bias' ends alike too, but its prefix fits one name only; take the "
            "one prefix that fits the most names."
        )
    if answer != expected:
        raise Hint(f"wanted was {expected!r}; you returned {answer!r}.")
    if call(function, wanted, wanted) != {name: name for name in wanted}:
        raise Hint("where the names agree already, the prefix is empty, and every name fits.")
    print("Right.")
