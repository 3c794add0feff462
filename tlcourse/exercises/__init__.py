"""Checks of the exercises, and the student's release of an exercise page.

The map
-------
One module for each chapter, under the chapter's name, and one check for each exercise:

=======  ==========================  ============================================================
chapter  module                      checks, ``check_...``
=======  ==========================  ============================================================
1        ``why_transfer``            ``labels_needed``, ``paired_interval``, ``prototype_logits``,
                                     ``is_finished``
2        ``concepts``                ``setting``, ``label_saving``, ``shuffle_tiles``
3        ``mathematics``             ``gradient``, ``kept``, ``pull``, ``twins``
4        ``parameter_transfer``      ``batch_norm``, ``discriminative_rates``, ``interpolate``,
                                     ``merge_lora``, ``lora_layer``
5        ``feature_transfer``        ``saving``, ``linear_cka``, ``denoising_loss``
6        ``domain_gap``              ``importance_weights``, ``mmd``, ``coral``, ``information``,
                                     ``reverse_gradient``, ``adaptation_step``
7        ``structure_transfer``      ``widen``, ``magnitude_mask``, ``soft_loss``
8        ``keras_mlp``               ``cross_entropy``, ``bounding_box``, ``damage``
9        ``keras_iris``              ``fair_split``, ``majority``, ``standardise``
10       ``keras_vgg16``             ``head_parameters``, ``vgg_inputs``, ``descend``, ``fold``
11       ``pytorch_transfer_model``  ``output_size``, ``rehead``, ``share_copied``, ``two_rates``
12       ``pytorch_folder``          ``leaked``, ``validation_rows``, ``recall_and_precision``,
                                     ``confident_mistakes``
13       ``which_model``             ``nce``, ``leep``, ``kendall``, ``regret``
14       ``when_transfer_hurts``     ``guarded``, ``harmful``, ``pair_names``
15       ``hard_targets``            ``adjust_logits``, ``balanced_accuracy``, ``small_loss``,
                                     ``true_accuracy``
16       ``looking_inside``          ``equal_bins_error``, ``sureness_slope``,
                                     ``precision_across``, ``occlusion``
17       ``beyond_images``           ``f1_cells``, ``without_overlap``, ``leave_one_out``
=======  ==========================  ============================================================

``hints`` holds what the checks share; ``release`` writes the pages without solutions.

Design choices
--------------
- An exercise page is a solved notebook; what students get is derived from it, never written by
  hand, so the two cannot drift apart.
- A check says "Right." or raises `Hint`: what is wrong and where to look, not the solution.
- Checks compare with numbers that are worked out here, on inputs that the student has not seen.
"""

from tlcourse.exercises.beyond_images import (
    check_f1_cells,
    check_leave_one_out,
    check_without_overlap,
)
from tlcourse.exercises.concepts import check_label_saving, check_setting, check_shuffle_tiles
from tlcourse.exercises.domain_gap import (
    check_adaptation_step,
    check_coral,
    check_importance_weights,
    check_information,
    check_mmd,
    check_reverse_gradient,
)
from tlcourse.exercises.feature_transfer import (
    check_denoising_loss,
    check_linear_cka,
    check_saving,
)
from tlcourse.exercises.hard_targets import (
    check_adjust_logits,
    check_balanced_accuracy,
    check_small_loss,
    check_true_accuracy,
)
from tlcourse.exercises.hints import Hint
from tlcourse.exercises.keras_iris import check_fair_split, check_majority, check_standardise
from tlcourse.exercises.keras_mlp import check_bounding_box, check_cross_entropy, check_damage
from tlcourse.exercises.keras_vgg16 import (
    check_descend,
    check_fold,
    check_head_parameters,
    check_vgg_inputs,
)
from tlcourse.exercises.looking_inside import (
    check_equal_bins_error,
    check_occlusion,
    check_precision_across,
    check_sureness_slope,
)
from tlcourse.exercises.mathematics import check_gradient, check_kept, check_pull, check_twins
from tlcourse.exercises.parameter_transfer import (
    check_batch_norm,
    check_discriminative_rates,
    check_interpolate,
    check_lora_layer,
    check_merge_lora,
)
from tlcourse.exercises.pytorch_folder import (
    check_confident_mistakes,
    check_leaked,
    check_recall_and_precision,
    check_validation_rows,
)
from tlcourse.exercises.pytorch_transfer_model import (
    check_output_size,
    check_rehead,
    check_share_copied,
    check_two_rates,
)
from tlcourse.exercises.release import release, student_version
from tlcourse.exercises.structure_transfer import check_magnitude_mask, check_soft_loss, check_widen
from tlcourse.exercises.when_transfer_hurts import check_guarded, check_harmful, check_pair_names
from tlcourse.exercises.which_model import (
    check_kendall,
    check_leep,
    check_nce,
    check_regret,
)
from tlcourse.exercises.why_transfer import (
    check_is_finished,
    check_labels_needed,
    check_paired_interval,
    check_prototype_logits,
)

__all__ = [
    "Hint",
    "check_adaptation_step",
    "check_adjust_logits",
    "check_balanced_accuracy",
    "check_batch_norm",
    "check_bounding_box",
    "check_confident_mistakes",
    "check_coral",
    "check_cross_entropy",
    "check_damage",
    "check_denoising_loss",
    "check_descend",
    "check_discriminative_rates",
    "check_equal_bins_error",
    "check_f1_cells",
    "check_fair_split",
    "check_fold",
    "check_gradient",
    "check_guarded",
    "check_harmful",
    "check_head_parameters",
    "check_importance_weights",
    "check_information",
    "check_interpolate",
    "check_is_finished",
    "check_kendall",
    "check_kept",
    "check_label_saving",
    "check_labels_needed",
    "check_leaked",
    "check_leave_one_out",
    "check_leep",
    "check_linear_cka",
    "check_lora_layer",
    "check_magnitude_mask",
    "check_majority",
    "check_merge_lora",
    "check_mmd",
    "check_nce",
    "check_occlusion",
    "check_output_size",
    "check_pair_names",
    "check_paired_interval",
    "check_precision_across",
    "check_prototype_logits",
    "check_pull",
    "check_recall_and_precision",
    "check_regret",
    "check_rehead",
    "check_reverse_gradient",
    "check_saving",
    "check_setting",
    "check_share_copied",
    "check_shuffle_tiles",
    "check_small_loss",
    "check_soft_loss",
    "check_standardise",
    "check_sureness_slope",
    "check_true_accuracy",
    "check_twins",
    "check_two_rates",
    "check_validation_rows",
    "check_vgg_inputs",
    "check_widen",
    "check_without_overlap",
    "release",
    "student_version",
]
