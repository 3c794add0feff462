"""Chapter 15's checks turn stubs and the usual wrong answers away."""

import numpy as np
import pytest

from tlcourse.exercises import (
    Hint,
    check_adjust_logits,
    check_balanced_accuracy,
    check_small_loss,
    check_true_accuracy,
)


def stub(*_):
    raise NotImplementedError


def adjusted(logits, counts, tau):
    return logits - tau * np.log(counts / counts.sum())


def in_place(logits, counts, tau):
    logits -= tau * np.log(counts / counts.sum())
    return logits


def small_loss(losses, share):
    kept = max(1, round((1 - share) * len(losses)))
    return np.sort(losses)[:kept].mean()


def balanced_accuracy(labels, predictions):
    return np.mean([np.mean(predictions[labels == one] == one) for one in np.unique(labels)])


def recall_of_all(labels, predictions):
    with np.errstate(invalid="ignore"):
        return np.mean(
            [np.sum((labels == c) & (predictions == c)) / np.sum(labels == c) for c in range(4)]
        )


def precision(labels, predictions):
    return np.mean([np.mean(labels[predictions == c] == c) for c in np.unique(labels)])


def padded(labels, predictions):
    return np.sum([np.mean(predictions[labels == c] == c) for c in np.unique(labels)]) / 4


def worst(labels, predictions):
    return min(np.mean(predictions[labels == c] == c) for c in np.unique(labels))


def sorted_in_place(losses, share):
    losses.sort()
    return losses[: max(1, round((1 - share) * len(losses)))].mean()


def by_partition(losses, share):
    n = max(1, round((1 - share) * len(losses)))
    return sum(sorted(losses.tolist())[:n]) / n


def true_accuracy(noisy, share, classes):
    luck = share / (classes - 1)
    return (noisy - luck) / (1 - share - luck)


def kept(losses, share):
    return round((1 - share) * len(losses))


WRONG = [
    (check_adjust_logits, stub, "no answer yet"),
    (check_adjust_logits, lambda z, n, t: z + t * np.log(n / n.sum()), "is subtracted"),
    (check_adjust_logits, lambda z, n, t: z - t * n / n.sum(), "logarithmic scale"),
    (check_adjust_logits, lambda z, n, t: z - np.log(n / n.sum()), "strength does nothing"),
    (check_adjust_logits, lambda z, n, t: z.copy(), "nothing has changed"),
    (check_adjust_logits, lambda z, n, t: z / (n / n.sum()), "divide by nothing"),
    (check_adjust_logits, lambda z, n, t: adjusted(z, n[::-1], t), "same column"),
    (check_adjust_logits, lambda z, n, t: adjusted(z, n, t).argmax(axis=1), "shape"),
    (check_adjust_logits, in_place, "new one"),
    (check_small_loss, stub, "no answer yet"),
    (check_small_loss, lambda x, r: np.sort(x)[-kept(x, r) :].mean(), "largest losses"),
    (check_small_loss, lambda x, r: np.sort(x)[: round(r * len(x))].mean(), "to be left out"),
    (check_small_loss, lambda x, r: x.mean(), "nothing is left out"),
    (check_small_loss, lambda x, r: np.sort(x)[: kept(x, r)].sum() / len(x), "not by all"),
    (check_small_loss, lambda x, r: np.sort(x)[: kept(x, r)].sum(), "not the sum"),
    (check_small_loss, lambda x, r: x[: kept(x, r)].mean(), "not the smallest"),
    (check_small_loss, lambda x, r: x[x < r].mean(), "not a threshold"),
    (check_small_loss, lambda x, r: np.sort(x)[: kept(x, 0.3)].mean(), "share is 0"),
    (
        check_small_loss,
        lambda x, r: np.sort(x)[: kept(x, r)].sum() / (kept(x, r) + 1e-12),
        "one example stays",
    ),
    (check_small_loss, sorted_in_place, "you change the losses"),
    (check_small_loss, lambda x, r: np.sort(x)[: kept(x, r)], "one number"),
    (check_true_accuracy, stub, "no answer yet"),
    (check_true_accuracy, lambda a, q, c: a / (1 - q), "by luck"),
    (check_true_accuracy, lambda a, q, c: (a - q / c) / (1 - q - q / c), "not of all C"),
    (check_true_accuracy, lambda a, q, c: a, "itself"),
    (check_true_accuracy, lambda a, q, c: a * (1 - q) + (1 - a) * q / (c - 1), "other way"),
    (check_true_accuracy, lambda a, q, c: a + q, "do not only take away"),
    (check_true_accuracy, lambda a, q, c: (a - q / (c - 1)) / (1 - q), "divide by what"),
    (check_true_accuracy, lambda a, q, c: 0.8, "shows as"),
    (check_balanced_accuracy, lambda y, p: [0.5, 0.5], "one number"),
    (check_balanced_accuracy, stub, "no answer yet"),
    (check_balanced_accuracy, lambda y, p: np.mean(y == p), "plain accuracy"),
    (check_balanced_accuracy, precision, "mean precision"),
    (check_balanced_accuracy, recall_of_all, "no example"),
    (check_balanced_accuracy, padded, "predictions only"),
    (check_balanced_accuracy, worst, "worst recall"),
    (check_balanced_accuracy, lambda y, p: 0.123, "mean of the recalls"),
]


@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_wrong_answers_get_the_right_hint(check, answer, hint):
    with pytest.raises(Hint, match=hint):
        check(answer)


def test_right_answers_pass():
    check_adjust_logits(adjusted)
    check_adjust_logits(lambda z, n, t: z - t * np.log(n))  # the same for all classes of a row
    check_adjust_logits(lambda z, n, t: (z - t * np.log(n / n.sum())).tolist())
    check_small_loss(small_loss)
    check_small_loss(by_partition)
    check_true_accuracy(true_accuracy)
    check_true_accuracy(
        lambda a, q, c: (a * (c - 1) - q) / (c - 1 - q * c)  # the same, over C - 1
    )
    check_balanced_accuracy(balanced_accuracy)
