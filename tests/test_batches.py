"""Budgets, orders, sizes of batches, and inputs that are fetched ahead."""

import threading
from contextlib import closing

import numpy as np
import pytest

from tlcourse import data
from tlcourse.batches import (
    check_inputs,
    count_updates,
    endless_batches,
    fetch,
    in_turn,
    to_float,
    usual_batch_size,
    warn_if_enlarged,
)


@pytest.mark.parametrize(
    ("examples", "options", "wanted"),
    [
        (100, {"epochs": 2, "steps": None, "batch_size": 32}, 8),
        (96, {"epochs": 2, "steps": None, "batch_size": 32}, 6),
        (1, {"epochs": 3, "steps": None, "batch_size": 32}, 3),
        (100, {"epochs": 2, "steps": 5, "batch_size": 32}, 5),
    ],
)
def test_updates_are_batches_times_epochs_or_the_steps_given(examples, options, wanted):
    assert count_updates(examples, **options) == wanted
    for name in options:
        with pytest.raises(ValueError, match=f"{name} is 0"):
            count_updates(examples, **options | {name: 0})


@pytest.mark.parametrize(("examples", "batch_size"), [(10, 3), (9, 3), (5, 8), (7, 1)])
def test_an_epoch_holds_each_row_once_in_batches_of_nearly_equal_size(examples, batch_size):
    stream = endless_batches(examples, batch_size, np.random.default_rng(3))
    n_batches = -(-examples // batch_size)
    epochs = [[next(stream) for _ in range(n_batches)] for _ in range(2)]
    for epoch in epochs:
        assert sorted(np.concatenate(epoch)) == list(range(examples))
        sizes = [len(rows) for rows in epoch]
        assert max(sizes) <= batch_size and max(sizes) - min(sizes) <= 1
    again = endless_batches(examples, batch_size, np.random.default_rng(3))
    for rows in epochs[0]:
        np.testing.assert_array_equal(next(again), rows)
    assert not np.array_equal(*map(np.concatenate, epochs)), "each epoch has an order of its own"


def test_the_usual_batch_is_bounded_in_numbers_and_in_examples():
    assert usual_batch_size(4) == usual_batch_size(32 * 32) == 256
    assert usual_batch_size(224 * 224 * 3) == 16
    assert usual_batch_size(224 * 224 * 3, on_gpu=True) == 256
    assert usual_batch_size(600 * 600 * 3, on_gpu=True) == 37
    assert usual_batch_size(10**9) == 1


def test_bytes_become_shares_of_one_and_rows_stay_as_they_are():
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    got = to_float(pixels)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got.ravel(), np.arange(256) / 255, rtol=1e-6)
    rows = np.array([[0, 200]], dtype=np.uint8)
    np.testing.assert_array_equal(to_float(rows), [[0.0, 200.0]])
    kept = np.zeros((1, 2, 2, 1), dtype=np.float32)
    assert to_float(kept) is kept


@pytest.mark.parametrize("value", [255.0, 1.2, -1.0, -0.2, np.nan])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_images_clearly_outside_the_unit_interval_are_refused(value, dtype):
    images = np.full((2, 4, 4, 1), 0.5, dtype=dtype)
    images[1, 2, 3, 0] = value
    with pytest.raises(ValueError, match=r"images span \[.*give them in \[0, 1\], or as bytes"):
        to_float(images)
    with pytest.raises(ValueError, match="images span"):
        to_float(np.full((1, 2, 2, 1), 255))  # integers, but not bytes
    images[1, 2, 3, 0] = 1.05  # what sharp resampling leaves
    assert to_float(images).max() == np.float32(1.05)


def test_inputs_are_images_or_rows_and_there_is_one():
    assert check_inputs([[1, 2]]).dtype == np.float32
    pixels = np.zeros((2, 4, 4, 3), dtype=np.uint8)
    assert check_inputs(pixels) is pixels
    with pytest.raises(TypeError, match=r"inputs are a Domain; give .* such as domain.inputs"):
        check_inputs(data.load("iris"))
    for shape in ((2,), (2, 3, 4), (0, 3), (0, 4, 4, 1)):
        with pytest.raises(ValueError, match="give at least one image"):
            check_inputs(np.zeros(shape))


def test_batches_in_turn_go_once_through_all():
    rows = np.arange(10)
    for size in (1, 3, 5, 10, 99):
        parts = [rows[part] for part in in_turn(10, size)]
        np.testing.assert_array_equal(np.concatenate(parts), rows)
        assert {len(part) for part in parts[:-1]} <= {size}
    with pytest.raises(ValueError, match="batch_size is 0"):
        in_turn(10, 0)


class Files:
    """Rows that have to be read, and that note who reads them and when."""

    def __init__(self, fails_at=None):
        self.read, self.readers, self.fails_at = [], set(), fails_at

    def __getitem__(self, part):
        self.read.append(part)
        self.readers.add(threading.current_thread())
        if part == self.fails_at:
            raise OSError(f"no file {part}")
        return np.full(2, part)


def test_what_has_to_be_read_is_read_once_in_order_by_another_thread():
    files = Files()
    got = [batch[0] for batch in fetch(files, iter(range(5)))]
    assert got == files.read == list(range(5))
    assert files.readers and threading.current_thread() not in files.readers


def test_no_more_than_one_batch_is_read_ahead_and_leaving_ends_the_thread():
    files = Files()
    with closing(fetch(files, iter(range(100)))) as batches:
        assert next(batches)[0] == 0 and next(batches)[0] == 1
    assert len(files.read) <= 3
    assert not any(reader.is_alive() for reader in files.readers)


def test_an_error_of_the_reader_arrives_in_its_turn():
    batches = fetch(Files(fails_at=2), range(5))
    assert [next(batches)[0], next(batches)[0]] == [0, 1]
    with pytest.raises(OSError, match="no file 2"):
        next(batches)


def test_an_array_in_memory_needs_no_thread():
    before = threading.active_count()
    batches = fetch(np.arange(6).reshape(3, 2), in_turn(3, 2))
    np.testing.assert_array_equal(next(batches), [[0, 1], [2, 3]])
    assert threading.active_count() == before


def test_nothing_is_fetched_from_nothing():
    assert list(fetch(Files(), [])) == list(fetch(np.zeros(3), [])) == []


def test_only_files_that_were_loaded_smaller_than_they_are_seen_are_warned_about():
    """Ants and bees at 64 pixels cost a net made for 224 five points, without a word."""
    images = np.zeros((2, 64, 64, 3), np.float32)

    class Files:
        shape, files = images.shape, ("a", "b")

    warn_if_enlarged(images, [224])
    for sides in ([], [32], [64]):
        warn_if_enlarged(Files(), sides)
    with pytest.warns(UserWarning, match="size=64.* enlarges them to 224; load them with size=224"):
        warn_if_enlarged(Files(), [32, 224])
