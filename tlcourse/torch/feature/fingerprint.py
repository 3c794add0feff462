"""What a net computes, as one hash: for keys of caches.

Design choices
--------------
- The net itself is asked, not its description: it runs once on a batch that has a shape but no
  numbers (PyTorch's fake tensors), and every operation that reaches PyTorch is written down with
  its constants and with the values of the tensors that enter it. So whatever can change a feature
  changes the hash: the code of `forward` or of a function that it calls, a hook, a scale, a
  weight, a buffer or a plain tensor, the preprocessing, a training mode that is forced. What
  cannot does not: names, comments, what is frozen, parameters that no input meets.
- Source text would be the weaker key. It misses functions that a forward calls, attributes,
  globals and hooks, and cannot be read for lambdas and compiled code.
- Where the record would have a gap, the net is refused: if it looks at its numbers while it runs,
  in Python or NumPy, or hands PyTorch an object that cannot be written down.
"""

from __future__ import annotations

import copy
import hashlib
from numbers import Number

import numpy as np
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from tlcourse.torch.training import to_tensor


def fingerprint(net: nn.Module, shape: tuple[int, ...]) -> str:
    """Hash what a net computes in evaluation mode.

    It takes a tenth of a second for a ResNet-18, computes nothing, and leaves the net as it is.

    Parameters
    ----------
    net : torch.nn.Module
        On the device where it is to compute.
    shape : tuple of int
        Of one input: ``(h, w, c)`` or ``(d,)``.

    Returns
    -------
    str
        64 hexadecimal digits. Equal ones mean equal outputs for equal inputs, but for the rounding
        that batch size and threads decide.

    Raises
    ------
    ValueError
        If the net fails on such inputs, or what it computes cannot be written down.

    Examples
    --------
    >>> import torch
    >>> from tlcourse.torch.feature.fingerprint import fingerprint
    >>> net = torch.nn.Linear(3, 2)
    >>> before = fingerprint(net, (3,))
    >>> net.bias.data += 1
    >>> fingerprint(net, (3,)) == before
    False
    """
    record = _Record()
    device = next((tensor.device for tensor in _tensors(net)), torch.device("cpu"))
    try:
        # a copy with the same tensors: what the run keeps in the net must not stay there
        twin = copy.deepcopy(net, {id(tensor): tensor for tensor in _tensors(net)}).eval()
        fake = FakeTensorMode(allow_non_fake_inputs=True)
        batch = fake.from_tensor(to_tensor(np.zeros((2, *shape)), device))
        with torch.no_grad(), fake, record:
            record.note("in", batch)
            record.note("out", twin(batch))
    except Exception as error:  # whatever the net's own code raises
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ValueError(
            f"what {type(net).__name__} computes cannot be written down ({reason}), so its "
            "features would be found again even after it has changed; compute them by "
            "extract_features and keep the array, or let forward use PyTorch's operations alone "
            "and not ask for the values of its inputs."
        ) from error
    return record.digest()


def _tensors(net):
    """List a net's parameters and buffers."""
    return [*net.parameters(), *net.buffers()]


class _Record(TorchDispatchMode):
    """Writes down operations, their constants, and which tensors go in and come out."""

    def __init__(self):
        super().__init__()
        self.lines = [f"torch {torch.__version__}"]
        self.numbers, self.seen = {}, []  # a number for each tensor; all are kept alive

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        options = options or {}
        self.note(str(operation), [*arguments, *options.values()], list(options))
        result = operation(*arguments, **options)
        self.note("gives", result)
        return result

    def note(self, *parts):
        """Add a line."""
        self.lines.append(" ".join(map(self._describe, parts)))

    def digest(self):
        """Hash the lines and the values of all tensors that have some."""
        digest = hashlib.sha256("\n".join(self.lines).encode())
        for number, tensor in enumerate(self.seen):
            digest.update(f"\n{number} {tuple(tensor.shape)} {tensor.dtype}".encode())
            if not isinstance(tensor, FakeTensor):
                values = tensor.detach().cpu().reshape(-1).contiguous()
                digest.update(values.view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def _describe(self, part):
        """Name tensors by the order in which they were seen, and write out constants."""
        if isinstance(part, torch.Tensor):
            if id(part) not in self.numbers:
                self.numbers[id(part)] = len(self.seen)
                self.seen.append(part)
            return f"tensor {self.numbers[id(part)]}"
        if isinstance(part, list | tuple):
            return f"[{', '.join(map(self._describe, part))}]"
        constants = (
            Number | str | None | torch.dtype | torch.device | torch.layout | torch.memory_format
        )
        if isinstance(part, constants):
            return repr(part)
        raise TypeError(f"an operation has a {type(part).__name__} among its arguments")
