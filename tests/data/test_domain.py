"""A domain refuses bad arrays at the door; a few-shot split is fair, disjoint, and nested."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from tlcourse.data import Domain, Pictures, few_shot_split
from tlcourse.data.domain import check_domain, check_training_data

FIXED = settings(derandomize=True, deadline=None, database=None, max_examples=150)
FLOAT32_MAX = float(np.finfo(np.float32).max)


def rows(n=120, classes=3, d=2):
    """Make a domain whose first feature is the row's number."""
    inputs = np.arange(n * d, dtype=np.float32).reshape(n, d)
    return Domain("rows", inputs, np.arange(n) % classes, [f"class {c}" for c in range(classes)])


def numbers(domain):
    return set(domain.inputs[:, 0].tolist())


def test_a_domain_describes_itself_and_fixes_types():
    images = np.zeros((4, 5, 6, 3), dtype=np.float64)
    domain = Domain("z", images, np.array([0, 1, 1, 0], dtype=np.int8), ["a", "b"], "home", "mine")
    assert repr(domain) == "Domain('z', 4 x 5x6x3, 2 classes)"
    assert domain.is_image and len(domain) == 4 and domain.n_classes == 2
    assert domain.inputs.dtype == np.float32 and domain.labels.dtype == np.int64
    assert domain.class_names == ("a", "b")


@pytest.mark.parametrize(
    ("inputs", "labels", "error", "reason"),
    [
        (np.zeros((2, 3), dtype=int), [0, 1], TypeError, "divide bytes by 255"),
        (np.zeros((2, 3, 3)), [0, 1], ValueError, r"shape \(2, 3, 3\)"),
        (np.zeros((2, 3, 3, 2)), [0, 1], ValueError, "1 or 3"),
        (np.full((2, 3), np.nan), [0, 1], ValueError, "NaN or infinity"),
        (np.array([[1.0], [np.inf]]), [0, 1], ValueError, "NaN or infinity"),
        (np.array([[1.0], [1e39]]), [0, 1], ValueError, "NaN or infinity"),
        (np.array([[1.0], [-1e39]]), [0, 1], ValueError, "NaN or infinity"),
        (np.full((2, 4, 4, 1), 255.0), [0, 1], ValueError, r"span \[255, 255\]; scale them"),
        (np.full((2, 4, 4, 1), -0.1), [0, 1], ValueError, "scale them"),
        (np.zeros((2, 3)), [0.0, 1.0], TypeError, "integers from 0"),
        (np.zeros((2, 3)), [0, 2], ValueError, "2 class names allow 0 to 1"),
        (np.zeros((2, 3)), [0, -1], ValueError, "allow 0 to 1"),
        (np.zeros((2, 3)), [0], ValueError, "2 inputs need"),
    ],
)
def test_bad_arrays_are_refused_with_the_remedy(inputs, labels, error, reason):
    with pytest.raises(error, match=reason):
        Domain("bad", inputs, np.array(labels), ["a", "b"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: Domain("d", np.zeros((2, 3), dtype=int), np.array([0, 1]), "ab"),
            "inputs of 'd' have dtype int64; give floating-point numbers (images scaled to [0, 1]: "
            "divide bytes by 255).",
        ),
        (
            lambda: Domain("d", np.zeros((2, 3, 3)), np.array([0, 1]), "ab"),
            "inputs of 'd' have shape (2, 3, 3); give images (n, h, w, 1 or 3) or rows (n, d).",
        ),
        (
            lambda: Domain("d", np.full((2, 3), np.nan), np.array([0, 1]), "ab"),
            "inputs of 'd' contain NaN or infinity (beyond 3.4e38 a number is infinite in "
            "float32); drop or repair these rows.",
        ),
        (
            lambda: Domain("d", np.array([[[[-0.25]]], [[[7.125]]]]), np.array([0, 1]), "ab"),
            "images of 'd' span [-0.25, 7.12]; scale them to [0, 1]. Normalisation belongs to the "
            "model's preprocessing.",
        ),
        (
            lambda: Domain("d", np.zeros((2, 3)), np.array([0.0, 1.0]), "ab"),
            "labels of 'd' have dtype float64; give integers from 0.",
        ),
        (
            lambda: Domain("d", np.zeros((2, 3)), np.array([[0], [1]]), "ab"),
            "labels of 'd' have shape (2, 1); 2 inputs need (2,).",
        ),
        (
            lambda: Domain("d", np.zeros((2, 3)), np.array([-1, 2]), "ab"),
            "labels of 'd' span [-1, 2], but 2 class names allow 0 to 1.",
        ),
        (
            lambda: few_shot_split(rows(), 3, validation_per_class=7, test_per_class=31, seed=0),
            "class 'class 0' of 'rows' has 40 examples, but per_class=3 + validation_per_class=7 + "
            "test_per_class=31 need 41. Lower one of the three.",
        ),
        (lambda: check_domain("train", [1]), "train is a list; give a tlcourse.data.Domain."),
        (
            lambda: check_domain("test", rows().subset([])),
            "test has no examples; give at least one.",
        ),
        (
            lambda: check_training_data(rows(), None, 3),
            "patience is 3, but there is no validation set; give one.",
        ),
        (
            lambda: check_training_data(rows(), rows().subset([]), None),
            "validation has no examples; give at least one.",
        ),
        (
            lambda: check_training_data(None, None, None),
            "train is a NoneType; give a tlcourse.data.Domain.",
        ),
    ],
)
def test_a_message_says_what_was_given_what_is_allowed_and_the_remedy(call, message):
    with pytest.raises((ValueError, TypeError), match=f"^{re.escape(message)}$"):
        call()


@pytest.mark.parametrize(
    "inputs",
    [
        np.array([[[[0.0]]], [[[1.0]]]]),
        np.array([[[[0.0]]], [[[1 + 1e-12]]]]),  # 1 in float32
        np.full((2, 1), FLOAT32_MAX),
        np.full((2, 1), -FLOAT32_MAX),
        np.full((2, 1), 300.0),  # rows are no images
        np.full((2, 1), -0.5),
        np.zeros((2, 0)),
        np.zeros((2, 1, 1, 3), dtype=np.float16),
    ],
)
def test_what_is_just_allowed_is_accepted(inputs):
    domain = Domain("d", inputs, np.array([0, 1]), "ab")
    np.testing.assert_array_equal(domain.inputs, inputs.astype(np.float32))


@pytest.mark.parametrize(
    "inputs",
    [
        np.array([[[[0.0]]], [[[np.nextafter(np.float32(1), np.float32(2))]]]]),
        np.array([[[[-1e-30]]], [[[1.0]]]]),
        np.array([[0.0], [-np.inf]]),
        np.full((2, 1), 2 * FLOAT32_MAX),
        np.zeros((2, 1, 1, 2)),
        np.zeros((2, 1, 1, 4)),
        np.zeros((2, 1, 1)),
        np.zeros((2, 1, 1, 1, 1)),
        np.zeros(2),
    ],
)
def test_what_is_just_not_allowed_is_refused(inputs):
    with pytest.raises(ValueError, match="of 'd'"):
        Domain("d", inputs, np.array([0, 1]), "ab")


def test_an_empty_domain_and_unused_classes_are_allowed():
    empty = Domain("d", np.zeros((0, 4, 4, 1)), np.zeros(0, dtype=int), ["a"])
    assert len(empty) == 0 and empty.is_image and not rows().is_image
    assert Domain("d", np.zeros((1, 2)), np.array([1]), ["a", "b", "c"]).n_classes == 3
    check_training_data(rows(), None, None)
    check_training_data(rows(), rows(), 1)


def test_float32_arrays_and_memory_maps_are_not_copied(tmp_path):
    inputs = np.zeros((2, 3), dtype=np.float32)
    labels = np.array([0, 1], dtype=np.int64)
    domain = Domain("d", inputs, labels, "ab")
    assert domain.inputs is inputs and domain.labels is labels
    np.save(tmp_path / "x.npy", inputs)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert isinstance(Domain("d", mapped, np.array([0, 1]), "ab").inputs, np.memmap)


def test_pictures_stay_files_in_a_domain_and_its_subsets(tmp_path):
    for grey in (0, 51, 255):
        Image.new("L", (8, 8), grey).save(tmp_path / f"{grey:03d}.png")
    domain = Domain("d", Pictures(sorted(tmp_path.iterdir()), 8, 1), np.array([0, 1, 1]), "ab")
    assert repr(domain) == "Domain('d', 3 x 8x8x1, 2 classes)"
    some = domain.subset([2, 1])
    assert isinstance(some.inputs, Pictures) and some.labels.tolist() == [1, 1]
    np.testing.assert_allclose(some.inputs[:, 0, 0, 0], [1, 0.2])
    with pytest.raises(ValueError, match="3 inputs need"):
        Domain("d", domain.inputs, np.array([0, 1]), "ab")


NUMBERS = st.one_of(
    st.floats(0, 1), st.sampled_from([-0.1, 1.1, np.nan, np.inf, 1e39, -1e39, 1e-50, FLOAT32_MAX])
)


@FIXED
@given(data=st.data())
def test_a_domain_accepts_exactly_what_is_documented(data):
    shape = data.draw(
        st.one_of(
            st.tuples(*[st.integers(0, 3)] * 2),
            st.tuples(*[st.integers(0, 2)] * 3, st.sampled_from([1, 2, 3])),
            st.lists(st.integers(0, 2), min_size=1, max_size=5).map(tuple),
        )
    )
    inputs = data.draw(arrays.arrays(np.float64, shape, elements=NUMBERS))
    if data.draw(st.integers(0, 9)) == 0:
        inputs = np.zeros(shape, dtype=data.draw(st.sampled_from([np.uint8, np.int64, bool])))
    n = len(inputs) + data.draw(st.sampled_from([0, 0, 0, 0, 1]))
    whole = data.draw(st.sampled_from([np.int64, np.int64, np.int8, np.float32]))
    labels = data.draw(arrays.arrays(whole, n, elements=st.integers(-1, 2)))
    if data.draw(st.booleans()):
        labels = np.abs(labels) % 2
    with np.errstate(over="ignore"):
        single = inputs.astype(np.float32)
    types = inputs.dtype == np.float64 and labels.dtype != np.float32
    images = inputs.ndim == 4 and inputs.shape[3] in (1, 3)
    values = np.isfinite(single).all() and (not images or ((single >= 0) & (single <= 1)).all())
    named = len(labels) == len(inputs) and np.isin(labels, [0, 1]).all()
    if types and (images or inputs.ndim == 2) and values and named:
        domain = Domain("d", inputs, labels, ["a", "b"])
        np.testing.assert_array_equal(domain.inputs, single)
        np.testing.assert_array_equal(domain.labels, labels)
    else:
        with pytest.raises((ValueError, TypeError)) as caught:
            Domain("d", inputs, labels, ["a", "b"])
        if types:
            assert caught.type is ValueError


@FIXED
@given(data=st.data())
def test_subsets_compose(data):
    domain = Domain("d", np.arange(8.0)[:, None], np.arange(8) % 3, "abc", "home", "mine")
    first = data.draw(st.lists(st.integers(-8, 7), max_size=10).map(lambda x: np.array(x, int)))
    mask = data.draw(arrays.arrays(bool, len(first)))
    twice, once = domain.subset(first).subset(mask), domain.subset(first[mask])
    np.testing.assert_array_equal(twice.inputs, once.inputs)
    np.testing.assert_array_equal(twice.inputs[:, 0], np.arange(8)[first[mask]])
    np.testing.assert_array_equal(twice.labels, twice.inputs[:, 0] % 3)
    assert (twice.name, twice.origin, twice.licence) == ("d", "home", "mine")


def test_subset_and_with_inputs_keep_the_labels_in_step():
    domain = rows()
    some = domain.subset([5, 3])
    assert some.labels.tolist() == [2, 0] and some.inputs[:, 0].tolist() == [10, 6]
    view = domain.with_inputs(-domain.inputs, name="view")
    assert view.name == "view" and np.array_equal(view.labels, domain.labels)
    np.testing.assert_array_equal(view.inputs, -domain.inputs)
    assert domain.with_inputs(-domain.inputs).name == "rows"
    with pytest.raises(ValueError, match="labels of 'rows' have shape"):
        domain.with_inputs(domain.inputs[:5])


def test_a_split_is_disjoint_and_equal_per_class():
    parts = few_shot_split(rows(), 4, validation_per_class=5, test_per_class=20, seed=0)
    for part, size in zip(parts, (4, 5, 20), strict=True):
        assert np.bincount(part.labels).tolist() == [size] * 3
    together = [numbers(part) for part in parts]
    assert len(set.union(*together)) == sum(map(len, together)) == 3 * 29


def test_larger_budgets_contain_smaller_ones_and_leave_the_held_out_sets_alone():
    small, large = (
        few_shot_split(rows(), k, validation_per_class=5, test_per_class=20, seed=7)
        for k in (2, 15)
    )
    assert numbers(small.train) < numbers(large.train)
    np.testing.assert_array_equal(small.test.inputs, large.test.inputs)
    np.testing.assert_array_equal(small.validation.inputs, large.validation.inputs)


def test_the_seed_decides_the_draw_and_rows_are_shuffled():
    one, same, other = (few_shot_split(rows(), 4, test_per_class=20, seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(one.train.inputs, same.train.inputs)
    assert numbers(one.test) != numbers(other.test)
    assert np.abs(np.diff(one.test.labels)).sum() > 2  # not sorted by class


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"per_class": 0}, "per_class is 0"),
        ({"per_class": 1.5}, "per_class is 1.5; it must be an integer >= 1"),
        ({"validation_per_class": -1}, "validation_per_class is -1; it must be an integer >= 0"),
        ({"test_per_class": -1}, "test_per_class is -1; it must be an integer >= 0"),
        ({"per_class": 30}, "class 'class 0' of 'rows' has 40 examples.*Lower one"),
    ],
)
def test_impossible_splits_are_refused(options, reason):
    sizes = {"per_class": 2, "validation_per_class": 5, "test_per_class": 20} | options
    with pytest.raises(ValueError, match=reason):
        few_shot_split(rows(), **sizes, seed=0)


def test_the_usual_held_out_sets_have_10_and_50_of_a_class():
    parts = few_shot_split(rows(n=61 * 3), 1, seed=0)
    assert [len(part) for part in parts] == [3, 30, 150]
    parts = few_shot_split(rows(), 40, validation_per_class=0, test_per_class=0, seed=0)
    assert [len(part) for part in parts] == [120, 0, 0]


@FIXED
@given(
    counts=st.lists(st.integers(0, 12), min_size=1, max_size=4),
    sizes=st.tuples(st.integers(1, 5), st.integers(0, 4), st.integers(0, 4)),
    seed=st.integers(0, 2**32 - 1),
    order=st.randoms(use_true_random=False),
)
def test_any_split_is_disjoint_balanced_and_nested_or_refused(counts, sizes, seed, order):
    labels = np.repeat(np.arange(len(counts)), counts)
    labels = labels[order.sample(range(len(labels)), len(labels))]
    domain = Domain("d", np.arange(float(len(labels)))[:, None], labels, "abcd"[: len(counts)])
    budget, n_validation, n_test = sizes

    def split(per_class):
        options = {"validation_per_class": n_validation, "test_per_class": n_test}
        return few_shot_split(domain, per_class, seed=seed, **options)

    if min(counts) < sum(sizes):
        with pytest.raises(ValueError, match=f"need {sum(sizes)}"):
            split(budget)
        return
    parts = split(budget)
    for part, size in zip(parts, sizes, strict=True):
        assert np.bincount(part.labels, minlength=len(counts)).tolist() == [size] * len(counts)
        np.testing.assert_array_equal(part.labels, labels[part.inputs[:, 0].astype(int)])
    assert len(set.union(*map(numbers, parts))) == sum(sizes) * len(counts)
    smaller = split(1)
    assert numbers(smaller.train) <= numbers(parts.train)
    np.testing.assert_array_equal(smaller.validation.inputs, parts.validation.inputs)
    np.testing.assert_array_equal(smaller.test.inputs, parts.test.inputs)
    np.testing.assert_array_equal(split(budget).train.inputs, parts.train.inputs)
