"""The switch for the hints: on under pytest, private functions first; off everywhere else."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from tlcourse import align, evaluation, probing, scores
from tlcourse.scores.similarity import _kernel_sum
from tlcourse.torch.feature.adaptation import mk_mmd_loss
from tlcourse.torch.target.losses import logit_adjusted_loss

WIDE, NARROW = np.ones((4, 3)), np.ones((4, 2))


def test_a_private_function_refuses_wrong_shapes_and_types_before_it_runs():
    with pytest.raises(TypeCheckError, match="parameters of .*_kernel_sum"):
        _kernel_sum(WIDE, NARROW, [1.0])
    with pytest.raises(TypeCheckError, match="Expected type: <class 'Float64"):
        _kernel_sum(WIDE.astype(np.float32), WIDE, [1.0])
    assert _kernel_sum(WIDE, WIDE, [1.0]) == 16


@pytest.mark.parametrize(
    "call",
    [
        lambda: align._power(NARROW, 0.5),
        lambda: probing._check_complete(WIDE, "ab"),
        lambda: evaluation.Evaluation(np.zeros((2, 3), np.int64), 0.1, ("a", "b")),
        lambda: scores.transferability._project("x", WIDE, np.ones((5, 2))),
        lambda: logit_adjusted_loss([3, 2])(torch.zeros(4, 2), torch.zeros(4, 2)),
        lambda: mk_mmd_loss(torch.eye(3), torch.eye(3), scales=np.ones(2)),
    ],
)
def test_each_module_is_checked(call):
    with pytest.raises(TypeCheckError):
        call()


def test_what_a_public_function_refuses_it_refuses_in_its_own_words():
    with pytest.raises(TypeError, match="bandwidth is .*'wide'.*; give a number > 0"):
        scores.mmd(WIDE, WIDE, bandwidth="wide")
    with pytest.raises(ValueError, match="extract both with the same model"):
        scores.mmd(WIDE, NARROW)


def test_what_a_public_function_accepts_agrees_with_its_hints():
    with pytest.raises(TypeCheckError, match="unbiased"):
        scores.mmd(WIDE, WIDE, unbiased="perhaps")


def test_without_pytest_nothing_is_checked_and_nothing_heavy_is_loaded():
    code = """if True:
        import sys
        import numpy as np
        from tlcourse.scores.similarity import _kernel_sum
        assert not {"beartype", "torch", "tensorflow", "jax"} & set(sys.modules)
        assert _kernel_sum(np.ones((4, 3), np.float32), np.ones((4, 3)), [1.0]) == 16
        assert not hasattr(_kernel_sum, "__wrapped__")
    """
    subprocess.run([sys.executable, "-c", code], check=True)
