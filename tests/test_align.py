"""Shallow alignment: closed forms, scikit-learn's own suite, and skada as a yardstick."""

import importlib

import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_allclose
from scipy.linalg import eigvals, fractional_matrix_power
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from tlcourse.align import CORAL, TCA, SubspaceAlignment, classify_aligned

ALIGNERS = [CORAL(), SubspaceAlignment(n_components=3), TCA(n_components=3)]
BY_NAME = {"ids": lambda aligner: type(aligner).__name__}


def two_domains(seed=0, n_source=60, n_target=45, d=5):
    """Draw correlated rows of two domains with different means and covariances."""
    rng = np.random.default_rng(seed)
    source = rng.normal(size=(n_source, d)) @ rng.normal(size=(d, d)) + 3
    target = rng.normal(size=(n_target, d)) @ rng.normal(size=(d, d)) * 2 - 1
    return source, target


@pytest.fixture(scope="module")
def skada():
    """Import skada without TensorFlow, and without routed metadata for all other tests."""
    with pytest.MonkeyPatch.context() as patch, sklearn.config_context():
        patch.setenv("POT_BACKEND_DISABLE_TENSORFLOW", "1")
        return importlib.import_module("skada")


@pytest.mark.parametrize(
    "estimator",
    [CORAL(), CORAL(reg=0), SubspaceAlignment(), SubspaceAlignment(1), TCA(), TCA(kernel="linear")],
    ids=repr,
)
def test_scikit_learn_accepts_the_estimator(estimator):
    results = check_estimator(estimator, on_skip=None)
    assert len(results) > 40
    # This one check needs an environment variable that is set before SciPy is imported.
    skipped = {result["check_name"] for result in results if result["status"] != "passed"}
    assert skipped <= {"check_array_api_input"}


# Every aligner


@pytest.mark.parametrize("aligner", ALIGNERS, **BY_NAME)
def test_fit_transform_returns_the_aligned_source_and_transform_expects_target(aligner):
    source, target = two_domains()
    aligned = aligner.fit_transform(source, target=target)
    assert_allclose(aligned, aligner.transform(source, domain="source"))
    assert_allclose(aligner.transform(target), aligner.transform(target, domain="target"))
    # New rows are mapped one by one: nothing of the batch leaks into a row.
    assert_allclose(aligner.transform(target)[:2], aligner.transform(target[:2]), atol=1e-10)


@pytest.mark.parametrize("aligner", ALIGNERS, **BY_NAME)
def test_pipeline_trains_on_the_aligned_source_and_predicts_on_the_target(aligner):
    source, target = two_domains()
    labels = (source[:, 0] > 3).astype(int)
    step = type(aligner).__name__.lower()
    pipeline = make_pipeline(aligner, LogisticRegression())
    pipeline.fit(source, labels, **{f"{step}__target": target})
    by_hand = LogisticRegression().fit(aligner.fit_transform(source, target=target), labels)
    assert_allclose(
        pipeline.predict_proba(target), by_hand.predict_proba(aligner.transform(target))
    )


@pytest.mark.parametrize("aligner", ALIGNERS, **BY_NAME)
def test_float32_stays_float32_and_loses_no_accuracy_inside(aligner):
    source, target = (rows.astype(np.float32) for rows in two_domains())
    single = aligner.fit_transform(source, target=target)
    double = aligner.fit_transform(source.astype(float), target=target.astype(float))
    assert single.dtype == np.float32
    assert aligner.fit(source, target=target).transform(target).dtype == np.float32
    assert_allclose(single, double, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("aligner", [CORAL(0), *ALIGNERS], ids=repr)
@pytest.mark.parametrize("shape", [(60, 45), (4, 3)], ids=["many rows", "fewer rows than features"])
def test_constant_features_and_few_rows_give_finite_numbers(aligner, shape):
    source, target = two_domains(n_source=shape[0], n_target=shape[1])
    source[:, 0] = target[:, 1] = 0.0  # dead ReLUs, a different one in each domain
    source[:, 2] = target[:, 2] = 0.0
    assert np.isfinite(aligner.fit_transform(source, target=target)).all()
    assert np.isfinite(aligner.transform(target)).all()


@pytest.mark.parametrize("aligner", ALIGNERS, **BY_NAME)
def test_whole_numbers_are_features_like_any_others(aligner):
    source, target = (np.rint(10 * rows).astype(int) for rows in two_domains())
    aligned = aligner.fit_transform(source, target=target)
    assert aligned.dtype == np.float64
    assert_allclose(aligned, aligner.fit_transform(source.astype(float), target=target + 0.0))


def test_classifying_aligned_features_is_fit_on_the_source_and_predict_on_the_target():
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 2
    unit = np.array([0.01, 1, 1, 1])  # what tells the classes apart is small beside the rest
    source, target = (rng.normal(size=(80, 4)) * unit for _ in range(2))
    source[:, 0] += 0.02 * labels
    target[:, 0] += 0.02 * labels + 5
    aligner, scaler = CORAL(), StandardScaler().fit(source)
    aligned = CORAL().fit_transform(scaler.transform(source), target=scaler.transform(target))
    learner = LogisticRegression().fit(aligned / aligned.std(axis=0).max(), labels)
    predicted = classify_aligned(aligner, source, labels, target)
    expected = learner.predict(scaler.transform(target) / aligned.std(axis=0).max())
    np.testing.assert_array_equal(predicted, expected)
    assert (predicted == labels).mean() > 0.6
    assert_allclose(aligner.target_mean_, scaler.transform(target).mean(axis=0))


@pytest.mark.parametrize("aligner", [SubspaceAlignment(24), TCA(24)], **BY_NAME)
def test_faint_components_stay_faint_behind_the_alignment(aligner):
    """A net's features have few strong directions; in the faint ones the domains differ."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 3
    strong = np.zeros((3, 30))
    strong[:, :3] = 4 * np.eye(3)
    mix = np.linalg.qr(rng.normal(size=(30, 30)))[0]
    unit = np.repeat([0.5, 0.15], [3, 27])
    source, target = (rng.normal(size=(120, 30)) * unit + strong[labels] for _ in range(2))
    source[:, 3:] += 0.3 * rng.normal(size=(3, 27))[labels]  # luck of the source, in faint ones
    target[:, 3:] += 0.3 * rng.normal(size=(3, 27))[labels]
    predicted = classify_aligned(aligner, source @ mix, labels, target @ mix)
    assert (predicted == labels).mean() > 0.95


BAD_FITS = {
    "target with NaN": (CORAL(), {"target": np.full((5, 3), np.nan)}, ValueError, "Input target c"),
    "narrow target": (
        TCA(),
        {"target": np.ones((5, 2))},
        ValueError,
        "target has 2 features.*3; extract both with the same model.$",
    ),
    "empty target": (CORAL(), {"target": np.ones((0, 3))}, ValueError, "0 sample"),
    "one target row": (
        SubspaceAlignment(),
        {"target": np.ones((1, 3))},
        ValueError,
        "minimum of 2",
    ),
    "image target": (CORAL(), {"target": np.ones((5, 3, 1))}, ValueError, "dim 3"),
    "equal target rows": (
        SubspaceAlignment(),
        {"target": np.ones((5, 3))},
        ValueError,
        "all rows of target are equal",
    ),
    "negative reg": (CORAL(reg=-1), {}, ValueError, r"reg is -1; give a finite number >= 0"),
    "text reg": (CORAL(reg="auto"), {}, TypeError, "reg is 'auto'"),
    "no component": (SubspaceAlignment(n_components=0), {}, ValueError, "n_components is 0"),
    "half a component": (TCA(n_components=0.5), {}, ValueError, "n_components is 0.5"),
    "no kernel": (TCA(kernel="poly"), {}, ValueError, "kernel is 'poly'; allowed are 'rbf'"),
    "no bandwidth": (TCA(bandwidth=0), {}, ValueError, "bandwidth is 0; give a finite number > 0"),
    "no mu": (TCA(mu=0), {}, ValueError, "mu is 0; give a finite number > 0"),
    "too many": (TCA(), {"target": np.ones((10_001, 3))}, ValueError, "have 10007 rows.*subset"),
}


@pytest.mark.parametrize("case", BAD_FITS)
def test_bad_input_to_fit_is_named(case):
    aligner, arguments, error, message = BAD_FITS[case]
    with pytest.raises(error, match=message):
        aligner.fit(np.arange(18.0).reshape(6, 3) ** 2, **arguments)


@pytest.mark.parametrize("aligner", ALIGNERS, **BY_NAME)
def test_unknown_domain_and_swapped_columns_are_refused(aligner):
    source, target = two_domains()
    with pytest.raises(ValueError, match="domain is 'test'.*'source', 'target'"):
        aligner.fit(source, target=target).transform(target, domain="test")
    frame = pd.DataFrame(source, columns=list("abcde"))
    with pytest.raises(ValueError, match="feature names"):
        aligner.fit(frame, target=pd.DataFrame(target, columns=list("bacde")))


def test_equal_source_rows_have_no_axes():
    with pytest.raises(ValueError, match="all rows of X are equal; principal axes need"):
        SubspaceAlignment().fit(np.ones((5, 3)), target=two_domains(d=3)[1])


# CORAL


def test_coral_sends_a_source_that_does_not_vary_to_the_targets_mean():
    _, target = two_domains()
    aligned = CORAL().fit_transform(np.ones((4, 5)), target=target)
    assert_allclose(aligned, np.tile(target.mean(axis=0), (4, 1)))


def test_coral_leaves_out_a_direction_whose_variance_is_rounding_beside_the_largest():
    """Three features: a variance below 3 eps of the largest is no direction, above it is one."""
    pattern = np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    target = two_domains(d=3)[1]
    for size, left_out in ((1.4e-8, True), (1e-7, False)):
        rows = pattern * [1, 1, size]
        aligner = CORAL(reg=0).fit(rows, target=target)
        aligned = aligner.transform(rows, domain="source")
        without = aligner.transform(rows * [1, 1, 0], domain="source")
        assert np.allclose(aligned, without) is left_out


def test_coral_gives_the_source_the_mean_and_covariance_of_the_target():
    source, target = two_domains()
    aligner = CORAL(reg=0)
    aligned = aligner.fit_transform(source, target=target)
    assert_allclose(np.cov(aligned.T), np.cov(target.T), rtol=1e-9)
    assert_allclose(aligned.mean(axis=0), target.mean(axis=0))
    assert_allclose(aligner.transform(target), target)


@pytest.mark.parametrize("reg", [0.1, 1.0, 5.0])
def test_coral_is_the_papers_algorithm_on_standardised_features(reg):
    # Divided by n - 1 like the covariance, so that the mean variance is exactly 1.
    source, target = ((x - x.mean(0)) / x.std(0, ddof=1) for x in two_domains())
    whiten = fractional_matrix_power(np.cov(source.T) + reg * np.eye(5), -0.5)
    colour = fractional_matrix_power(np.cov(target.T) + reg * np.eye(5), 0.5)
    aligned = CORAL(reg).fit_transform(source, target=target)
    assert_allclose(aligned, source @ whiten @ colour, atol=1e-10)


def test_coral_does_not_depend_on_the_unit_of_either_domain():
    source, target = two_domains()
    aligned = CORAL().fit_transform(source, target=target)
    assert_allclose(CORAL().fit_transform(source * 1000, target=target), aligned)
    assert_allclose(CORAL().fit_transform(source, target=target / 50), aligned / 50)


@pytest.mark.parametrize("reg", [0, 1])
def test_coral_without_a_target_changes_nothing(reg):
    source, _ = two_domains()
    source[:, 1] = 7.0
    assert_allclose(CORAL(reg).fit_transform(source), source)


@pytest.mark.parametrize("shrinkage", [None, 0.1, 0.5])
def test_coral_agrees_with_skada(skada, shrinkage):
    source, target = two_domains()
    rows, domain = np.concatenate([source, target]), np.repeat([1, -2], [60, 45])
    theirs = skada.CORALAdapter(reg=shrinkage).fit_transform(rows, sample_domain=domain)[:60]
    # Shrinkage s is reg = s / (1 - s). They centre on zero and divide covariances by n.
    reg = 0 if shrinkage is None else shrinkage / (1 - shrinkage)
    ours = CORAL(reg).fit_transform(source, target=target) - target.mean(axis=0)
    assert_allclose(ours * np.sqrt((44 / 45) / (59 / 60)), theirs, atol=1e-10)


# Subspace alignment


def test_subspace_alignment_is_its_formula_up_to_the_sign_of_each_axis():
    source, target = two_domains()
    source_axes, target_axes = (PCA(2).fit(rows).components_.T for rows in (source, target))
    expected = (source - source.mean(0)) @ source_axes @ source_axes.T @ target_axes
    aligner = SubspaceAlignment(n_components=2)
    aligned = aligner.fit_transform(source, target=target)
    signs = np.sign((aligned * expected).sum(axis=0))
    assert_allclose(aligned, expected * signs)
    assert_allclose(aligner.transform(target), (target - target.mean(0)) @ target_axes * signs)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_subspace_alignment_agrees_with_skada(skada, k):
    source, target = two_domains()
    rows, domain = np.concatenate([source, target]), np.repeat([1, -2], [60, 45])
    adapter = skada.SubspaceAlignmentAdapter(n_components=k)
    theirs = adapter.fit_transform(rows, sample_domain=domain)
    aligner = SubspaceAlignment(n_components=k)
    aligned_source = aligner.fit_transform(source, target=target)
    ours = np.concatenate([aligned_source, aligner.transform(target)])
    assert_allclose(ours, theirs * np.sign((ours * theirs).sum(axis=0)), atol=1e-10)


def test_subspace_alignment_with_all_axes_only_aligns_the_means():
    source, target = two_domains()
    aligner = SubspaceAlignment(n_components=50).fit(source, target=target)
    assert aligner.n_components_ == 5
    moved = source - source.mean(0) + target.mean(0)
    assert_allclose(aligner.transform(source, domain="source"), aligner.transform(moved), atol=1e-9)


def test_subspace_alignment_keeps_no_axis_that_a_domain_does_not_span():
    source, target = two_domains()
    target[:, 3] = target[:, 0] + target[:, 1]
    target[:, 4] = 0.0
    assert SubspaceAlignment().fit(source, target=target).n_components_ == 3
    turned = SubspaceAlignment().fit(target, target=source)
    assert turned.n_components_ == 3 and turned.target_axes_.shape == (5, 3)


def test_alignment_recovers_a_rotated_domain():
    """Rows of the target are rotated source rows: aligned, a classifier transfers."""
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    rows = rng.normal(size=(200, 4)) * [1, 0.5, 0.2, 0.1] + [3, 0, 0, 0] * labels[:, None]
    rotation, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    target = rows[::-1] @ rotation + 5
    classify = LogisticRegression()
    aligner = SubspaceAlignment(n_components=1)
    classify.fit(aligner.fit_transform(rows, target=target), labels)
    accuracy = classify.score(aligner.transform(target), labels[::-1])
    # A principal axis has no sign: unlabelled rows cannot say which end is which.
    assert max(accuracy, 1 - accuracy) > 0.9


# TCA


def tca_problem(aligner, n_source, n_target, mu):
    """Write out both matrices of the eigenproblem from the paper's definitions."""
    n = n_source + n_target
    kernel = np.empty((n, n))
    for i, a in enumerate(aligner.rows_):
        for j, b in enumerate(aligner.rows_):
            if aligner.kernel == "linear":
                kernel[i, j] = a @ b
            else:
                kernel[i, j] = np.exp(-((a - b) ** 2).sum() / (2 * aligner.bandwidth_**2))
    gap = np.full((n, n), -1 / (n_source * n_target))
    gap[:n_source, :n_source] = 1 / n_source**2
    gap[n_source:, n_source:] = 1 / n_target**2
    centring = np.eye(n) - 1 / n
    return kernel, kernel @ centring @ kernel, kernel @ gap @ kernel + mu * np.eye(n)


@pytest.mark.parametrize("kernel", ["rbf", "linear"])
@pytest.mark.parametrize("mu", [0.01, 1.0, 100.0])
def test_tca_solves_the_generalised_eigenproblem(kernel, mu):
    source, target = (StandardScaler().fit_transform(x) + 0.3 for x in two_domains())
    aligner = TCA(n_components=4, kernel=kernel, mu=mu)
    aligned = aligner.fit_transform(source, target=target)
    k, spread, penalty = tca_problem(aligner, 60, 45, mu)
    w, values = aligner.weights_, aligner.eigenvalues_
    scale = np.linalg.norm(spread) * np.linalg.norm(w)
    assert np.linalg.norm(spread @ w - penalty @ w * values) < 1e-9 * scale
    assert_allclose(w.T @ penalty @ w, np.eye(4), atol=1e-8)
    # The unsymmetric solver finds the same largest eigenvalues, in descending order.
    expected = np.sort(eigvals(np.linalg.solve(penalty, spread)).real)[::-1][:4]
    assert_allclose(values, expected, rtol=1e-6)
    assert_allclose(aligned, (k @ w)[:60], atol=1e-9 * np.abs(aligned).max())


def test_tca_of_four_numbers_worked_by_hand():
    """One feature, linear kernel: w = c x, and lambda = v / (g + mu / |x|^2)."""
    source, target = np.array([[0.0], [2.0]]), np.array([[1.0], [5.0]])
    # |x|^2 = 30, spread about the mean 2: v = 4 + 0 + 1 + 9 = 14, squared gap g = (1 - 3)^2 = 4.
    aligner = TCA(n_components=1, kernel="linear", mu=1.0)
    aligned = aligner.fit_transform(source, target=target)
    assert_allclose(aligner.eigenvalues_, [14 / (4 + 1 / 30)])
    scale = np.sqrt(30 / 121)  # The spread of the component equals its eigenvalue.
    assert_allclose(np.abs(aligned), source * scale, atol=1e-12)
    assert_allclose(np.abs(aligner.transform(target)), target * scale)


def test_tca_keeps_one_component_less_than_there_are_rows():
    source, target = two_domains(n_source=4, n_target=3)
    assert TCA(n_components=50).fit(source, target=target).weights_.shape == (7, 6)


def test_tca_takes_as_many_rows_as_it_says(monkeypatch):
    source, target = two_domains(n_source=6, n_target=5)
    monkeypatch.setattr("tlcourse.align._MAX_KERNEL_ROWS", 11)
    assert TCA().fit(source, target=target).rows_.shape == (11, 5)
    with pytest.raises(ValueError, match="12 rows together.* allows 11"):
        TCA().fit(np.concatenate([source, source[:1]]), target=target)


def test_tca_closes_the_gap_as_mu_falls():
    source, target = two_domains()
    gaps = []
    for mu in (100.0, 1.0, 0.01):
        aligner = TCA(n_components=2, mu=mu)
        z_source, z_target = aligner.fit_transform(source, target=target), aligner.transform(target)
        pooled = np.concatenate([z_source, z_target]).std()
        gaps.append(np.linalg.norm(z_source.mean(0) - z_target.mean(0)) / pooled)
    assert gaps[0] > 3 * gaps[1] > 9 * gaps[2]


def test_tca_uses_the_median_distance_unless_told_otherwise():
    source, target = np.array([[0.0], [1.0]]), np.array([[3.0], [3.0]])
    # Distances above zero: 1, 3, 3, 2, 2.
    assert TCA().fit(source, target=target).bandwidth_ == 2
    assert TCA(bandwidth=7).fit(source, target=target).bandwidth_ == 7
    assert TCA(kernel="linear").fit(source, target=target).bandwidth_ is None
