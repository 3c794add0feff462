"""Folders of pictures: what is written loads again, and what cannot be used is named."""

import shutil
import unicodedata
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tlcourse.data import (
    Domain,
    ImageFolderError,
    load,
    load_image_folder,
    write_image_folder,
)
from tlcourse.data.folders import choose_validation


def pictures(n=24, classes=("ant", "bee", "cat"), size=16, channels=3, seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (n, size, size, channels))
    labels = np.arange(n) % len(classes)
    return Domain("animals", values.astype(np.float32) / 255, labels, classes)


def save(path, size=(20, 12), mode="RGB", colour=(200, 30, 90), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path, **options)


@pytest.fixture
def folder(tmp_path):
    """Two classes of four different plain pictures each."""
    for place, name in enumerate(("ant", "bee")):
        for number in range(4):
            save(tmp_path / "photos" / name / f"{number}.png", colour=(40 * number, 100 * place, 7))
    return tmp_path / "photos"


# ---- round trip


@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_written_loads_again_pixel_by_pixel(tmp_path, channels):
    domain = pictures(channels=channels)
    path = write_image_folder(domain, tmp_path / "out", seed=0)
    sides = load_image_folder(path, size=16, channels=channels)
    assert [len(side) for side in sides] == [18, 6]
    assert sides.train.class_names == domain.class_names
    for label in range(3):
        wanted = {image.tobytes() for image in domain.inputs[domain.labels == label]}
        found = [image.tobytes() for side in sides for image in side.inputs[side.labels == label]]
        assert len(found) == 8 and set(found) == wanted


def test_signs_survive_a_folder(tmp_path):
    domain = load("signs", n=60)
    path = write_image_folder(domain, tmp_path / "signs", seed=0, validation_share=0)
    train, validation = load_image_folder(path, size=64, validation_share=0)
    assert len(train) == 60 and len(validation) == 0
    order = np.argsort(domain.labels, kind="stable")
    np.testing.assert_allclose(train.inputs, domain.inputs[order], atol=0.5 / 255 + 1e-6)


def test_a_folder_in_use_is_left_alone(tmp_path):
    save(tmp_path / "out" / "mine.png")
    with pytest.raises(ImageFolderError, match="already exists; nothing was written"):
        write_image_folder(pictures(), tmp_path / "out", seed=0)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.png"]


def test_an_empty_folder_is_filled_and_one_picture_of_two_classes_is_not_written(tmp_path):
    (tmp_path / "out").mkdir()
    path = write_image_folder(pictures(), tmp_path / "out", seed=0)
    assert sorted(side.name for side in path.iterdir()) == ["train", "val"]
    twins = Domain("twins", np.full((4, 8, 8, 3), 0.5), np.array([0, 0, 1, 1]), ["a", "b"])
    with pytest.raises(ImageFolderError, match="in two classes"):
        write_image_folder(twins, tmp_path / "twins", seed=0, validation_share=0)
    assert not (tmp_path / "twins").exists()


def test_an_interrupted_writing_leaves_nothing(tmp_path, monkeypatch):
    def full_disk(*_):
        raise OSError("no space left")

    monkeypatch.setattr("pathlib.Path.write_bytes", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_image_folder(pictures(), tmp_path / "out", seed=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a/b", "con", "x.", " x", ".hidden", "a:b", "z" * 201])
def test_names_that_are_no_folder_names_everywhere_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match="not safe as a folder name"):
        write_image_folder(pictures(classes=("ok", name)), tmp_path / "out", seed=0)


def test_rows_a_single_class_an_empty_class_and_clashing_names_are_refused(tmp_path):
    empty = pictures(classes=("a", "b")).subset(np.zeros(3, dtype=int))
    for domain, reason in [
        (load("iris"), "holds rows"),
        (pictures(classes=("only",)), "one class only"),
        (empty, "no example to write"),
        (pictures(classes=("Bee", "bee")), "share the folder"),
    ]:
        with pytest.raises(ValueError, match=reason):
            write_image_folder(domain, tmp_path / "out", seed=0)
    with pytest.raises(ValueError, match="format is 'gif'; choose 'png' or 'jpg'"):
        write_image_folder(pictures(), tmp_path / "out", seed=0, format="gif")


# ---- the two layouts


def test_one_folder_is_split_by_class_and_follows_the_seed(folder):
    first, same, other = (load_image_folder(folder, size=8, seed=seed) for seed in (0, 0, 5))
    for side in first:
        assert np.bincount(side.labels).tolist() == [3, 3] if side is first.train else [1, 1]
    np.testing.assert_array_equal(first.validation.inputs, same.validation.inputs)
    assert any(
        not np.array_equal(
            first.validation.inputs, load_image_folder(folder, size=8, seed=seed).validation.inputs
        )
        for seed in range(1, 6)
    )
    assert len(other.train) == 6


@pytest.mark.parametrize("side", ["val", "valid", "validation", "Val"])
def test_given_sides_are_kept(tmp_path, folder, side):
    shutil.move(folder, tmp_path / "set" / "train")
    for name in ("ant", "bee"):
        save(tmp_path / "set" / side / name / "new.png", colour=(1, 2, ord(name[0])))
        save(tmp_path / "set" / side / name / "new2.png", colour=(9, 2, ord(name[0])))
    train, validation = load_image_folder(tmp_path / "set", size=8)
    assert (len(train), len(validation)) == (8, 4)


def test_pictures_are_as_large_as_most_pretrained_nets_want_them(folder):
    assert load_image_folder(folder).train.inputs.shape[1:] == (224, 224, 3)


def test_training_without_one_validation_folder_is_refused(tmp_path, folder):
    shutil.move(folder, tmp_path / "set" / "train")
    (tmp_path / "set" / "test").mkdir()
    with pytest.raises(ImageFolderError, match="train and no validation folder"):
        load_image_folder(tmp_path / "set")
    for side in ("val", "valid"):
        (tmp_path / "set" / side).mkdir()
    with pytest.raises(ImageFolderError, match="train and val and valid"):
        load_image_folder(tmp_path / "set")


def test_a_class_that_only_validates_and_a_folder_in_a_class_are_named(tmp_path, folder):
    shutil.move(folder, tmp_path / "set" / "train")
    save(tmp_path / "set" / "val" / "wasp" / "new.png")
    with pytest.raises(ImageFolderError, match="has not: wasp"):
        load_image_folder(tmp_path / "set")
    save(tmp_path / "set" / "train" / "ant" / "more" / "new.png")
    with pytest.raises(ImageFolderError, match="class folder .*ant holds a folder, more"):
        load_image_folder(tmp_path / "set" / "train")


def test_a_class_is_the_same_however_its_accent_is_stored(tmp_path):
    for number, (side, form) in enumerate([("train", "NFD"), ("val", "NFC")]):
        for place, name in enumerate(("abeille", "guêpe")):
            stored = unicodedata.normalize(form, name)
            save(tmp_path / side / stored / "0.png", colour=(number, place, 7))
    train, validation = load_image_folder(tmp_path, size=8)
    assert train.class_names == validation.class_names == ("abeille", "guêpe")
    assert validation.labels.tolist() == [0, 1]


def test_a_copy_on_both_sides_is_a_leak(tmp_path, folder):
    shutil.move(folder, tmp_path / "set" / "train")
    for name in ("ant", "bee"):
        save(tmp_path / "set" / "val" / name / "new.png", colour=(1, 2, ord(name[0])))
    shutil.copy(tmp_path / "set/train/bee/2.png", tmp_path / "set/val/bee/renamed.png")
    with pytest.raises(
        ImageFolderError, match=r"train.bee.2.png: it validates, too, as val/bee/renamed"
    ):
        load_image_folder(tmp_path / "set")


def test_copies_stay_together_in_a_split(folder):
    for number in range(4):
        shutil.copy(folder / "ant" / f"{number}.png", folder / "ant" / f"copy{number}.png")
    for seed in range(5):
        train, validation = load_image_folder(folder, size=8, seed=seed)
        held = {image.tobytes() for image in validation.inputs[validation.labels == 0]}
        assert len(held) == 1 and not held & {image.tobytes() for image in train.inputs}


@settings(derandomize=True, deadline=None, database=None)
@given(
    keys=st.lists(st.integers(0, 11), min_size=2, max_size=30),
    share=st.floats(0, 1, exclude_max=True),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_choice_keeps_copies_together_and_the_share_of_each_class(keys, share, seed):
    labels = np.array(keys) % 2  # so equal keys are in one class
    different = [len({key for key in keys if key % 2 == label}) for label in range(2)]
    if share and min(different) < 2:
        with pytest.raises(ImageFolderError, match="a split needs at least 2"):
            choose_validation(keys, labels, ["a", "b"], share, seed)
        return
    chosen = choose_validation(keys, labels, ["a", "b"], share, seed)
    aside = {key for key, validates in zip(keys, chosen, strict=True) if validates}
    assert chosen.tolist() == [key in aside for key in keys]
    for label in range(2):
        found = sum(key % 2 == label for key in aside)
        if share:
            assert 1 <= found < different[label] and abs(found - share * different[label]) < 1.01
        else:
            assert found == 0


def test_one_picture_in_two_classes_is_named(folder):
    shutil.copy(folder / "ant" / "1.png", folder / "bee" / "ambiguous.png")
    with pytest.raises(ImageFolderError, match="2 of 9 pictures in .* on_problem='skip'") as caught:
        load_image_folder(folder)
    lines = str(caught.value).replace("\\", "/").splitlines()[1:]
    assert lines == [
        "  ant/1.png: the same picture is in another class, as bee/ambiguous.png",
        "  bee/ambiguous.png: the same picture is in another class, as ant/1.png",
    ]


def test_stray_and_hidden_files_are_no_pictures(folder):
    (folder / "ant" / "Thumbs.db").write_bytes(b"x")
    (folder / "ant" / ".hidden.png").write_bytes(b"x")
    (folder / "notes.txt").write_text("hello", encoding="utf-8")
    (folder / ".cache").mkdir()
    sides = load_image_folder(folder, size=8)
    assert sum(len(side) for side in sides) == 8 and sides.left_out == ()


# ---- what pictures can look like


def test_pictures_are_turned_upright_as_exif_says(folder):
    sideways = Image.new("RGB", (40, 20))
    sideways.paste((255, 255, 255), (0, 0, 20, 20))  # the left half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: left becomes top
    sideways.save(folder / "ant" / "0.png", exif=exif)
    side = load_image_folder(folder, size=16, validation_share=0).train
    upright = side.inputs[0, :, :, 0]
    assert upright[:6].mean() > 0.95 and upright[-6:].mean() < 0.05


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 51, (0.2, 0.2, 0.2)),
        ("LA", (0, 0), (1, 1, 1)),  # transparent: laid on white
        ("RGBA", (255, 0, 0, 255), (1, 0, 0)),
        ("RGBA", (255, 0, 0, 0), (1, 1, 1)),
        ("P", 0, (0, 0, 0)),
        ("1", 1, (1, 1, 1)),
        ("I;16", 51 * 257, (0.2, 0.2, 0.2)),
    ],
)
def test_all_kinds_of_pictures_become_rgb(folder, mode, colour, expected):
    save(folder / "ant" / "0.png", mode=mode, colour=colour)
    image = load_image_folder(folder, size=8, validation_share=0).train.inputs[0]
    np.testing.assert_allclose(image, np.broadcast_to(expected, (8, 8, 3)), atol=0.005)


def test_a_phones_jpeg_with_a_preview_is_a_picture(folder):
    red, blue = Image.new("RGB", (20, 20), "red"), Image.new("RGB", (10, 10), "blue")
    red.save(folder / "ant" / "0.jpg", format="MPO", save_all=True, append_images=[blue])
    image = load_image_folder(folder, size=8, validation_share=0).train.inputs[0]
    assert image[..., 0].min() > 0.9 and image[..., 2].max() < 0.1


def test_cmyk_and_grey_output(folder):
    save(folder / "ant" / "0.jpg", mode="CMYK", colour=(0, 255, 255, 0))
    colour = load_image_folder(folder, size=8, validation_share=0).train
    grey = load_image_folder(folder, size=8, channels=1, validation_share=0).train
    assert colour.inputs[0, 4, 4, 0] > 0.8 > 0.3 > colour.inputs[0, 4, 4, 1]
    assert grey.inputs.shape == (9, 8, 8, 1)


def test_the_shorter_side_is_resized_and_the_middle_kept(folder):
    wide = Image.new("RGB", (64, 16), "black")
    wide.paste("white", (24, 0, 40, 16))  # the central square
    wide.save(folder / "ant" / "0.png")
    image = load_image_folder(folder, size=8, validation_share=0).train.inputs[0]
    assert image.shape == (8, 8, 3) and image.mean() > 0.95


# ---- what cannot be used


def test_broken_tiny_and_mislabelled_files_are_all_named_at_once(folder):
    (folder / "ant" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    (folder / "ant" / "empty.png").write_bytes(b"")
    good = (folder / "bee" / "3.png").read_bytes()
    (folder / "bee" / "cut.png").write_bytes(good[: len(good) // 2])
    save(folder / "bee" / "tiny.png", size=(3, 30))
    (folder / "bee" / "page.png").write_text("<html></html>", encoding="utf-8")
    with pytest.raises(ImageFolderError, match="5 of 13 pictures") as caught:
        load_image_folder(folder)
    message = str(caught.value)
    for name in (
        "broken.jpg",
        "empty.png: the file is empty",
        "cut.png",
        "tiny.png: 3x30",
        "page.png: not a JPEG",
    ):
        assert name in message


def test_a_picture_of_too_many_pixels_and_a_disguised_gif_are_refused(folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    save(folder / "ant" / "large.png", size=(20, 20))  # Pillow alone would only warn
    save(folder / "bee" / "gif.png", mode="P", colour=0, format="GIF")
    with warnings.catch_warnings(), pytest.raises(ImageFolderError, match="2 of 10 pict") as caught:
        warnings.simplefilter("ignore")  # as a user may; pytest would make it an error itself
        load_image_folder(folder)
    assert "large.png: more than 300 pixels" in str(caught.value)
    assert "gif.png: not a JPEG" in str(caught.value)


# ---- what is left out by request


def test_a_folder_with_every_problem_loads_without_them_and_names_them(folder):
    """A folder of 4,317 flowers was refused whole for 4 pictures that stood in two classes."""
    clean = load_image_folder(folder, size=8, validation_share=0).train
    (folder / "ant" / "broken.jpg").write_bytes(b"no picture")
    (folder / "bee" / "empty.png").write_bytes(b"")
    (folder / "bee" / "empty too.png").write_bytes(b"")
    save(folder / "bee" / "tiny.png", size=(3, 30))
    save(folder / "bee" / "moving.gif", mode="P", colour=0)
    save(folder / "ant" / "either.png", colour=(9, 9, 9))
    shutil.copy(folder / "ant" / "either.png", folder / "ant" / "either again.png")
    shutil.copy(folder / "ant" / "either.png", folder / "bee" / "or.png")
    with pytest.raises(ImageFolderError, match="7 of 15 pictures"):
        load_image_folder(folder, size=8)
    sides = load_image_folder(folder, size=8, validation_share=0, on_problem="skip")
    np.testing.assert_array_equal(sides.train.inputs, clean.inputs)
    assert sides.train.labels.tolist() == clean.labels.tolist()
    assert dict(sides.left_out) == {
        "ant/broken.jpg": "not a JPEG, PNG, BMP or WebP picture, or its beginning is damaged",
        "ant/either again.png": "the same picture is in another class, as bee/or.png",
        "ant/either.png": "the same picture is in another class, as bee/or.png",
        "bee/empty too.png": "the file is empty",
        "bee/empty.png": "the file is empty",
        "bee/moving.gif": "its format is not read; save it as JPEG or PNG",
        "bee/or.png": "the same picture is in another class, as ant/either again.png",
        "bee/tiny.png": "3x30 pixels; each side needs 8 or more",
    }
    assert len(sides.left_out) == 8


def test_a_leak_costs_the_training_copies_and_leaves_validation_whole(tmp_path, folder):
    shutil.move(folder, tmp_path / "set" / "train")
    for name in ("ant", "bee"):
        save(tmp_path / "set" / "val" / name / "new.png", colour=(1, 2, ord(name[0])))
    shutil.copy(tmp_path / "set/train/bee/2.png", tmp_path / "set/train/bee/again.png")
    shutil.copy(tmp_path / "set/train/bee/2.png", tmp_path / "set/val/bee/renamed.png")
    shutil.copy(tmp_path / "set/train/bee/1.png", tmp_path / "set/val/ant/mislabelled.png")
    sides = load_image_folder(tmp_path / "set", size=8, on_problem="skip")
    assert [file for file, _ in sides.left_out] == [
        "train/bee/1.png",
        "train/bee/2.png",
        "train/bee/again.png",
        "val/ant/mislabelled.png",
    ]
    assert np.bincount(sides.train.labels).tolist() == [4, 2]
    assert np.bincount(sides.validation.labels).tolist() == [1, 2]


def test_a_class_of_which_nothing_is_left_is_named(folder):
    for number in range(4):
        (folder / "bee" / f"{number}.png").write_bytes(b"bad")
    with pytest.raises(ImageFolderError, match="class 'bee' has 0 different picture"):
        load_image_folder(folder, on_problem="skip")
    with pytest.raises(ImageFolderError, match="no training picture of class 'bee'"):
        load_image_folder(folder, on_problem="skip", validation_share=0)


def test_formats_that_are_not_read_are_warned_about_once_and_named(folder):
    save(folder / "bee" / "moving.gif", mode="P", colour=0)
    (folder / "ant" / "phone.HEIC").write_bytes(b"x")
    with pytest.warns(
        UserWarning,
        match=r"left out 2 of 10 picture files in .* not read \(.gif, .heic\), such as ant.phone",
    ) as caught:
        sides = load_image_folder(folder, size=8)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert [file for file, _ in sides.left_out] == ["ant/phone.HEIC", "bee/moving.gif"]
    assert sum(map(len, sides)) == 8


def test_at_most_ten_bad_files_are_listed(folder):
    for number in range(13):
        (folder / "ant" / f"bad{number:02d}.png").write_bytes(b"bad %d" % number)
    with pytest.raises(ImageFolderError, match="and 3 more") as caught:
        load_image_folder(folder)
    assert str(caught.value).count(".png: not a") == 10


def test_wrong_layouts_say_which_is_expected(tmp_path, folder):
    shutil.rmtree(folder / "bee")
    with pytest.raises(ImageFolderError, match="one class only, 'ant'"):
        load_image_folder(folder)
    with pytest.raises(ImageFolderError, match="outside class folders; expected"):
        load_image_folder(folder / "ant")
    (folder / "empty").mkdir()
    with pytest.raises(ImageFolderError, match="empty holds no picture"):
        load_image_folder(folder)
    with pytest.raises(ImageFolderError, match="does not exist; expected"):
        load_image_folder(tmp_path / "nowhere")
    with pytest.raises(ImageFolderError, match="is a file"):
        load_image_folder(folder / "ant" / "0.png")


def test_a_class_too_small_to_split_is_named(folder):
    for number in range(1, 4):
        (folder / "bee" / f"{number}.png").unlink()
    with pytest.raises(ImageFolderError, match="class 'bee' has 1 different picture"):
        load_image_folder(folder)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"size": 4}, "size is 4"),
        ({"channels": 2}, "channels is 2"),
        ({"validation_share": 1.0}, "validation_share is 1.0"),
        ({"on_problem": "ignore"}, "on_problem is 'ignore'; choose 'raise' or 'skip'"),
    ],
)
def test_wrong_arguments_are_refused(folder, options, reason):
    with pytest.raises(ValueError, match=reason):
        load_image_folder(folder, **options)
    with pytest.raises(TypeError, match="validation_share is '0.2'"):
        load_image_folder(folder, validation_share="0.2")
