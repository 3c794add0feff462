"""The shipped checkpoints: what their cards promise, and how damage is noticed."""

import hashlib
import json

import numpy as np
import pytest
from safetensors.numpy import load

import tlcourse.torch as tl
from tlcourse import data, weights
from tlcourse.torch import pretraining

FOLDER = weights._FOLDER


@pytest.mark.parametrize("name", weights.names())
def test_each_checkpoint_reaches_its_cards_accuracy_on_the_held_out_part(name):
    train, held_out = pretraining.source_parts(name)
    card = weights.card(name)
    assert (len(train), len(held_out)) == (card["examples"] - card["held_out"], card["held_out"])
    assert list(held_out.class_names) == card["class_names"]
    assert (held_out.origin, held_out.licence) == (card["origin"], card["licence"])
    measured = tl.evaluate(tl.source_model(name), held_out).accuracy
    assert measured == pytest.approx(card["accuracy"], abs=0.004)  # other CPUs round otherwise
    assert measured > 0.85


@pytest.mark.parametrize("name", weights.names())
def test_cards_follow_their_recipe_and_describe_their_file(name):
    card = weights.card(name)
    assert card.items() >= weights.RECIPES[name].items()
    content = (FOLDER / f"{name}.safetensors").read_bytes()
    assert hashlib.sha256(content).hexdigest() == card["sha256"]
    assert tl.count_parameters(tl.source_model(name)) == card["parameters"]
    arrays = weights.load_arrays(name)
    assert arrays.keys() == load(content).keys()
    assert all(np.isfinite(array).all() for array in arrays.values())


def test_all_checkpoints_together_stay_small():
    assert sum(path.stat().st_size for path in FOLDER.glob("*.safetensors")) < 5e6


def test_a_damaged_file_is_refused_with_the_command_that_repairs_it(tmp_path, monkeypatch):
    for suffix in (".safetensors", ".json"):
        content = bytearray((FOLDER / f"letters{suffix}").read_bytes())
        if suffix == ".safetensors":
            content[-1] ^= 1
        (tmp_path / f"letters{suffix}").write_bytes(content)
    monkeypatch.setattr(weights, "_FOLDER", tmp_path)
    with pytest.raises(ValueError, match=r"'letters' are damaged.*python -m tlcourse pretrain let"):
        weights.load_arrays("letters")
    with pytest.raises(ValueError, match="are damaged"):
        tl.backbone("small-cnn", weights="letters")


def test_unknown_names_are_refused():
    for read in (weights.card, weights.load_arrays):
        with pytest.raises(ValueError, match="name is 'words'; the course's weights are letters"):
            read("words")


def test_pretraining_in_miniature_is_repeatable_and_loads_back(tmp_path, monkeypatch):
    small = weights.RECIPES["letters"] | {"examples": 200, "held_out": 50, "epochs": 1}
    monkeypatch.setitem(weights.RECIPES, "letters", small)
    first = pretraining.pretrain("letters", tmp_path / "a" / "b", progress=False)
    again = pretraining.pretrain("letters", tmp_path / "c", progress=False)
    assert first == again
    assert first["sha256"] == again["sha256"]
    written = sorted(path.name for path in (tmp_path / "c").iterdir())
    assert written == ["letters.json", "letters.safetensors"]
    assert json.loads((tmp_path / "c" / "letters.json").read_text(encoding="utf-8")) == first
    monkeypatch.setattr(weights, "_FOLDER", tmp_path / "c")
    _, held_out = pretraining.source_parts("letters")
    accuracy = tl.evaluate(tl.source_model("letters"), held_out).accuracy
    assert accuracy == pytest.approx(first["accuracy"], abs=1e-4)


def test_held_out_examples_are_not_among_the_training_examples(monkeypatch):
    small = weights.RECIPES["letters"] | {"examples": 300, "held_out": 100}
    monkeypatch.setitem(weights.RECIPES, "letters", small)
    train, held_out = pretraining.source_parts("letters")
    whole = data.load("rendered-letters", n=300, seed=small["seed"])
    assert np.array_equal(np.concatenate([held_out.inputs, train.inputs]), whole.inputs)
    seen = {image.tobytes() for image in train.inputs}
    assert not any(image.tobytes() in seen for image in held_out.inputs)


def test_the_readers_weights_are_found_by_name_and_ending(tmp_path, monkeypatch):
    monkeypatch.delenv("TLCOURSE_WEIGHTS", raising=False)
    assert weights.find("mobilenet_v2", ".pth") is None
    monkeypatch.setenv("TLCOURSE_WEIGHTS", str(tmp_path))
    for name in ("mobilenet_v2-b.pth", "mobilenet_v2-a.pth", "mobilenet_v2_top.h5", "vgg16.pth"):
        (tmp_path / name).touch()
    assert weights.find("mobilenet_v2", ".pth", ".safetensors").name == "mobilenet_v2-a.pth"
    assert weights.find("mobilenet_v2", ".h5").name == "mobilenet_v2_top.h5"
    assert weights.find("resnet50", ".pth") is None
    assert weights.find("mobilenet", ".pth") is None
    monkeypatch.setenv("TLCOURSE_WEIGHTS", str(tmp_path / "missing"))
    with pytest.raises(ValueError, match="no folder"):
        weights.find("mobilenet_v2", ".pth")


def test_another_net_whose_name_begins_alike_is_not_found(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_WEIGHTS", str(tmp_path))
    (tmp_path / "vgg16_bn-6c64b313.pth").touch()
    assert weights.find("vgg16", ".pth") is None
    assert weights.find("vgg16_bn", ".pth").name == "vgg16_bn-6c64b313.pth"
    published = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    (tmp_path / published).touch()
    assert weights.find("vgg16", ".pth", ".h5").name == published
