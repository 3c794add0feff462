"""The file of finished trials: what its lines say, and which files are refused, by line."""

import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from tlcourse.data import Domain, Pictures
from tlcourse.data.domain import content_of
from tlcourse.data.pictures import PictureSource
from tlcourse.study import Fitted, study

SIZES = {"validation_per_class": 2, "test_per_class": 3, "progress": False}
ROWS = np.random.default_rng(0).normal(size=(1500, 2)).astype(np.float32)
TARGET = Domain("wörter", ROWS, np.arange(1500) % 3, tuple("abc"))


def zeros(train, validation, *, seed):
    return Fitted(lambda inputs: np.zeros((len(inputs), 3)), 7)


def measure(store, target=TARGET, name="größer", seeds=(4,)):
    return study({name: zeros}, target, [2], seeds, **SIZES, store=store)


def test_a_store_is_json_lines_of_the_protocol_and_the_rows(tmp_path):
    """Later versions must go on with the files of this one."""
    store = tmp_path / "study.jsonl"
    table = measure(store)
    protocol, row = map(json.loads, store.read_text(encoding="utf-8").splitlines())
    bytes_ = TARGET.labels.tobytes() + ROWS.tobytes()
    assert protocol == {
        "format": "tlcourse study 1",
        "target": "wörter",
        "shape": [1500, 2],
        "classes": 3,
        "content": hashlib.blake2b(bytes_, digest_size=16).hexdigest(),
        "validation_per_class": 2,
        "test_per_class": 3,
    }
    assert row == table.iloc[0].to_dict()
    assert (row["strategy"], row["budget"], row["seed"], row["trained_parameters"]) == (
        *("größer", 2, 4, 7),
    )
    assert "größer".encode() in store.read_bytes()  # readable, not escaped


def test_any_changed_number_of_the_target_is_another_study(tmp_path):
    store = tmp_path / "study.jsonl"
    measure(store)
    for row in (0, 1023, 1024, 1499):
        changed = ROWS.copy()
        changed[row, 1] += 1
        with pytest.raises(ValueError, match="holds another study: content was"):
            measure(store, TARGET.with_inputs(changed))
    labels = np.roll(TARGET.labels, 1)
    with pytest.raises(ValueError, match="holds another study: content was"):
        measure(store, Domain("wörter", ROWS, labels, tuple("abc")))


def test_photographs_are_known_by_their_files_and_a_study_of_them_goes_on(tmp_path, monkeypatch):
    pixels = np.random.default_rng(0).integers(256, size=(21, 16, 16, 3), dtype=np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    pictures = Pictures([tmp_path / f"{number}.png" for number in range(21)], 8, keep_bytes=0)
    target = Domain("photographs", pictures, np.arange(21) % 3, tuple("abc"))
    store = tmp_path / "study.jsonl"
    measure(store, target)
    monkeypatch.setattr(PictureSource, "_decode_again", lambda *_: 1 / 0)
    assert len(measure(store, target)) == 1  # nothing is decoded to find that out
    with pytest.raises(ValueError, match="holds another study: content was"):
        measure(store, target.with_inputs(pictures.subset(np.roll(np.arange(21), 3))))


def test_large_inputs_are_hashed_in_small_pieces():
    photographs = np.broadcast_to(np.zeros((1, 1, 1, 1), np.float32), (40, 224, 224, 3))
    sizes = [piece.nbytes for piece in content_of(photographs)]
    assert sum(sizes) == photographs.nbytes and max(sizes) <= 2**24


def test_every_difference_of_the_protocol_is_named(tmp_path):
    store = tmp_path / "study.jsonl"
    measure(store)
    with pytest.raises(
        ValueError,
        match="study.jsonl' holds another.*'wörter' and is now 'x'; shape was .*1500.*"
        " or delete this one to measure anew.$",
    ):
        measure(store, Domain("x", ROWS[:600], TARGET.labels[:600], tuple("abc")))


@pytest.mark.parametrize(
    ("line", "damage"),
    [
        (1, "{}"),
        (1, '{"strategy": "s"}'),
        (2, "not JSON"),
        (2, "3"),
        (3, '{"strategy": "größer", "budget": 2}'),
    ],
)
def test_a_line_that_is_no_trials_is_named_by_its_number(tmp_path, line, damage):
    store = tmp_path / "study.jsonl"
    measure(store, seeds=(0, 1, 2))
    lines = store.read_text(encoding="utf-8").splitlines()
    lines[line - 1] = damage
    store.write_text("\n".join(lines) + "\n", encoding="utf-8")
    before = store.read_bytes()
    with pytest.raises(ValueError, match=rf"line {line} of store '.*study.jsonl' is not a study's"):
        measure(store)
    assert store.read_bytes() == before


def test_a_file_of_one_unfinished_line_that_no_study_began_is_refused(tmp_path):
    store = tmp_path / "note.txt"
    store.write_text("a note", encoding="utf-8")
    with pytest.raises(ValueError, match="note.txt' is not a study's file; give another file"):
        measure(store)
    assert store.read_text(encoding="utf-8") == "a note"
