"""The PyTorch door: ``import tlcourse.torch as tl``.

Design choices
--------------
- Data enter and leave as NumPy: images ``(n, h, w, c)`` in [0, 1], rows ``(n, d)``, logits
  ``(n, k)``. Tensors and devices stay inside.
- A model is a backbone, which carries its own preprocessing, and a linear head. Any other
  ``nn.Module`` from inputs to logits can be trained, evaluated and frozen too.
- The training loop is written out in `fit` and meant to be read.
"""

from tlcourse.torch.distillation import distil, distillation_loss
from tlcourse.torch.freezing import freeze, unfreeze
from tlcourse.torch.lora import LoRA, add_lora, merge_lora
from tlcourse.torch.models import (
    Backbone,
    TransferModel,
    backbone,
    count_parameters,
    source_model,
)
from tlcourse.torch.multitask import SharedTrunk, fit_jointly
from tlcourse.torch.net2net import deepen, widen
from tlcourse.torch.parameter import (
    L2SP,
    CopyReport,
    Forgetting,
    copy_parameters,
    forgetting,
    interpolate,
    layer_names,
    layer_rates,
    layers,
    unfreeze_last,
)
from tlcourse.torch.pruning import prune, prune_mask
from tlcourse.torch.structure import copy_first, cut, fresh_copy
from tlcourse.torch.training import (
    DivergedError,
    History,
    choose_device,
    evaluate,
    extract_features,
    fit,
    predict,
)
from tlcourse.torch.transfer import fine_tune, linear_probe

__all__ = [
    "L2SP",
    "Backbone",
    "CopyReport",
    "DivergedError",
    "Forgetting",
    "History",
    "LoRA",
    "SharedTrunk",
    "TransferModel",
    "add_lora",
    "backbone",
    "choose_device",
    "copy_first",
    "copy_parameters",
    "count_parameters",
    "cut",
    "deepen",
    "distil",
    "distillation_loss",
    "evaluate",
    "extract_features",
    "fine_tune",
    "fit",
    "fit_jointly",
    "forgetting",
    "freeze",
    "fresh_copy",
    "interpolate",
    "layer_names",
    "layer_rates",
    "layers",
    "linear_probe",
    "merge_lora",
    "predict",
    "prune",
    "prune_mask",
    "source_model",
    "unfreeze",
    "unfreeze_last",
    "widen",
]
