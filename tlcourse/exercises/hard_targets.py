"""Checks of chapter 15's exercises: adjusted logits, recall, small losses, noisy validation.

Design choices
--------------
- What changes no decision is no mistake: logits may differ by a number for each row.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tlcourse.exercises.hints import Hint, array, call, close, number, recognise


def check_adjust_logits(function: Callable[..., Any]) -> None:
    """Check ``adjusted(logits, counts, strength)``.

    Parameters
    ----------
    function : callable
        Maps logits ``(n, k)``, training examples of each class ``(k,)`` and a strength to logits
        ``(n, k)`` without the head start of the frequent classes.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(0)
    logits, counts = rng.normal(size=(40, 3)), np.array([500, 40, 3])
    given, logits = logits, logits.copy()
    answer = array(call(function, given, counts, 0.5, copies=False), *logits.shape)
    if not np.array_equal(given, logits):
        raise Hint("you change the array that you were given; return a new one.")
    priors = counts / counts.sum()
    usual = {
        "you raise the frequent classes further: the logarithm is subtracted": _centred(
            logits + 0.5 * np.log(priors)
        ),
        "subtract the logarithm of the share: logits are on a logarithmic scale": _centred(
            logits - 0.5 * priors
        ),
        "the strength does nothing: it multiplies the logarithm": _centred(logits - np.log(priors)),
        "nothing has changed: subtract the strength times the logarithm of the share": _centred(
            logits
        ),
        "divide by nothing: probabilities are divided by the share, so from logits its logarithm "
        "is subtracted": _centred(logits / priors),
    }
    recognise(_centred(answer), usual)
    if not np.allclose(_centred(answer), _centred(logits - 0.5 * np.log(priors))):
        raise Hint(
            "these are not the logits minus strength times the logarithm of each class's share; "
            "is the share that of the class in the same column?"
        )
    print("Right.")


def check_balanced_accuracy(function: Callable[..., Any]) -> None:
    """Check ``balanced_accuracy(labels, predictions)``.

    Parameters
    ----------
    function : callable
        Maps true and predicted classes, both ``(n,)``, to the mean recall over the classes that
        occur among the true ones.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    labels = np.repeat([0, 1, 3], [12, 6, 2])
    predictions = np.concatenate(
        [np.repeat([0, 1], [11, 1]), np.repeat([1, 0, 2], [3, 2, 1]), [3, 0]]
    )
    right = labels == predictions
    recalls = [right[labels == one].mean() for one in (0, 1, 3)]
    answer = call(function, labels, predictions)
    if np.ndim(answer) != 0:
        raise Hint(f"return one number; yours has shape {np.shape(answer)}.")
    usual = {
        "this is the plain accuracy, in which the frequent class counts most": right.mean(),
        "this is the mean precision: divide by how often a class occurs, not by how often it is "
        "answered": np.mean([right[predictions == one].mean() for one in (0, 1, 3)]),
        "a class that occurs in the predictions only has no recall; leave it out": np.sum(recalls)
        / 4,
        "this is the worst recall; take the mean over the classes": min(recalls),
    }
    recognise(answer, usual)
    if np.isnan(answer):
        raise Hint(
            "some class has no example, and zero by zero is not a number: take only the "
            "classes that occur in the labels."
        )
    close(answer, np.mean(recalls), "the mean of the recalls of the classes in the labels")
    print("Right.")


def check_small_loss(function: Callable[..., Any]) -> None:
    """Check ``small_loss(losses, share)``.

    Parameters
    ----------
    function : callable
        Maps the losses ``(n,)`` of a batch and a share to the mean of the losses that are left when
        that share, the largest ones, is left out; at least one stays.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    losses = np.array([0.2, 4.1, 0.9, 0.3, 2.6, 0.1, 1.7, 0.5, 3.3, 0.7])
    ordered = np.sort(losses)
    given = losses.copy()
    answer = number(call(function, given, 0.3, copies=False), "is there a division by zero?")
    if not np.array_equal(given, losses):
        raise Hint(
            "you change the losses that you were given, so the next line that reads them goes "
            "wrong; np.sort(losses) makes a new array, losses.sort() does not."
        )
    usual = {
        "you keep the largest losses; small ones point to right labels": ordered[3:].mean(),
        "you keep the share that is to be left out": ordered[:3].mean(),
        "nothing is left out": losses.mean(),
        "divide by the number of losses that you keep, not by all": ordered[:7].sum() / 10,
        "return the mean, not the sum: the step must not grow with the batch": ordered[:7].sum(),
        "these are the first losses, not the smallest; sort them": losses[:7].mean(),
        "the share is a number of examples, not a threshold on the loss": losses[
            losses < 0.3
        ].mean(),
    }
    recognise(answer, usual)
    close(answer, ordered[:7].mean(), "the mean of the seven smallest of ten losses, share 0.3")
    close(call(function, losses, 0.0), losses.mean(), "the plain mean, where the share is 0")
    close(
        call(function, losses[:3], 0.9),
        0.2,
        "the smallest loss alone: however large the share, one example stays",
    )
    print("Right.")


def check_true_accuracy(function: Callable[..., Any]) -> None:
    """Check ``true_accuracy(noisy, share, classes)``.

    Parameters
    ----------
    function : callable
        Maps the accuracy on labels of which a share is wrong, that share, and the number of
        classes to the accuracy on right labels. Wrong labels are drawn evenly from the others.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    for true, share, classes in ((0.8, 0.4, 5), (0.3, 0.25, 3)):
        wrong = share / (classes - 1)
        noisy = true * (1 - share) + (1 - true) * wrong
        answer = number(call(function, noisy, share, classes), "is there a division by zero?")
        usual = {
            "a wrong answer may meet a wrong label by luck; subtract how often it does": noisy
            / (1 - share),
            "a wrong label is one of the C - 1 other classes, not of all C": (
                (noisy - share / classes) / (1 - share - share / classes)
            ),
            "this is the noisy accuracy itself": noisy,
            "you go the other way, from the true accuracy to the noisy one": noisy * (1 - share)
            + (1 - noisy) * wrong,
            "wrong labels do not only take away: of a right answer the share is lost, of a wrong "
            "one a little is won": noisy + share,
            "divide by what one right answer is worth more than a wrong one: 1 - q - q / (C - 1)": (
                (noisy - wrong) / (1 - share)
            ),
        }
        recognise(answer, usual)
        close(answer, true, f"the accuracy that shows as {noisy:.3f}, at share {share}")
    print("Right.")


def _centred(logits):
    """Take the mean of each row away: what is left decides."""
    return logits - logits.mean(axis=1, keepdims=True)
