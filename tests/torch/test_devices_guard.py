"""Every verb on a second device that is not there: a tensor made on the wrong one turns red.

`SecondDevice` plays a CUDA GPU on the CPU. All tensors stay in the CPU's memory, but each memory
block remembers the device that it is said to be on, and what PyTorch refuses on a real GPU is
refused here: two devices in one operation, a GPU's tensor turned into a NumPy array.

It sees what Python calls. It does not see inside autograd's backward pass and its hooks, nor the
tracing of the feature cache's key, nor what only hardware does: missing kernels, memory, float64 on
MPS, rounding, speed.
"""

import numpy as np
import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

import tlcourse.torch as tl
from tlcourse.data import Domain
from tlcourse.torch.feature import cache
from tlcourse.torch.training import fit

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
TENSOR = torch.Tensor
TO_NUMPY = {TENSOR.numpy, TENSOR.__array__}
JOINS = {torch.cat, torch.stack, torch.where}  # refuse even single numbers of another device
CROSSES = {  # may read one device and write another
    TENSOR.to,
    TENSOR.copy_,
    TENSOR.backward,
    TENSOR.data.__set__,
    TENSOR.grad.__get__,
    TENSOR.__deepcopy__,
    torch._has_compatible_shallow_copy_type,
}


class SecondDevice(TorchFunctionMode):
    """Let tensors on the CPU behave as if some of them were on a GPU."""

    def __init__(self):
        super().__init__()
        self.blocks = {}  # address: (block of memory, which is kept, so no address comes twice)
        self.generators = {}

    def place(self, tensor):
        """Return the device that a tensor is said to be on."""
        return GPU if tensor.untyped_storage()._cdata in self.blocks else CPU

    def put(self, result, device, given):
        """Say of all new tensors of a result that they are on a device; copy what is shared."""
        if type(result) in (list, tuple):
            return type(result)(self.put(part, device, given) for part in result)
        if not isinstance(result, TENSOR) or self.place(result) == device:
            return result
        memory = result.untyped_storage()._cdata
        if any(tensor.untyped_storage()._cdata == memory for tensor in given):
            result = result.clone()
        if device == GPU:
            block = result.untyped_storage()
            self.blocks[block._cdata] = block
        return result

    def generator(self, device="cpu"):
        """Make a generator of random numbers, and remember on which device."""
        made = torch._C.Generator()
        self.generators[id(made)] = made, torch.device(device).type
        return made

    def __torch_function__(self, func, types, args=(), kwargs=None):
        """Run an operation on the CPU after a GPU's checks."""
        kwargs = dict(kwargs or {})
        if func == TENSOR.device.__get__:
            return self.place(args[0])
        if func in (TENSOR.is_cuda.__get__, TENSOR.is_cpu.__get__):
            return (self.place(args[0]) == GPU) == (func == TENSOR.is_cuda.__get__)
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, TENSOR)]
        here = self.common_place(func, given, args)
        if func in TO_NUMPY and here == GPU:
            raise TypeError("can't convert cuda:0 device type tensor to numpy; use .cpu() first")
        args, kwargs, asked = self.asked_place(func, args, kwargs)
        there = asked or here
        source = self.generators.get(id(kwargs.get("generator")))
        if source is not None and source[1] != there.type:
            raise RuntimeError(f"a generator of another device draws on {there}")
        return self.put(func(*args, **kwargs), there, given)

    def common_place(self, func, given, args):
        """Return the device of the arguments, or refuse two."""
        places = {self.place(tensor) for tensor in given}
        if len(places) < 2:
            return places.pop() if places else CPU
        if func in CROSSES:
            return self.place(args[0])
        elsewhere = [tensor for tensor in given if self.place(tensor) == CPU]
        indexes = func in (TENSOR.__getitem__, TENSOR.__setitem__) and self.place(args[0]) == GPU
        if indexes or (func not in JOINS and all(tensor.ndim == 0 for tensor in elsewhere)):
            return GPU
        raise RuntimeError(
            f"expected all tensors to be on the same device, but {func.__name__} got both, "
            f"of shapes {[(str(self.place(t)), tuple(t.shape)) for t in given]}"
        )

    def asked_place(self, func, args, kwargs):
        """Take the wish for a device out of the arguments."""
        asked = None
        if func in (TENSOR.cpu, TENSOR.cuda):
            return args[:1], {}, CPU if func == TENSOR.cpu else GPU
        if func == TENSOR.to and len(args) > 1 and isinstance(args[1], TENSOR):
            asked = self.place(args[1])
            return (args[0], CPU, *args[2:]), kwargs, asked
        if func == TENSOR.to and len(args) > 1 and isinstance(args[1], str | torch.device):
            asked = torch.device(args[1])
            args = (args[0], CPU, *args[2:])
        if kwargs.get("device") is not None:
            asked = torch.device(kwargs["device"])
            kwargs["device"] = CPU
        return args, kwargs, asked and (GPU if asked.type == "cuda" else asked)


@pytest.fixture(autouse=True)
def second_device(monkeypatch):
    """Put a GPU into the computer, and let nothing choose it but ``device="cuda"``."""
    mode = SecondDevice()
    monkeypatch.setenv("TLCOURSE_DEVICE", "cuda")
    monkeypatch.setattr(torch, "Generator", mode.generator)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: None)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: None)
    with mode:
        yield mode


def images(n=12, seed=0):
    """Draw a random image domain of 3 classes."""
    rng = np.random.default_rng(seed)
    pictures = rng.random((n, 32, 32, 1), dtype=np.float32)
    return Domain(f"noise {seed}", pictures, np.arange(n) % 3, ("a", "b", "c"))


def small_model(seed=0, k=3):
    """Make a small-cnn with a head, on the GPU."""
    return tl.TransferModel(tl.backbone("small-cnn", seed=seed), k).to("cuda")


def train(model, **options):
    """Make two updates, and check that the model has stayed on the GPU."""
    history = fit(model, images(), images(seed=1), steps=2, **options)
    assert torch.device(history.device).type == "cuda"
    check(model)


def check(model):
    """See that all of a model is on the GPU, and that it predicts there."""
    assert {tensor.device for tensor in model.state_dict().values()} == {GPU}
    assert tl.predict(model, images().inputs).dtype == np.float32


# ---- the guard itself


def test_two_devices_in_one_operation_are_refused():
    there, here = torch.zeros(3, device="cuda"), torch.ones(3)
    for mix in (
        lambda: there + here,
        lambda: here.add_(there),
        lambda: torch.cat([here, there]),
        lambda: torch.stack([there.sum(), here.sum()]),
        lambda: nn.functional.cross_entropy(there[None], torch.tensor([1])),
        lambda: nn.Linear(3, 2)(there),
        lambda: nn.functional.linear(there, here[None]),
        lambda: torch.nn.functional.cross_entropy(
            there[None], torch.tensor([1], device="cuda"), weight=here
        ),
        lambda: here[torch.tensor([0], device="cuda")],
    ):
        with pytest.raises(RuntimeError, match="same device"):
            mix()


def test_the_gpus_tensors_are_no_arrays():
    for tensor in (torch.zeros(3, device="cuda"), torch.ones(2).to("cuda")[1:] * 2):
        for convert in (tensor.numpy, lambda tensor=tensor: np.asarray(tensor)):
            with pytest.raises(TypeError, match="use .cpu"):
                convert()
        assert tensor.cpu().numpy().dtype == np.float32
        assert tensor.device == GPU


def test_what_a_gpu_allows_is_allowed():
    there = torch.arange(4.0, device="cuda", requires_grad=True)
    assert (there * torch.tensor(2.0)).device == GPU  # a single number
    assert there[torch.tensor([1, 2])].device == GPU
    there.square().sum().backward()
    assert there.grad.device == GPU
    assert there.detach().cpu().device == CPU
    assert torch.zeros_like(there).device == there.new_zeros(2).device == GPU
    assert torch.empty(4).copy_(there.detach()).device == CPU
    assert there.to("cpu") is not there
    model = nn.Linear(4, 2).to("cuda")
    assert model(there.detach()).device == model.weight.device == GPU
    assert model.to("cpu").weight.device == CPU


def test_random_numbers_come_from_the_device_that_draws(second_device):
    for device in ("cpu", "cuda"):
        source = torch.Generator(device)
        assert torch.rand(2, generator=source, device=device).device.type == device
        with pytest.raises(RuntimeError, match="generator of another device"):
            torch.rand(2, generator=source, device="cuda" if device == "cpu" else "cpu")


# ---- the verbs


def test_fit_and_predict():
    model = small_model()
    train(model, patience=1, augment=lambda pictures: pictures.flip(3))
    tl.evaluate(model, images())
    assert tl.extract_features(model, images().inputs).shape == (12, 128)
    train(tl.freeze(small_model(), "backbone"))


@pytest.mark.parametrize("method", ["full", "head", "last", "gradual", "lp-ft"])
def test_fine_tune(method):
    model = small_model()
    options = {"last": 2} if method == "last" else {}
    tl.fine_tune(model, images(), images(seed=1), method=method, steps=6, **options)
    check(model)


@pytest.mark.parametrize("method", ["deep-coral", "dan", "dann"])
def test_adapt(method):
    model = small_model()
    tl.adapt(model, images(), images(seed=1).inputs, method=method, steps=2, batch_size=4)
    check(model)


def test_distil():
    student = small_model(seed=1)
    tl.distil(student, small_model(), images(), images(seed=1), steps=2)
    check(student)


def test_fit_jointly():
    trunk = tl.SharedTrunk(tl.backbone("small-cnn"), {"first": 3, "second": 3}).to("cuda")
    tl.fit_jointly(trunk, {"first": images(), "second": images(seed=1)}, steps=2)
    check(trunk.tasks["second"])


def test_lora():
    model = tl.add_lora(small_model(), "*.conv", seed=1)
    train(model)
    check(tl.merge_lora(model))


@pytest.mark.parametrize(
    "options",
    [
        lambda model: {"penalty": tl.L2SP(model)},
        lambda model: {"loss": tl.SmallLoss(0.3, warm_up=1)},
        lambda model: {"loss": tl.class_balanced_loss([5, 3, 2])},
        lambda model: {"loss": tl.logit_adjusted_loss([5, 3, 2])},
        lambda model: {"lr": tl.layer_rates(model, 1e-3)},
    ],
    ids=["l2sp", "small loss", "class balance", "logit adjustment", "layer rates"],
)
def test_options_of_fit(options):
    model = small_model()
    train(model, **options(model))


def test_forgetting_and_interpolation():
    end = small_model()
    train(end)
    source = small_model()
    tl.forgetting(end, source, images())
    check(tl.interpolate(source, end, 0.5))


def test_copies():
    source, target = small_model(), small_model(seed=1)
    tl.copy_parameters(source, target)
    check(target)
    for copied in (tl.copy_first(source, 2), tl.fresh_copy(source)):
        train(copied)
    shorter = tl.cut(source, "backbone.body.block2")
    assert tl.predict(shorter, images().inputs).shape[1] == 32


def test_features(tmp_path, monkeypatch):
    # the key is traced under PyTorch's own fake tensors, which go with no other mode
    monkeypatch.setattr(cache, "_key", lambda *_: "key")
    model = small_model()
    layers = ["backbone.body.block1", "head"]
    found = tl.layer_features(model, images().inputs, layers)
    assert found["backbone.body.block1"].shape == (12, 16)
    cached = tl.cached_features(model, images(), folder=tmp_path)
    found = tl.extract_features(model, images().inputs)
    np.testing.assert_allclose(cached.inputs, found, atol=1e-5)


def test_linear_probe_and_batchnorm_and_diagnosis():
    model = small_model()
    tl.linear_probe(model, images())
    check(model)
    check(tl.adapt_batchnorm(model, images(seed=1).inputs))
    tl.tent(model, images(seed=2).inputs)
    check(model)
    tl.diagnose(model, images(40), images(40, seed=1).inputs)


def test_prune():
    model = small_model()
    mask = tl.prune_mask(model, 0.5)
    train(tl.prune(model, mask))
    train(tl.prune(tl.fresh_copy(small_model()), mask))


def test_wider_and_deeper():
    wide = tl.widen(small_model(), "backbone.body.block1.conv", 20, noise=0.01)
    train(wide)
    deep = tl.deepen(small_model(), "backbone.body.block2.relu", images().inputs)
    train(deep)


def test_pretraining_without_labels():
    net = tl.backbone("small-cnn").to("cuda")
    tl.pretrain_autoencoder(net, images().inputs, steps=2)
    tl.pretrain_clusters(net, images(30).inputs, clusters=3, rounds=2, epochs=1)
    check(net)


@pytest.mark.parametrize("update", [None, tl.recalibrate, "replay"])
def test_drift(update):
    if update == "replay":
        update = tl.Replay(4, steps=2)
    model = small_model()
    tl.follow_stream(model, [images(), images(seed=1)], update)
    check(model)
