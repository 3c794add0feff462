"""The Keras door: ``import tlcourse.keras as tl``.

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
from tlcourse.keras.structure.distillation import distil
from tlcourse.keras.structure.multitask import SharedTrunk
from tlcourse.keras.training import (
    evaluate,
    extract_features,
    fit,
    predict,
)
from tlcourse.keras.transfer import fine_tune

__all__ = [
    "L2SP",
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
    "evaluate",
    "extract_features",
    "fine_tune",
    "fit",
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
