"""Where to compute, and random numbers that follow a seed.

Design choices
--------------
- ``"auto"`` takes CUDA, then Apple's MPS, then the CPU; ``TLCOURSE_DEVICE`` overrides it, so one
  notebook runs anywhere unchanged.
- The library leaves the global random state of every device as it found it.
"""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec

if "tensorflow" in sys.modules and "triton" not in sys.modules and find_spec("triton"):
    raise ImportError(  # better than the crash of the process that would follow
        "tensorflow was imported before PyTorch's compiler Triton, which cannot load after it; "
        "import tlcourse.keras or tlcourse.torch before tensorflow."
    )

import torch


def choose_device(device: str | torch.device = "auto") -> torch.device:
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
    TypeError
        If it is neither a name nor a device.
    ValueError
        If there is no such device on this computer. ``"auto"`` never fails for want of a GPU: one
        that is reported but does not work is passed over.

    Examples
    --------
    >>> import tlcourse.torch as tl
    >>> tl.choose_device("cpu")
    device(type='cpu')
    """
    asked = os.environ.get("TLCOURSE_DEVICE") or "auto" if device == "auto" else device
    if not isinstance(asked, str | torch.device):
        raise TypeError(f"device is {asked!r}; give 'auto', 'cpu', 'cuda' or a torch.device.")
    if asked == "auto":
        return _fastest()
    try:
        return _usable(asked)
    except (RuntimeError, AssertionError) as error:
        variable = "the environment variable TLCOURSE_DEVICE" if device == "auto" else "device"
        other = "'cpu'" if device == "auto" else "'auto', 'cpu'"
        raise ValueError(
            f"{variable} is {str(asked)!r}, which cannot be used here "
            f"({str(error).splitlines()[0]}); use {other}, or one that this computer has."
        ) from error


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Let PyTorch's random numbers follow a seed, and restore their state afterwards.

    Parameters
    ----------
    seed : int
        Any integer >= 0.
    device : torch.device, optional
        A device other than the CPU whose random numbers are seeded and restored too. Those of
        all other devices stay untouched.

    Yields
    ------
    None
    """
    # not torch.manual_seed: it would reseed every device, and only some would be restored
    with ExitStack() as restoring:
        restoring.callback(torch.default_generator.set_state, torch.default_generator.get_state())
        torch.default_generator.manual_seed(int(seed))
        if device is not None and device.type != "cpu":
            where = () if device.type == "mps" else (device,)  # there is but one of these
            accelerator = torch.get_device_module(device)
            restoring.callback(accelerator.set_rng_state, accelerator.get_rng_state(*where), *where)
            state = torch.Generator(device).manual_seed(int(seed)).get_state()
            accelerator.set_rng_state(state, *where)
        yield


def _fastest() -> torch.device:
    """Return the fastest device that this computer has and that works."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a CUDA build on a machine without GPU
        reported = [
            name
            for name, backend in (("cuda", torch.cuda), ("mps", torch.backends.mps))
            if backend.is_available()
        ]
    for name in reported:
        with suppress(RuntimeError, AssertionError):  # a driver too old, a virtual machine
            return _usable(name)
    return torch.device("cpu")


def _usable(device: str | torch.device) -> torch.device:
    """Return the device after a number has been there and back."""
    chosen = torch.device(device)
    torch.zeros(1, device=chosen).cpu()
    return chosen
