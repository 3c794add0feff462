"""Import Keras and TensorFlow so that they leave room for others.

Design choices
--------------
- All modules of this door import both from here, so the settings are made before the first use.
- Triton, which PyTorch loads on Linux, crashes the process if TensorFlow was loaded before it
  (both carry LLVM). So it is loaded first; PyTorch itself is not.
"""

import os
from contextlib import suppress

with suppress(ImportError):
    import triton  # noqa: F401

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

__all__ = ["keras", "tf"]

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        f"Keras runs on {keras.backend.backend()!r} here; tlcourse.keras needs TensorFlow. Set the "
        "environment variable KERAS_BACKEND=tensorflow before Keras is imported."
    )
for gpu in tf.config.list_physical_devices("GPU"):
    try:
        tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError:  # TensorFlow is in use already, with the choice that was made then
        break
