"""Frozen means frozen: parameters, BatchNorm statistics and dropout, whatever the mode."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import tlcourse.torch as tl
from tlcourse.data import Domain
from tlcourse.torch.freezing import freeze_batch_norm, is_frozen


def pictures(n=16):
    """Draw a random image domain of 3 classes."""
    rng = np.random.default_rng(0)
    return Domain(
        "noise", rng.random((n, 32, 32, 1), dtype=np.float32), np.arange(n) % 3, ("a", "b", "c")
    )


def small_model():
    """Make a small-cnn with a head."""
    return tl.TransferModel(tl.backbone("small-cnn"), 3)


def changed_by_training(model):
    """Train in training mode; return the names of all parameters and buffers that changed."""
    before = copy.deepcopy(model.state_dict())
    model.train()
    tl.fit(model, pictures(), steps=3, lr=1e-2, weight_decay=0.5)
    return {
        name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])
    }


def test_nothing_in_a_frozen_backbone_changes_by_a_single_bit():
    model = tl.freeze(small_model(), "backbone")
    assert changed_by_training(model) == {"head.weight", "head.bias"}


def test_without_freezing_everything_changes():
    model = small_model()
    assert changed_by_training(model) == set(model.state_dict())


def test_requires_grad_alone_would_let_batchnorm_drift():
    """The mistake that `freeze` prevents; were it gone from PyTorch, `freeze` could go too."""
    model = small_model()
    for parameter in model.backbone.parameters():
        parameter.requires_grad = False
    assert "backbone.body.block1.norm.running_mean" in changed_by_training(model)


def test_frozen_norms_alone():
    model = tl.freeze(small_model(), "*.norm")
    assert not any(".norm." in name for name in changed_by_training(model))


def test_part_of_what_is_frozen_can_learn_again():
    model = tl.unfreeze(tl.freeze(small_model(), "backbone"), "backbone.body.block4")
    block = {name for name in model.state_dict() if "block4" in name}
    assert changed_by_training(model) == block | {"head.weight", "head.bias"}


def test_unfreezing_undoes_freezing_twice():
    model = small_model()
    tl.unfreeze(tl.freeze(tl.freeze(model, "backbone"), "*"), "*")
    assert changed_by_training(model) == set(model.state_dict())


def test_globs_name_parameters_too_and_a_classes_of_layers():
    model = tl.freeze(small_model(), "head.bias", "backbone.body.block[12].conv")
    still = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert still == {
        "head.bias",
        "backbone.body.block1.conv.weight",
        "backbone.body.block2.conv.weight",
    }


def test_deep_copies_stay_frozen():
    model = copy.deepcopy(tl.freeze(small_model(), "backbone"))
    assert is_frozen(model.backbone)
    assert changed_by_training(model) == {"head.weight", "head.bias"}


def test_frozen_parts_are_in_evaluation_mode_at_once_and_the_others_keep_theirs():
    model = tl.freeze(small_model().train(), "backbone")
    assert {module.training for module in model.backbone.modules()} == {False}
    assert model.training is model.head.training is True


def test_frozen_dropout_does_not_drop():
    net = nn.Sequential(nn.Dropout(0.5), nn.Linear(8, 2))
    tl.freeze(net, "0").train()
    rows = torch.rand(4, 8)
    assert torch.equal(net(rows), net[1](rows))
    tl.unfreeze(net, "0").train()
    assert not torch.equal(net(rows), net[1](rows))


class DropsBetween(nn.Module):
    """A net that drops features itself, by a function and not by a layer."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, rows):
        """Map rows ``(n, 8)`` to ``(n, 2)``."""
        return self.head(nn.functional.dropout(self.body(rows), 0.5, self.training))


def drops(net):
    """Say whether two passes in training mode differ."""
    net.train()
    rows = torch.ones(4, 8)
    return not torch.equal(net(rows), net(rows))


def test_the_star_freezes_what_the_model_itself_does_between_its_parts():
    net = DropsBetween()
    assert drops(net)
    assert not drops(tl.freeze(net, "*"))
    assert not drops(tl.unfreeze(net, "head"))
    assert drops(tl.unfreeze(net, "*"))


def test_a_model_whose_parts_all_learn_again_is_frozen_no_more():
    assert drops(tl.unfreeze(tl.freeze(DropsBetween(), "*"), "body", "head"))
    assert drops(tl.freeze(DropsBetween(), "body", "head"))  # names of parts leave the whole alone


def test_a_part_with_the_name_of_another_one_as_its_beginning_is_not_taken_along():
    net = nn.Module()
    net.layer1, net.layer10 = nn.Linear(2, 2), nn.Linear(2, 2)
    tl.freeze(net, "layer1")
    assert not net.layer1.weight.requires_grad
    assert net.layer10.weight.requires_grad


@pytest.mark.parametrize("verb", [tl.freeze, tl.unfreeze])
def test_a_glob_that_matches_nothing_is_refused_before_anything_changes(verb):
    model = small_model()
    with pytest.raises(ValueError, match="none of the modules and parameters; there are back"):
        verb(model, "head", "backbone.layer9")
    assert all(p.requires_grad for p in model.parameters())
    with pytest.raises(ValueError, match="no pattern is given"):
        verb(model)
    with pytest.raises(TypeError, match="model is a str"):
        verb("model", "*")


def test_batch_norm_alone_can_be_frozen_and_a_net_without_any_is_left_alone():
    model = small_model()
    assert freeze_batch_norm(model) is model
    frozen = {name for name, part in model.named_modules() if is_frozen(part)}
    norms = {name for name, part in model.named_modules() if isinstance(part, nn.BatchNorm2d)}
    assert frozen == norms and norms
    assert all(
        parameter.requires_grad != (name.rpartition(".")[0] in norms)
        for name, parameter in model.named_parameters()
    )
    plain = nn.Linear(2, 2)
    assert freeze_batch_norm(plain) is plain and plain.weight.requires_grad
