"""Pictures answer as the array that they stand for, from memory and from files alike."""

import hashlib
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from tlcourse.data import (
    Pictures,
    few_shot_split,
    load_image_folder,
    read_picture,
    write_image_folder,
)

SHAPE = (6, 16, 16, 3)
ROWS = arrays.arrays(np.int64, st.integers(0, 8), elements=st.integers(-6, 5))
KEYS = st.one_of(
    st.integers(-6, 5),
    st.slices(6),
    arrays.arrays(bool, 6),
    ROWS,
    ROWS.map(list),
    arrays.arrays(np.int64, (2, 3), elements=st.integers(-6, 5)),
    st.sampled_from([..., None, np.int8(3)]),
    arrays.basic_indices(SHAPE, allow_ellipsis=False),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six pictures of noise, in two class folders."""
    path = tmp_path_factory.mktemp("pictures")
    pixels = np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)
    for number, image in enumerate(pixels):
        file = path / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(file)
    return path


@pytest.fixture(params=[2**30, 0], ids=["kept", "decoded"])
def pictures(request, folder):
    return Pictures(sorted(folder.glob("*/*.png")), 16, keep_bytes=request.param)


def test_all_pictures_become_one_array(folder, pictures):
    array = np.asarray(pictures)
    assert (pictures.shape, pictures.ndim, len(pictures)) == (SHAPE, 4, 6)
    assert pictures.dtype == array.dtype == np.float32
    expected = [np.asarray(Image.open(file), dtype=np.float32) / 255 for file in pictures.files]
    np.testing.assert_array_equal(array, expected)
    np.testing.assert_array_equal(list(pictures), expected)
    assert np.asarray(pictures, dtype=np.float64).dtype == np.float64
    with pytest.raises(ValueError, match="never without a copy"):
        pictures.__array__(copy=False)


@settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # the files stay as they are
)
@given(key=KEYS, rows=ROWS)
def test_indexing_equals_that_of_an_array(pictures, key, rows):
    array = np.asarray(pictures)
    np.testing.assert_array_equal(pictures[key], array[key])
    assert pictures[key].dtype == np.float32
    np.testing.assert_array_equal(pictures.subset(rows), array[rows])
    np.testing.assert_array_equal(pictures.subset(rows)[::2], array[rows][::2])


def test_memory_is_used_where_it_suffices_and_changes_nothing(folder):
    files = sorted(folder.glob("*/*.png"))
    enough, too_little = (Pictures(files, 16, keep_bytes=6 * 16 * 16 * 3 - k) for k in (0, 1))
    assert "kept in memory" in repr(enough) and "decoded on access" in repr(too_little)
    np.testing.assert_array_equal(enough, too_little)
    assert enough.fingerprint() == too_little.fingerprint()


def test_an_index_into_several_arrays_is_refused(pictures):
    for key in [([0, 1], 0), (slice(None), [True] * 16), (0, None)]:
        with pytest.raises(IndexError, match="one index array or mask, for the first axis"):
            pictures[key]
    for key in (6, -7, [0, 6], [True] * 5, 1.5):
        with pytest.raises(IndexError):
            pictures[key]
    with pytest.raises(IndexError, match="rows are 3"):
        pictures.subset(3)


def test_the_fingerprint_follows_content_order_size_and_channels(folder, pictures, tmp_path):
    files = list(pictures.files)
    moved = tmp_path / "other name.png"
    moved.write_bytes(files[0].read_bytes())
    same = Pictures([moved, *files[1:]], 16).fingerprint()
    assert same == pictures.fingerprint() == pictures.subset(slice(None)).fingerprint()
    (tmp_path / "changed.png").write_bytes(files[0].read_bytes())
    with Image.open(files[0]) as opened:
        opened.putpixel((0, 0), (1, 2, 3))
        opened.save(tmp_path / "changed.png")
    others = [
        Pictures([tmp_path / "changed.png", *files[1:]], 16),
        Pictures(files[::-1], 16),
        Pictures(files[:5], 16),
        Pictures(files, 15),
        Pictures(files, 16, 1),
    ]
    assert len({same, *(other.fingerprint() for other in others)}) == 6
    first_two = Pictures(files[:2], 16).fingerprint()
    assert pictures.subset([0, 1]).fingerprint() == first_two


def test_a_file_that_changes_after_loading_is_noticed(folder, tmp_path):
    path = tmp_path / "one.png"
    path.write_bytes((folder / "a" / "0.png").read_bytes())
    pictures = Pictures([path], 16, keep_bytes=0)
    path.write_bytes((folder / "b" / "1.png").read_bytes())
    with pytest.raises(ValueError, match="one.png has changed since it was loaded"):
        pictures[0]
    path.unlink()
    with pytest.raises(ValueError, match="one.png can no longer be read"):
        pictures[:1]


def test_a_subset_decodes_and_copies_nothing(folder):
    domain = load_image_folder(folder, size=512, validation_share=0).train
    tracemalloc.start()
    some = domain.subset(np.arange(6) % 2 == 0).subset([2, 0]).subset(slice(None))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 512 * 512 and isinstance(some.inputs, Pictures) and len(some) == 2
    np.testing.assert_array_equal(some.inputs[:], domain.inputs[[4, 0]])
    np.testing.assert_array_equal(some.labels, domain.labels[[4, 0]])


def test_a_domain_of_pictures_is_split_and_given_other_inputs_as_any_other(folder):
    domain = load_image_folder(folder, size=16, validation_share=0, keep_bytes=0).train
    assert repr(domain) == f"Domain({folder.name!r}, 6 x 16x16x3, 2 classes)" and domain.is_image
    split = few_shot_split(domain, 1, validation_per_class=1, test_per_class=1, seed=0)
    files = [file for part in split for file in part.inputs.files]
    assert len(set(files)) == 6
    dark = domain.with_inputs(np.asarray(domain.inputs) / 2)
    assert isinstance(dark.inputs, np.ndarray) and dark.inputs.max() <= 0.5
    with pytest.raises(ValueError, match=r"labels of .* have shape \(6,\); 2 inputs need"):
        domain.with_inputs(domain.inputs.subset([0, 1]))


def test_pictures_that_are_files_are_written_as_a_folder_again(folder, tmp_path):
    domain = load_image_folder(folder, size=16, validation_share=0, keep_bytes=0).train
    path = write_image_folder(domain, tmp_path / "again", validation_share=0, seed=0)
    again = load_image_folder(path, size=16, validation_share=0).train
    np.testing.assert_array_equal(again.inputs, domain.inputs)


def test_bad_files_and_arguments_are_named(folder, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"bad")
    good = folder / "a" / "0.png"
    with pytest.raises(ValueError, match=r"2 of 3 pictures cannot .*(?s:.)*bad.png: not a JPEG"):
        Pictures([tmp_path / "bad.png", good, tmp_path / "none.png"], 16)
    for options, reason in [
        ({"size": 7}, "size is 7; .* >= 8"),
        ({"size": True}, "size is True"),
        ({"size": 16, "channels": 4}, "channels is 4"),
        ({"size": 16, "keep_bytes": -1}, "keep_bytes is -1"),
    ]:
        with pytest.raises(ValueError, match=reason):
            Pictures([good], **options)
    with pytest.raises(ValueError, match="1 of 1 pictures cannot be used.*\n.*none.png: No such"):
        read_picture(tmp_path / "none.png", 16)


def test_one_picture_is_read_as_its_folder_is(tmp_path):
    """The book once read single pictures without EXIF data and with another interpolation."""
    noise = np.random.default_rng(1).integers(0, 256, (90, 60, 3), dtype=np.uint8)
    photo = Image.fromarray(noise)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    for turn, name in enumerate(("a", "b")):
        (tmp_path / name).mkdir()
        photo.rotate(180 * turn).save(tmp_path / name / "0.png", exif=exif)
    domain = load_image_folder(tmp_path, size=24, validation_share=0).train
    one = read_picture(tmp_path / "a" / "0.png", 24)
    np.testing.assert_array_equal(one, domain.inputs[0])
    upright = photo.transpose(Image.Transpose.ROTATE_270).crop((15, 0, 75, 60))
    expected = upright.resize((24, 24), Image.Resampling.BILINEAR)
    inside = slice(1, -1), slice(1, -1)  # at the border, resampling also sees what is cut off
    np.testing.assert_allclose(one[inside] * 255, np.asarray(expected)[inside], atol=1.01)
    assert read_picture(tmp_path / "a" / "0.png", 24, 1).shape == (24, 24, 1)


def test_a_large_photograph_is_decoded_smaller_without_a_visible_difference(tmp_path):
    rng = np.random.default_rng(0)
    scene = Image.fromarray(rng.integers(0, 256, (10, 15, 3), dtype=np.uint8))
    scene = scene.resize((1200, 800), Image.Resampling.BICUBIC)
    scene.save(tmp_path / "large.jpg", quality=95)
    with Image.open(tmp_path / "large.jpg") as opened:
        full = opened.convert("RGB").crop((200, 0, 1000, 800)).resize((32, 32), Image.BILINEAR)
    difference = np.abs(read_picture(tmp_path / "large.jpg", 32) * 255 - np.asarray(full))
    assert difference.mean() < 0.5 and difference.max() < 8


def test_a_content_key_is_the_files_sha256(folder):
    """So two files with equal bytes are one picture, wherever they lie."""
    files = sorted(folder.glob("*/*.png"))
    source = Pictures(files, 16)._source
    assert source.digests == [hashlib.sha256(file.read_bytes()).digest() for file in files]
