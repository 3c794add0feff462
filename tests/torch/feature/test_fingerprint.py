"""What a net computes, as a hash: every change that matters changes it, and nothing else does."""

import copy
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tlcourse.torch as tl
from tlcourse.torch.feature.fingerprint import fingerprint


def helper(x):
    return x + 1


class Net(nn.Module):
    """Uses a layer, a scale, a plain tensor, a function, a buffer and a parameter."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.scale, self.plain = nn.Linear(3, 4), 0.5, torch.tensor([1.0, 2, 3, 4])
        self.weight = nn.Parameter(torch.ones(4))
        self.unused = nn.Parameter(torch.ones(4))
        self.register_buffer("shift", torch.tensor(0.5))

    def forward(self, rows):
        return F.relu(helper(self.layer(rows))) * self.scale * self.plain * self.weight + self.shift


class Changed(Net):
    def forward(self, rows):
        return torch.tanh(helper(self.layer(rows))) * self.scale * self.plain * self.weight + (
            self.shift
        )


class Renamed(Net):
    """The same under another name."""

    def forward(self, inputs):
        """Compute the same, in more lines."""
        hidden = F.relu(helper(self.layer(inputs)))
        hidden = hidden * self.scale * self.plain
        return hidden * self.weight + self.shift


class Dropping(Net):
    def forward(self, rows):
        return F.dropout(super().forward(rows), 0.1, training=True)


def with_tanh(net):
    net.forward = lambda rows: torch.tanh(Net.forward(net, rows))
    return net


def with_hook(net):
    net.layer.register_forward_hook(lambda _module, _inputs, outputs: 2 * outputs)
    return net


def with_negative_weight(net):
    net.weight.data = -net.weight.data
    return net


def with_other(**changes):
    def change(net):
        for name, value in changes.items():
            setattr(net, name, value)
        return net

    return change


CHANGES = {
    "code": lambda net: Changed(),
    "forced dropout": lambda net: Dropping(),
    "forward of the instance": with_tanh,
    "hook": with_hook,
    "scale": with_other(scale=0.5 + 1e-9),
    "plain tensor": with_other(plain=torch.tensor([1.0, 2, 3, 5])),
    "parameter": with_negative_weight,
    "buffer": with_other(shift=torch.tensor(0.5001)),
    "dtype": lambda net: net.double().float() and with_other(plain=net.plain.double())(net),
    "another activation": with_other(layer=nn.Sequential(Net().layer, nn.Tanh())),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_that_matters_changes_it(change):
    assert fingerprint(change(Net()), (3,)) != fingerprint(Net(), (3,))


def test_a_change_of_a_function_that_forward_calls_changes_it(monkeypatch):
    before = fingerprint(Net(), (3,))
    monkeypatch.setitem(globals(), "helper", lambda x: x + 2)
    assert fingerprint(Net(), (3,)) != before


def test_which_tensor_goes_where_is_part_of_it():
    def crossed(rows):
        first, second = rows + 1, rows * 2
        return first - second

    def turned(rows):
        first, second = rows + 1, rows * 2
        return second - first

    def early(rows):
        first, second = rows + 1, rows * 2
        first - second
        return first

    found = set()
    for function in (crossed, turned, early):
        net = nn.Identity()
        net.forward = function
        found.add(fingerprint(net, (3,)))
    assert len(found) == 3


@pytest.mark.parametrize(
    "same",
    [
        lambda net: Renamed(),
        copy.deepcopy,
        nn.Module.train,
        lambda net: tl.freeze(net, "layer"),
        with_other(unused=nn.Parameter(torch.zeros(4)), note="hello", more=nn.Linear(2, 2)),
    ],
    ids=["name", "copy", "mode", "frozen", "unused"],
)
def test_what_changes_no_output_changes_nothing(same):
    assert fingerprint(same(Net().eval()), (3,)) == fingerprint(Net(), (3,))


def test_loras_scale_and_preprocessing_count():
    def adapted(alpha):
        net = tl.add_lora(tl.backbone("small-cnn"), "body.block1.conv", alpha=alpha)
        nn.init.ones_(net.body.block1.conv.up.weight)
        return net

    def preprocessed(**changes):
        net = tl.backbone("small-cnn")
        for name, value in changes.items():
            setattr(net.preprocess, name, value)
        return net

    nets = [
        *(adapted(alpha) for alpha in (1, 50)),
        preprocessed(),
        preprocessed(size=28),
        preprocessed(mean=torch.full((1, 1, 1, 1), 0.4)),
        preprocessed(std=torch.full((1, 1, 1, 1), 0.4)),
    ]
    assert len({fingerprint(net, (32, 32, 1)) for net in nets}) == 6
    assert fingerprint(nets[2], (32, 32, 1)) != fingerprint(nets[2], (32, 32, 3))


@pytest.mark.parametrize("name", ["small-cnn", "small-resnet", "mobilenet_v2", "swin_t"])
def test_it_is_the_same_after_the_net_has_run_and_the_net_stays_as_it_is(name):
    net = tl.backbone(name, size=32).train()
    kept = copy.deepcopy(net.state_dict())
    before = fingerprint(net, (32, 32, 3))
    assert all(torch.equal(tensor, kept[key]) for key, tensor in net.state_dict().items())
    assert all(module.training for module in net.modules())
    assert all(type(tensor) is torch.Tensor for tensor in net.buffers())
    tl.predict(net, np.zeros((3, 32, 32, 3), np.float32))
    assert fingerprint(net, (32, 32, 3)) == before


def test_pruned_cut_and_attending_nets_can_be_written_down():
    model = tl.TransferModel(tl.backbone("small-cnn"), 3)
    whole = fingerprint(model.backbone, (32, 32, 1))
    tl.prune(model, tl.prune_mask(model, 0.5))
    pruned = fingerprint(model.backbone, (32, 32, 1))
    cut = fingerprint(tl.cut(model, "backbone.body.block2"), (32, 32, 1))
    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    attending = fingerprint(nn.Sequential(nn.Unflatten(1, (2, 8)), encoder, nn.Flatten()), (16,))
    assert len({whole, pruned, cut, attending}) == 4


class Keeping(nn.Module):
    """Keeps a tensor that it made while it ran."""

    def forward(self, rows):
        self.kept = rows * 2
        return self.kept


def test_nothing_of_the_record_stays_in_the_net():
    net = Keeping()
    fingerprint(net, (3,))
    assert not hasattr(net, "kept")


PROGRAM = """
import tlcourse.torch as tl
from tlcourse.torch.feature.fingerprint import fingerprint
print(fingerprint(tl.backbone("small-cnn", weights="letters"), (32, 32, 1)))
"""


def test_another_process_finds_the_same():
    here = fingerprint(tl.backbone("small-cnn", weights="letters"), (32, 32, 1))
    there = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert there.stdout.strip() == here, there.stderr


def branching(rows):
    return rows if rows.mean() > 0 else -rows


def through_numpy(rows):
    return torch.from_numpy(np.tanh(rows.numpy()))


def of_a_number(rows):
    return rows * rows.sum().item()


def of_any_length(rows):
    return rows[rows > 0]


@pytest.mark.parametrize("forward", [branching, through_numpy, of_a_number, of_any_length])
def test_a_net_that_looks_at_its_numbers_is_refused(forward):
    net = nn.Identity()
    net.forward = forward
    with pytest.raises(ValueError, match=r"Identity computes cannot .*extract_features and keep"):
        fingerprint(net, (3,))


def test_a_net_that_fails_says_why():
    with pytest.raises(ValueError, match=r"images have shape \(2, 7\)"):
        fingerprint(tl.backbone("small-cnn"), (7,))
