"""Harder versions of a domain: exact shares, no example lost or invented, seeds that matter."""

import numpy as np
import pytest

from tlcourse.data import Domain
from tlcourse.data.perturbing import corrupt_labels, drifting, imbalanced, mix_domains


def numbered(n=300, k=3, offset=0, name="numbers"):
    """Make a domain whose only column tells each row's number."""
    rows = (offset + np.arange(n, dtype=np.float32))[:, None]
    return Domain(name, rows, np.arange(n) % k, tuple("abcdefghij"[:k]), "origin", "licence")


def test_an_imbalanced_domain_has_the_papers_profile():
    thin = imbalanced(numbered(400, 4), 20, seed=0)
    wanted = [round(100 * 20 ** (-c / 3)) for c in range(4)]  # 100 ... 5
    np.testing.assert_array_equal(np.bincount(thin.labels), wanted)
    assert wanted[0] == 100 and wanted[-1] == 5
    rows = thin.inputs[:, 0].astype(int)
    assert len(set(rows)) == len(rows)
    np.testing.assert_array_equal(rows % 4, thin.labels)
    assert not np.array_equal(rows, np.sort(rows))


def test_a_ratio_of_one_keeps_all_and_a_huge_one_leaves_one_of_a_class():
    assert len(imbalanced(numbered(300), 1, seed=0)) == 300
    assert np.bincount(imbalanced(numbered(300), 1e9, seed=0).labels)[2] == 1


@pytest.mark.parametrize("rate", [0, 0.25, 1])
def test_the_rate_of_wrong_labels_is_exact_and_wrong_means_wrong(rate):
    clean = numbered(400, 5)
    noisy = corrupt_labels(clean, rate, seed=0)
    wrong = noisy.labels != clean.labels
    assert wrong.sum() == 400 * rate
    np.testing.assert_array_equal(noisy.inputs, clean.inputs)
    np.testing.assert_array_equal(clean.labels, np.arange(400) % 5)  # untouched
    if rate == 1:  # the four other classes are drawn about equally often
        shifts = np.bincount((noisy.labels - clean.labels) % 5, minlength=5)
        assert shifts[0] == 0 and shifts[1:].min() > 70


def test_seeds_matter_and_repeat():
    for draw in (
        lambda s: corrupt_labels(numbered(), 0.3, seed=s).labels,
        lambda s: imbalanced(numbered(), 4, seed=s).inputs,
        lambda s: mix_domains([numbered(), numbered()], 50, seed=s).inputs,
        lambda s: drifting(numbered(), 3, lambda x, t: x, seed=s)[0].inputs,
    ):
        np.testing.assert_array_equal(draw(0), draw(0))
        assert not np.array_equal(draw(0), draw(1))


def test_a_mixture_has_the_shares_that_were_asked_for():
    near, far = numbered(100), numbered(40, offset=1000, name="far")
    mixture = mix_domains([near, far], 90, weights=[2, 1], seed=0)
    rows = mixture.inputs[:, 0].astype(int)
    assert (rows < 1000).sum() == 60 and (rows >= 1000).sum() == 30
    assert len(set(rows)) == 90
    np.testing.assert_array_equal(rows % 1000 % 3, mixture.labels)
    assert mixture.name == "numbers + far" and mixture.origin == "origin"


def test_a_small_source_is_repeated_evenly_and_weight_zero_leaves_it_out():
    mixture = mix_domains([numbered(40), numbered(7, offset=1000)], 100, weights=[0, 1], seed=0)
    times = np.bincount(mixture.inputs[:, 0].astype(int) - 1000)
    assert len(times) == 7 and set(times) == {14, 15}


def test_a_stream_uses_each_example_once_and_changes_from_start_to_end():
    seen = []

    def change(inputs, progress):
        seen.append(progress)
        return inputs + 1000 * progress

    stream = drifting(numbered(10), 3, change, seed=0)
    assert seen == [0, 0.5, 1] and [len(part) for part in stream] == [4, 3, 3]
    rows = np.concatenate([part.inputs[:, 0] - 500 * i for i, part in enumerate(stream)])
    np.testing.assert_array_equal(np.sort(rows), np.arange(10))
    assert stream[1].name == "numbers, part 2"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: imbalanced(numbered(), 0.5, seed=0), "ratio is 0.5"),
        (lambda: imbalanced(numbered(2), 2, seed=0), r"\[1, 1, 0\] examples"),
        (lambda: corrupt_labels(numbered(), 1.2, seed=0), "rate is 1.2"),
        (lambda: corrupt_labels(numbered(5, 1), 0.5, seed=0), "one class"),
        (lambda: mix_domains([], 5, seed=0), "for 0 domains"),
        (lambda: mix_domains([numbered()], 5, weights=[-1], seed=0), r"weights are \[-1\]"),
        (lambda: mix_domains([numbered()], 0, seed=0), "n is 0"),
        (lambda: mix_domains([numbered(), numbered(k=4)], 5, seed=0), "needs the same classes"),
        (lambda: mix_domains([numbered(), numbered().subset([])], 5, seed=0), "is empty"),
        (
            lambda: mix_domains(
                [numbered(), numbered(300).with_inputs(np.zeros((300, 2)))], 5, seed=0
            ),
            "bring them to one size",
        ),
        (lambda: drifting(numbered(), 1, lambda x, t: x, seed=0), "parts is 1"),
        (lambda: drifting(numbered(3), 2, lambda x, t: x * np.nan, seed=0), "NaN or infinity"),
    ],
)
def test_bad_arguments_are_refused(make, reason):
    with pytest.raises(ValueError, match=reason):
        make()
