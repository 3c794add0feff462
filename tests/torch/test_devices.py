"""Which device is taken, and whose random numbers are seeded and restored."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import tlcourse.torch as tl
from tlcourse.torch.devices import seeded


def report(monkeypatch, *, cuda=False, mps=False, broken=()):
    """Let PyTorch report devices; those named ``broken`` fail when they are used."""
    monkeypatch.delenv("TLCOURSE_DEVICE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends, "mps", SimpleNamespace(is_available=lambda: mps))
    real = torch.zeros

    def zeros(*size, device=None):
        if device is not None and device.type in broken:
            raise RuntimeError(f"{device.type} backend out of memory\nmore lines")
        return real(*size)

    monkeypatch.setattr(torch, "zeros", zeros)


@pytest.mark.parametrize(
    ("reported", "broken", "taken"),
    [
        ({}, (), "cpu"),
        ({"cuda": True, "mps": True}, (), "cuda"),
        ({"mps": True}, (), "mps"),
        ({"mps": True}, ("mps",), "cpu"),
        ({"cuda": True, "mps": True}, ("cuda",), "mps"),
        ({"cuda": True, "mps": True}, ("cuda", "mps"), "cpu"),
    ],
)
def test_auto_takes_the_fastest_that_works(monkeypatch, reported, broken, taken):
    report(monkeypatch, **reported, broken=broken)
    assert tl.choose_device() == torch.device(taken)
    assert tl.choose_device("auto") == torch.device(taken)


def test_a_device_that_is_asked_for_and_fails_is_named_with_its_reason(monkeypatch):
    report(monkeypatch, mps=True, broken=("mps",))
    with pytest.raises(ValueError, match=r"device is 'mps', .*\(mps backend out of memory\)"):
        tl.choose_device("mps")


def test_the_variable_chooses_the_device(monkeypatch):
    monkeypatch.setenv("TLCOURSE_DEVICE", "cpu")
    assert tl.choose_device() == torch.device("cpu")
    monkeypatch.setenv("TLCOURSE_DEVICE", "no-such-thing")
    with pytest.raises(ValueError, match="variable TLCOURSE_DEVICE is 'no-such-thing'") as caught:
        tl.choose_device()
    assert "'auto'" not in str(caught.value)  # it is "auto" that has just failed
    assert tl.choose_device("cpu") == torch.device("cpu")  # what is asked for comes first
    monkeypatch.setenv("TLCOURSE_DEVICE", "meta")
    with pytest.raises(ValueError, match="TLCOURSE_DEVICE is 'meta'"):
        tl.predict(nn.Linear(5, 3), np.zeros((2, 5), dtype=np.float32))
    report(monkeypatch)
    monkeypatch.setenv("TLCOURSE_DEVICE", "auto")
    assert tl.choose_device() == torch.device("cpu")


class FakeRandom:
    """The random numbers of devices that are not there: a state for each."""

    def __init__(self, *devices):
        self.states = dict.fromkeys(devices, "the user's")

    def get_rng_state(self, device="mps"):
        """Return the state of a device."""
        return self.states[str(device)]

    def set_rng_state(self, state, device="mps"):
        """Set the state of a device."""
        self.states[str(device)] = state

    def generator(self, device):
        """Make what stands for a generator of such a device."""
        return SimpleNamespace(
            manual_seed=lambda seed: SimpleNamespace(get_state=lambda: f"seed {seed}")
        )


@pytest.fixture
def fake_random(monkeypatch):
    """Put three devices under PyTorch that fail if all are reseeded at once."""
    random = FakeRandom("cuda:0", "cuda:1", "mps")

    def everywhere(seed):
        random.states = dict.fromkeys(random.states, f"seed {seed}")

    monkeypatch.setattr(torch, "get_device_module", lambda device: random)
    monkeypatch.setattr(torch, "Generator", random.generator)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", everywhere)
    monkeypatch.setattr(torch.mps, "manual_seed", everywhere)
    monkeypatch.setattr(torch, "manual_seed", everywhere)
    return random


def test_making_a_model_leaves_the_random_numbers_of_all_devices_alone(fake_random):
    state = torch.get_rng_state()
    tl.TransferModel(tl.backbone("small-cnn"), 3)
    assert set(fake_random.states.values()) == {"the user's"}
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("device", ["cuda:0", "cuda:1", "mps"])
def test_the_device_that_computes_is_seeded_and_restored_and_no_other(fake_random, device):
    with seeded(3, torch.device(device)):
        others = [state for name, state in fake_random.states.items() if name != device]
        assert fake_random.states[device] == "seed 3"
        assert set(others) == {"the user's"}
    assert set(fake_random.states.values()) == {"the user's"}


def test_random_numbers_come_back_after_an_error_too():
    state = torch.get_rng_state()
    with pytest.raises(KeyError), seeded(np.int64(7)):
        torch.rand(2)
        raise KeyError
    assert torch.equal(torch.get_rng_state(), state)


def test_the_seed_gives_the_numbers_that_pytorch_gives_for_it():
    with seeded(5):
        ours = torch.rand(3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        assert torch.equal(ours, torch.rand(3))


def test_what_is_no_device_is_refused():
    with pytest.raises(TypeError, match="device is None; give 'auto', 'cpu'"):
        tl.choose_device(None)
