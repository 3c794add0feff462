"""The PyTorch door: ``import tlcourse.torch as tl``.

Design choices
--------------
- Data enter and leave as NumPy: images ``(n, h, w, c)`` in [0, 1], rows ``(n, d)``, logits
  ``(n, k)``. Tensors and devices stay inside.
- A model is a backbone, which carries its own preprocessing, and a linear head. Any other
  ``nn.Module`` from inputs to logits can be trained, evaluated and frozen too.
- The training loop is written out in `fit` and meant to be read.
"""

from tlcourse.torch.freezing import freeze, unfreeze
from tlcourse.torch.models import (
    Backbone,
    TransferModel,
    backbone,
    count_parameters,
    source_model,
)
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
    "Backbone",
    "DivergedError",
    "History",
    "TransferModel",
    "backbone",
    "choose_device",
    "count_parameters",
    "evaluate",
    "extract_features",
    "fine_tune",
    "fit",
    "freeze",
    "linear_probe",
    "predict",
    "source_model",
    "unfreeze",
]
