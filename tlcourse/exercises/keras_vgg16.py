"""Checks of chapter 10's exercises: heads, preprocessing, steps, and BatchNorm folded away.

Design choices
--------------
- Preprocessing is checked on four colours, one of them between whole numbers, so that what is cut
  off shows.
- A step is checked at two rates: one that is written into the answer is not enough.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tlcourse.exercises.hints import Hint, array, call, expect, recognise


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
    pictures = np.zeros((1, 1, 4, 3))
    pictures[0, 0, 0, 0] = pictures[0, 0, 1, 2] = 1  # red, blue, black, and something between
    pictures[0, 0, 3] = 0.1, 0.3, 0.7
    given = pictures.copy()
    answer = array(call(function, pictures, copies=False), *given.shape)
    if not np.array_equal(pictures, given):
        raise Hint("the given pictures were changed; make a new array.")
    means = np.array([103.939, 116.779, 123.68])
    wanted = pictures[..., ::-1] * 255 - means
    whole = np.floor(pictures[..., ::-1] * 255) - means
    cut = "colours were cut to whole numbers (uint8?); a net takes the fractions too"
    slips = {
        cut: [whole, np.rint(pictures[..., ::-1] * 255) - means, np.trunc(wanted), wanted // 1],
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
            f"a red pixel becomes {wanted[0, 0, 0].round(3).tolist()}, and (0.1, 0.3, 0.7) becomes "
            f"{wanted[0, 0, 3].round(3).tolist()}; yours are {answer[0, 0, 0].round(3).tolist()} "
            f"and {answer[0, 0, 3].round(3).tolist()}."
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
    for rate in (0.1, 0.25):
        start = [np.array([1.0, -2.0]), np.array([[3.0]])]
        slopes = [2 * part for part in start]
        given, steep = ([part.copy() for part in parts] for parts in (start, slopes))
        answer = call(function, start, slopes, rate, copies=False)
        if not all(map(np.array_equal, start, given)):
            raise Hint("the parameters were changed; `p -= ...` works in place.")
        if not all(map(np.array_equal, slopes, steep)):
            raise Hint("the gradients were changed; `g *= rate` works in place.")
        if not isinstance(answer, list | tuple) or len(answer) != 2:
            raise Hint("return a list with one array for each parameter.")
        new = [array(one, *part.shape) for one, part in zip(answer, given, strict=True)]
        if np.allclose(new[0], (1 + 2 * rate) * given[0]):
            raise Hint("you climb: a step against the gradient lowers the loss.")
        if np.allclose(new[0], -given[0]):
            raise Hint("the rate is missing.")
        if rate != 0.1 and np.allclose(new[0], 0.8 * given[0]):
            raise Hint(f"with rate {rate} you step as with 0.1; use the rate that is given.")
        wanted = [(1 - 2 * rate) * part for part in given]
        if not all(map(np.allclose, new, wanted)):
            raise Hint(
                f"from {given[0].tolist()} with gradient {steep[0].tolist()} and rate {rate} "
                f"the step leads to {wanted[0].tolist()}; yours: {new[0]}."
            )
    print("Right.")


def check_fold(function: Callable[..., Any]) -> None:
    """Check ``fold(kernel, gamma, beta, mean, variance, epsilon)``.

    Parameters
    ----------
    function : callable
        Maps a convolution's kernel ``(h, w, channels in, channels out)`` without bias and what
        the BatchNorm behind it holds, each ``(channels out,)``, to the kernel and the bias
        ``(channels out,)`` of one convolution that does the work of both.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(0)
    kernel, epsilon = rng.normal(size=(3, 3, 4, 4)), 0.1
    gamma, variance = rng.uniform(0.5, 2, (2, 4))
    beta, mean = rng.normal(size=(2, 4))
    answer = call(function, kernel, gamma, beta, mean, variance, epsilon)
    if not isinstance(answer, list | tuple) or len(answer) != 2:
        raise Hint("return two arrays, (kernel, bias).")
    folded, bias = array(answer[0], *kernel.shape), array(answer[1], 4)
    scale = gamma / np.sqrt(variance + epsilon)
    slips = {
        "epsilon is missing: it is added to the variance": kernel * (gamma / np.sqrt(variance)),
        "you divide by the variance; take its root": kernel * (gamma / (variance + epsilon)),
        "gamma is missing": kernel / np.sqrt(variance + epsilon),
        "you scale by the channel that comes in; BatchNorm stands behind the convolution": (
            kernel * scale[:, None]
        ),
        "the kernel is as it was; its outputs are scaled": kernel,
    }
    recognise(folded, slips)
    if not np.allclose(folded, kernel * scale):
        raise Hint("each output channel is multiplied by gamma / sqrt(variance + epsilon).")
    slips = {
        "the mean is missing: it is scaled as well and subtracted": beta,
        "the mean is subtracted unscaled; it passes through the division too": beta - mean,
        "the mean is added; BatchNorm subtracts it": beta + mean * scale,
        "beta is missing": -mean * scale,
    }
    recognise(bias, slips)
    if not np.allclose(bias, beta - mean * scale):
        raise Hint("the bias is what BatchNorm makes of 0; put z = 0 into its formula.")
    print("Right.")
