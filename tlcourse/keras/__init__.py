"""The Keras door: ``import tlcourse.keras as tl``.

The map
-------
``models``     `backbone`, `mlp`, `TransferModel`, `source_model`, `count_parameters`
``training``   `fit`, `predict`, `extract_features`, `evaluate`
``freezing``   `freeze`, `unfreeze`
``transfer``   `fine_tune`: full, head, last, gradual, lp-ft
``parameter``  `layers`, `layer_names`, `layer_rates`, `unfreeze_last`, `copy_parameters`, `L2SP`
``feature``    `linear_probe`
``structure``  `fresh_copy`, `copy_first`, `cut`, `distil`, `SharedTrunk`, `fit_jointly`
``devices``    Keras and TensorFlow themselves, imported so that they leave room for others

What both doors share needs no framework: `tlcourse.methods`, `tlcourse.layering`,
`tlcourse.batches`, `tlcourse.history`.

Design choices
--------------
- The same verbs, arguments and results as the PyTorch door, on Keras with TensorFlow. Arrays are
  NumPy on both sides, so a chapter changes doors by changing one import.
- TensorFlow takes GPU memory as it needs it, not all at once: both doors fit into one process.
- The course's small net is the same net with the same weights: both doors compute the same
  features.
"""

from tlcourse.history import DivergedError, History
from tlcourse.keras.feature.probing import linear_probe
from tlcourse.keras.freezing import freeze, unfreeze
from tlcourse.keras.models import TransferModel, backbone, count_parameters, mlp, source_model
from tlcourse.keras.parameter.layers import (
    L2SP,
    copy_parameters,
    layer_names,
    layer_rates,
    layers,
    unfreeze_last,
)
from tlcourse.keras.structure.copying import copy_first, cut, fresh_copy
from tlcourse.keras.structure.distillation import distil, distillation_loss
from tlcourse.keras.structure.multitask import SharedTrunk, fit_jointly
from tlcourse.keras.training import (
    evaluate,
    extract_features,
    fit,
    predict,
)
from tlcourse.keras.transfer import fine_tune
from tlcourse.layering import CopyReport

__all__ = [
    "L2SP",
    "CopyReport",
    "DivergedError",
    "History",
    "SharedTrunk",
    "TransferModel",
    "backbone",
    "copy_first",
    "copy_parameters",
    "count_parameters",
    "cut",
    "distil",
    "distillation_loss",
    "evaluate",
    "extract_features",
    "fine_tune",
    "fit",
    "fit_jointly",
    "freeze",
    "fresh_copy",
    "layer_names",
    "layer_rates",
    "layers",
    "linear_probe",
    "mlp",
    "predict",
    "source_model",
    "unfreeze",
    "unfreeze_last",
]
