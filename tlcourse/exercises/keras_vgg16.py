"""Checks of chapter 10's exercises: sizes of heads, preprocessing, and the sign of a step.

Design choices
--------------
- Preprocessing is checked on three colours whose right values are written out, so no framework is
  imported.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tlcourse.exercises.hints import Hint, call, expect, recognise


def check_head_parameters(function: Callable[..., Any]) -> None:
    """Check ``head_parameters(height, width, channels, widths, average)``.

    Parameters
    ----------
    function : callable
        Returns how many numbers a fully connected head learns.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    answer = call(function, 7, 7, 512, [1024, 10], False)
    if answer == 25088 * 1024 + 1024 * 10:
        raise Hint("the biases are missing: one for each unit.")
    if answer == 25088 * 1024 + 1024 + 25088 * 10 + 10:
        raise Hint("the second layer sees the first layer's units, not the maps.")
    expect(answer, 25_701_386, "the article's head, 7 x 7 x 512 maps, 1,024 units, 10 classes")
    expect(call(function, 7, 7, 512, [10], True), 5130, "an average leaves one number per map")
    expect(
        call(function, 2, 3, 4, [5, 6, 7], False),
        5 * 25 + 6 * 6 + 7 * 7,
        "maps need not be square, and there may be three layers",
    )
    print("Right.")


def check_vgg_inputs(function: Callable[..., Any]) -> None:
    """Check ``vgg_inputs(pictures)``.

    Parameters
    ----------
    function : callable
        Maps pictures ``(n, h, w, 3)``, red, green, blue in [0, 1], to what VGG16 was trained on.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    pictures = np.zeros((1, 1, 3, 3))
    pictures[0, 0, 0, 0] = pictures[0, 0, 1, 2] = 1  # red, blue, black
    given = pictures.copy()
    answer = np.asarray(call(function, pictures, copies=False))
    if not np.array_equal(pictures, given):
        raise Hint("the given pictures were changed; make a new array.")
    means = np.array([103.939, 116.779, 123.68])
    wanted = pictures[..., ::-1] * 255 - means
    if answer.shape != wanted.shape:
        raise Hint(f"the shape is {answer.shape}; it stays {wanted.shape}.")
    slips = {
        "the colours are in the order red, green, blue; VGG16 wants them the other way round": (
            pictures * 255 - means
        ),
        "the means belong to blue, green, red, in this order": (
            pictures[..., ::-1] * 255 - means[::-1]
        ),
        "the pictures are still from 0 to 1; VGG16 saw 0 to 255": pictures[..., ::-1] - means,
        "the means are not subtracted": pictures[..., ::-1] * 255,
    }
    recognise(answer, slips, atol=1e-3)
    if not np.allclose(answer, wanted, atol=1e-3):
        raise Hint(
            f"a red pixel becomes {wanted[0, 0, 0].round(3).tolist()}; yours is "
            f"{answer[0, 0, 0].round(3).tolist()}."
        )
    print("Right.")


def check_descend(function: Callable[..., Any]) -> None:
    """Check ``descend(parameters, gradients, rate)``.

    Parameters
    ----------
    function : callable
        Maps two lists of arrays and a learning rate to the list of arrays after one step.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    start = [np.array([1.0, -2.0]), np.array([[3.0]])]
    given = [part.copy() for part in start]
    answer = call(function, start, [2 * part for part in start], 0.1, copies=False)
    if any(not np.array_equal(*pair) for pair in zip(start, given, strict=True)):
        raise Hint("the given arrays were changed; `p -= ...` works in place, `p - ...` does not.")
    if answer is None or len(answer) != 2:
        raise Hint("return a list with one array for each parameter.")
    if np.allclose(answer[0], 1.2 * given[0]):
        raise Hint("you climb: a step against the gradient lowers the loss.")
    if np.allclose(answer[0], -given[0]):
        raise Hint("the rate is missing.")
    if any(not np.allclose(one, 0.8 * part) for one, part in zip(answer, given, strict=True)):
        raise Hint(
            f"from {given[0].tolist()} with gradient {(2 * given[0]).tolist()} and rate 0.1 "
            f"the step leads to {(0.8 * given[0]).tolist()}; yours: {answer[0]}."
        )
    print("Right.")
