"""The PyTorch door: ``import tlcourse.torch as tl``.

The map
-------
The core, which every method uses:

``models``       backbones with their preprocessing, and `TransferModel`: a backbone and a head
``training``     `fit`, `predict`, `extract_features`, `evaluate`
``transfer``     `fine_tune`: which layers learn, in which phases
``freezing``     `freeze`, `unfreeze`
``augmentation`` random changes of small pictures
``devices``      `choose_device`, and random numbers that follow a seed
``pretraining``  how the course's own checkpoints were made

What is transferred, as in the course:

``parameter/``   ``layers`` (copy, rates, unfreeze, L2-SP, forgetting), ``lora``
``feature/``     ``probing``, ``cache``, ``layerwise``, ``adaptation``, ``source_free``,
                 ``unlabelled``, ``diagnostics``, ``pretext``
``structure/``   ``copying``, ``net2net``, ``pruning``, ``distillation``, ``multitask``
``target/``      hard targets: ``losses``, ``drift``

Design choices
--------------
- Data enter and leave as NumPy: images ``(n, h, w, c)`` in [0, 1], rows ``(n, d)``, logits
  ``(n, k)``. Tensors and devices stay inside.
- A model is a backbone, which carries its own preprocessing, and a linear head. Any other
  ``nn.Module`` from inputs to logits can be trained, evaluated and frozen too.
- The training loop is written out in `fit` and meant to be read.
"""

from tlcourse.history import DivergedError, History
from tlcourse.probing import knn_probe, prototype_probe
from tlcourse.torch.augmentation import strokes_augmentation
from tlcourse.torch.devices import choose_device
from tlcourse.torch.feature.adaptation import (
    AdaptationHistory,
    adapt,
    adapt_batchnorm,
    coral_loss,
    dann_strength,
    mk_mmd_loss,
    reverse_gradient,
)
from tlcourse.torch.feature.cache import cached_features
from tlcourse.torch.feature.diagnostics import Diagnosis, diagnose
from tlcourse.torch.feature.layerwise import layer_features
from tlcourse.torch.feature.pretext import pretrain_autoencoder, pretrain_clusters
from tlcourse.torch.feature.probing import linear_probe
from tlcourse.torch.feature.source_free import adapt_source_free, tent
from tlcourse.torch.feature.unlabelled import (
    agreement_loss,
    confusion_loss,
    entropy_loss,
    information_loss,
)
from tlcourse.torch.freezing import freeze, unfreeze
from tlcourse.torch.models import (
    Backbone,
    TransferModel,
    backbone,
    count_parameters,
    source_model,
)
from tlcourse.torch.parameter.layers import (
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
from tlcourse.torch.parameter.lora import LoRA, add_lora, merge_lora
from tlcourse.torch.structure.copying import copy_first, cut, fresh_copy
from tlcourse.torch.structure.distillation import distil, distillation_loss
from tlcourse.torch.structure.multitask import SharedTrunk, fit_jointly
from tlcourse.torch.structure.net2net import deepen, widen
from tlcourse.torch.structure.pruning import prune, prune_mask
from tlcourse.torch.target.drift import Replay, follow_stream, recalibrate
from tlcourse.torch.target.losses import (
    SmallLoss,
    adjust_logits,
    class_balanced_loss,
    logit_adjusted_loss,
)
from tlcourse.torch.training import (
    evaluate,
    extract_features,
    fit,
    predict,
)
from tlcourse.torch.transfer import fine_tune

__all__ = [
    "L2SP",
    "AdaptationHistory",
    "Backbone",
    "CopyReport",
    "Diagnosis",
    "DivergedError",
    "Forgetting",
    "History",
    "LoRA",
    "Replay",
    "SharedTrunk",
    "SmallLoss",
    "TransferModel",
    "adapt",
    "adapt_batchnorm",
    "adapt_source_free",
    "add_lora",
    "adjust_logits",
    "agreement_loss",
    "backbone",
    "cached_features",
    "choose_device",
    "class_balanced_loss",
    "confusion_loss",
    "copy_first",
    "copy_parameters",
    "coral_loss",
    "count_parameters",
    "cut",
    "dann_strength",
    "deepen",
    "diagnose",
    "distil",
    "distillation_loss",
    "entropy_loss",
    "evaluate",
    "extract_features",
    "fine_tune",
    "fit",
    "fit_jointly",
    "follow_stream",
    "forgetting",
    "freeze",
    "fresh_copy",
    "information_loss",
    "interpolate",
    "knn_probe",
    "layer_features",
    "layer_names",
    "layer_rates",
    "layers",
    "linear_probe",
    "logit_adjusted_loss",
    "merge_lora",
    "mk_mmd_loss",
    "predict",
    "pretrain_autoencoder",
    "pretrain_clusters",
    "prototype_probe",
    "prune",
    "prune_mask",
    "recalibrate",
    "reverse_gradient",
    "source_model",
    "strokes_augmentation",
    "tent",
    "unfreeze",
    "unfreeze_last",
    "widen",
]
