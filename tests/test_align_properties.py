"""What an alignment does to any two domains: what moves both moves the result, order does nothing.

Where a law does not hold, an example says so.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from tlcourse.align import CORAL, TCA, SubspaceAlignment, classify_aligned

few = settings(max_examples=12, deadline=None, derandomize=True)
FACTORS = st.sampled_from([-7.0, 0.01, 0.3, 2.5, 400.0])
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


class Domains:
    """Source and target rows of full rank whose variances and means differ, and maps for both."""

    def __init__(self, seed, n_source, n_target, d):
        self.rng = np.random.default_rng(seed)
        variances = 3.0 ** -np.arange(d)
        self.source = self.rng.normal(size=(n_source, d)) * variances
        self.target = self.rng.normal(size=(n_target, d)) * variances[::-1] + 1
        self.turn = np.linalg.qr(self.rng.normal(size=(d, d)))[0]
        self.shift = 5 * self.rng.normal(size=d)
        self.source_order = self.rng.permutation(n_source)
        self.target_order = self.rng.permutation(n_target)


domains = st.builds(
    Domains, st.integers(0, 2**32 - 1), st.integers(8, 25), st.integers(8, 25), st.integers(2, 5)
)


def aligned(aligner, source, target):
    """Return both domains in the common space."""
    fitted = clone(aligner).fit(source, target=target)
    return fitted.transform(source, domain="source"), fitted.transform(target)


@pytest.mark.parametrize("aligner", [CORAL(), SubspaceAlignment(2), TCA(2)])
@few
@given(case=domains)
def test_the_order_of_rows_means_nothing(aligner, case):
    source, target = aligned(aligner, case.source, case.target)
    mixed = aligned(aligner, case.source[case.source_order], case.target[case.target_order])
    np.testing.assert_allclose(mixed[0], source[case.source_order], **CLOSE)
    np.testing.assert_allclose(mixed[1], target[case.target_order], **CLOSE)


@few
@given(domains, FACTORS, st.sampled_from([0.0, 0.1, 1.0]))
def test_coral_turns_scales_and_shifts_with_its_domains(case, factor, reg):
    source, target = aligned(CORAL(reg), case.source, case.target)
    np.testing.assert_array_equal(target, case.target)
    move = factor * case.turn
    moved, _ = aligned(CORAL(reg), case.source @ move + 3, case.target @ move + case.shift)
    # the source's own shift is taken out, the target's is put in
    np.testing.assert_allclose(
        moved, source @ move + case.shift, rtol=1e-5, atol=1e-5 * abs(factor)
    )


@few
@given(domains, st.sampled_from([0.0, 0.1, 1.0]))
def test_coral_gives_the_source_the_targets_moments_and_leaves_equal_domains_alone(case, reg):
    source, _ = aligned(CORAL(reg), case.source, case.target)
    np.testing.assert_allclose(source.mean(axis=0), case.target.mean(axis=0), **CLOSE)
    if reg == 0:
        np.testing.assert_allclose(np.cov(source.T), np.cov(case.target.T), **CLOSE)
    same, _ = aligned(CORAL(reg), case.source, case.source[case.source_order])
    np.testing.assert_allclose(same, case.source, **CLOSE)


def test_regularised_coral_sees_the_unit_of_a_single_feature():
    case, units = Domains(0, 20, 20, 3), np.array([50, 1, 1])
    source, _ = aligned(CORAL(1.0), case.source, case.target)
    other, _ = aligned(CORAL(1.0), case.source * units, case.target * units)
    assert np.abs(other / units - source).max() > 0.1


@few
@given(domains, FACTORS)
def test_subspace_alignment_sees_no_shift_of_either_domain_and_keeps_the_unit(case, factor):
    source, target = aligned(SubspaceAlignment(2), case.source, case.target)
    moved = aligned(
        SubspaceAlignment(2), factor * case.source + 3, factor * case.target - case.shift
    )
    np.testing.assert_allclose(moved[0], factor * source, rtol=1e-5, atol=1e-5 * abs(factor))
    np.testing.assert_allclose(moved[1], factor * target, rtol=1e-5, atol=1e-5 * abs(factor))


@pytest.mark.parametrize("aligner", [SubspaceAlignment(2), TCA(2), TCA(2, kernel="linear")])
@few
@given(case=domains)
def test_a_rotation_of_both_domains_changes_signs_at_most(aligner, case):
    for before, after in zip(
        aligned(aligner, case.source, case.target),
        aligned(aligner, case.source @ case.turn, case.target @ case.turn),
        strict=True,
    ):
        np.testing.assert_allclose(np.abs(after), np.abs(before), rtol=1e-4, atol=1e-5)


@few
@given(domains, FACTORS)
def test_tca_sees_neither_a_common_shift_nor_unit_as_its_bandwidth_moves_along(case, factor):
    before = aligned(TCA(2), case.source, case.target)
    after = aligned(TCA(2), *(factor * rows + case.shift for rows in (case.source, case.target)))
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(np.abs(other), np.abs(one), rtol=1e-4, atol=1e-5)


@few
@given(domains)
def test_tca_finds_components_in_descending_order_and_equal_domains_need_no_penalty(case):
    fitted = TCA(3).fit(case.source, target=case.target)
    assert (np.diff(fitted.eigenvalues_) <= 1e-9).all() and (fitted.eigenvalues_ > -1e-9).all()
    source, target = aligned(TCA(2), case.source, case.source)
    np.testing.assert_allclose(source, target, **CLOSE)


def test_tca_with_a_linear_kernel_sees_a_common_shift():
    case, aligner = Domains(0, 20, 20, 3), TCA(2, kernel="linear")
    before = aligned(aligner, case.source, case.target)
    after = aligned(aligner, case.source + 9, case.target + 9)
    assert np.abs(np.abs(after[0]) - np.abs(before[0])).max() > 0.1


@pytest.mark.parametrize("aligner", [CORAL(), SubspaceAlignment(2), TCA(2)])
@few
@given(case=domains)
def test_float32_in_float32_out_and_the_same_numbers(aligner, case):
    exact = aligned(aligner, case.source.astype(np.float32), case.target.astype(np.float32))
    assert {rows.dtype for rows in exact} == {np.dtype(np.float32)}
    for rows, other in zip(exact, aligned(aligner, case.source, case.target), strict=True):
        np.testing.assert_allclose(rows, other, rtol=1e-2, atol=1e-3)


@few
@given(domains)
def test_predictions_follow_the_rows_of_the_target_and_the_names_of_the_classes(case):
    labels = np.arange(len(case.source)) % 2
    source = case.source + 6 * labels[:, None]
    predicted = classify_aligned(CORAL(), source, labels, case.target)
    mixed = classify_aligned(CORAL(), source, labels, case.target[case.target_order])
    np.testing.assert_array_equal(mixed, predicted[case.target_order])
    renamed = classify_aligned(CORAL(), source, 7 - 4 * labels, case.target)
    np.testing.assert_array_equal(renamed, 7 - 4 * predicted)
