"""The feature cache: hits compute nothing, any change that matters misses."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

import tlcourse.torch as tl
from tlcourse.data import Domain, Pictures, domain, fetching, load
from tlcourse.torch.feature import cache
from tlcourse.torch.feature.cache import cached_features

CPU = torch.device("cpu")


@pytest.fixture
def digits():
    return load("handwritten-digits", n=50)


class Counted(torch.nn.Module):
    """A tiny backbone that counts its forward passes."""

    feature_dim = 3

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3))
        self.register_buffer("shift", torch.tensor(0.5))
        self.forwards = []

    def forward(self, images):
        self.forwards.append(len(images))
        return images.flatten(1).mean(1, keepdim=True) * self.weight + self.shift


def test_cached_features_equal_extracted_ones(digits, tmp_path):
    net = tl.backbone("small-cnn", weights="letters")
    cached = cached_features(net, digits, folder=tmp_path, batch_size=7)
    np.testing.assert_allclose(cached.inputs, tl.extract_features(net, digits.inputs), atol=1e-5)
    np.testing.assert_array_equal(cached.labels, digits.labels)
    assert isinstance(cached.inputs, np.memmap)


def test_a_hit_runs_no_forward_pass_and_a_larger_domain_is_done_batch_by_batch(digits, tmp_path):
    net = Counted()
    first = cached_features(net, digits, folder=tmp_path, batch_size=20)
    assert net.forwards == [20, 20, 10]
    again = cached_features(net, digits, folder=tmp_path, batch_size=8)
    assert len(net.forwards) == 3
    np.testing.assert_array_equal(first.inputs, again.inputs)


@pytest.mark.parametrize("change", ["weight", "buffer", "code", "pixel", "order", "shape"])
def test_any_change_that_matters_misses(digits, tmp_path, change):
    net = Counted()
    cached_features(net, digits, folder=tmp_path)
    if change == "weight":
        net.weight.data[2] += 1e-6
    elif change == "buffer":
        net.shift += 1e-3
    elif change == "code":
        net.register_forward_hook(lambda _module, _inputs, outputs: outputs.square())
    elif change == "pixel":
        digits.inputs[7, 3, 3, 0] = 1 - digits.inputs[7, 3, 3, 0]
    elif change == "order":
        digits = digits.subset(np.arange(50)[::-1])
    else:
        digits = digits.with_inputs(digits.inputs.reshape(50, 16, 64, 1))
    forwards = len(net.forwards)
    cached_features(net, digits, folder=tmp_path)
    assert len(net.forwards) == forwards + 1


def test_large_inputs_are_hashed_to_the_last_row(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(domain, "_PIECE_BYTES", 3 * digits.inputs[0].nbytes)
    keys = {cache._key(Counted(), digits.inputs, CPU)}
    for row in (0, 2, 3, 48, 49):
        changed = digits.inputs.copy()
        changed[row, 0, 0, 0] += 0.5
        keys.add(cache._key(Counted(), changed, CPU))
    monkeypatch.undo()
    assert len(keys) == 6 and cache._key(Counted(), digits.inputs, CPU) in keys


def test_each_kind_of_device_has_its_own_features(digits):
    keys = {cache._key(Counted(), digits.inputs, torch.device(on)) for on in ("cpu", "cuda", "mps")}
    assert len(keys) == 3
    keys.add(cache._key(Counted(), digits.inputs, torch.device("cuda:1")))
    assert len(keys) == 3


def test_pictures_are_known_by_their_content(tmp_path):
    rng = np.random.default_rng(0)
    files = [tmp_path / f"{row}.png" for row in range(4)]
    for file in files:
        Image.fromarray(rng.integers(256, size=(20, 20, 3), dtype=np.uint8)).save(file)
    net = Counted()

    def computed(pictures):
        before = len(net.forwards)
        labels = np.arange(len(pictures)) % 2
        domain = Domain("files", pictures, labels, ("a", "b"))
        cached_features(net, domain, folder=tmp_path)
        return len(net.forwards) > before

    assert computed(Pictures(files, 16))
    assert not computed(Pictures(files, 16, keep_bytes=0))
    assert computed(Pictures(files[::-1], 16))
    assert computed(Pictures(files, 12))
    Image.fromarray(rng.integers(256, size=(20, 20, 3), dtype=np.uint8)).save(files[2])
    assert computed(Pictures(files, 16))


def test_changed_labels_hit_and_are_the_new_ones(digits, tmp_path):
    net = Counted()
    cached_features(net, digits, folder=tmp_path)
    turned = Domain("turned", digits.inputs, 9 - digits.labels, digits.class_names)
    np.testing.assert_array_equal(
        cached_features(net, turned, folder=tmp_path).labels, 9 - digits.labels
    )
    assert len(net.forwards) == 1


def test_inputs_may_be_memory_mapped(digits, tmp_path):
    np.save(tmp_path / "inputs.npy", digits.inputs)
    mapped = digits.with_inputs(np.load(tmp_path / "inputs.npy", mmap_mode="r"))
    net = Counted()
    plain, from_disk = (
        cached_features(net, domain, folder=tmp_path) for domain in (digits, mapped)
    )
    np.testing.assert_array_equal(plain.inputs, from_disk.inputs)
    assert len(net.forwards) == 1


def test_an_interrupted_computation_leaves_no_file(digits, tmp_path):
    class Failing(Counted):
        def forward(self, images):
            if self.forwards:
                raise KeyboardInterrupt
            return super().forward(images)

    with pytest.raises(KeyboardInterrupt):
        cached_features(Failing(), digits, folder=tmp_path, batch_size=20)
    assert not [path for path in tmp_path.iterdir() if path.suffix in {".npy", ".part"}]


def test_two_that_want_the_same_features_compute_them_once(digits, tmp_path, monkeypatch):
    both_wait, waiting = threading.Event(), []

    def locked(path):
        waiting.append(path)
        if len(waiting) == 2:
            both_wait.set()
        return fetching.locked(path)

    class Slow(Counted):
        def forward(self, images):
            if type(images) is torch.Tensor:  # not while its computation is written down
                assert both_wait.wait(60)  # the file cannot be ready before the other one looks
            return super().forward(images)

    monkeypatch.setattr(cache, "locked", locked)
    nets = [Slow(), Slow()]
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda net: cached_features(net, digits, folder=tmp_path), nets)
    assert sorted(len(net.forwards) for net in nets) == [0, 1]
    np.testing.assert_array_equal(first.inputs, second.inputs)


def test_the_model_is_left_in_its_mode_and_features_are_those_of_evaluation(digits, tmp_path):
    model = tl.TransferModel(tl.backbone("small-cnn"), 10).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    cached_features(model, digits, folder=tmp_path)
    assert model.backbone.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


class Curious(Counted):
    """Looks at its numbers."""

    def forward(self, images):
        return super().forward(images if images.mean() > 0.5 else -images)


def test_what_has_no_features_or_no_record_is_refused(digits, tmp_path):
    with pytest.raises(TypeError, match="without feature_dim"):
        cached_features(torch.nn.Linear(2, 3), digits, folder=tmp_path)
    with pytest.raises(ValueError, match="Curious computes cannot be written down"):
        cached_features(Curious(), digits, folder=tmp_path)
    with pytest.raises(ValueError, match="is empty"):
        cached_features(Counted(), digits.subset([]), folder=tmp_path)


def test_a_shared_cache_that_may_only_be_read_is_left_alone(digits, tmp_path, monkeypatch):
    shared, own = tmp_path / "shared", tmp_path / "own"
    shared.mkdir()
    monkeypatch.setenv("TLCOURSE_DATA", str(shared))
    monkeypatch.setattr(cache, "user_cache_dir", lambda: own)
    monkeypatch.setattr(cache, "is_writable", lambda path: shared not in (path, *path.parents))
    cached_features(Counted(), digits)
    assert not list(shared.iterdir()) and len(list((own / "features").glob("*.npy"))) == 1
    monkeypatch.setattr(cache, "is_writable", lambda _: True)
    cached_features(Counted(), digits)
    assert len(list((shared / "features").glob("*.npy"))) == 1
