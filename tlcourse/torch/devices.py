"""Where to compute, and random numbers that follow a seed.

Design choices
--------------
- ``"auto"`` takes CUDA, then Apple's MPS, then the CPU; ``TLCOURSE_DEVICE`` overrides it, so one
  notebook runs anywhere unchanged.
- The library leaves the global random state as it found it.
"""

import os
import sys
import warnings
from contextlib import contextmanager
from importlib.util import find_spec

if "tensorflow" in sys.modules and "triton" not in sys.modules and find_spec("triton"):
    raise ImportError(  # better than the crash of the process that would follow
        "tensorflow was imported before PyTorch's compiler Triton, which cannot load after it; "
        "import tlcourse.keras or tlcourse.torch before tensorflow."
    )

import torch


def choose_device(device="auto"):
    """Find the device to compute on.

    Parameters
    ----------
    device : str or torch.device
        ``"auto"``, or a device such as ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.

    Returns
    -------
    torch.device

    Raises
    ------
    ValueError
        If there is no such device on this computer.
    """
    if device == "auto":
        device = os.environ.get("TLCOURSE_DEVICE") or _fastest()
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen).cpu()
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device is {device!r}, which cannot be used here ({str(error).splitlines()[0]}); "
            "use 'auto', 'cpu', or one that this computer has."
        ) from error
    return chosen


@contextmanager
def seeded(seed, device=None):
    """Let PyTorch's random numbers follow a seed, and restore their state afterwards.

    Parameters
    ----------
    seed : int
        Any integer >= 0.
    device : torch.device, optional
        A CUDA device whose random numbers are seeded and restored too.

    Yields
    ------
    None
    """
    cuda = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)
        yield


def _fastest():
    """Name the fastest kind of device that this computer has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a CUDA build on a machine without GPU
        if torch.cuda.is_available():
            return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
