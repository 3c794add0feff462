"""Pretrain the course's own checkpoints by the recipes of ``tlcourse.weights``.

Design choices
--------------
- The files are written to temporary names and moved, the card last: an interrupted pretraining
  leaves the old checkpoint.
- The held-out source examples choose nothing; they only tell the card's accuracy.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from tlcourse import data, weights
from tlcourse.torch.models import TransferModel, backbone, count_parameters
from tlcourse.torch.training import evaluate, fit


def source_parts(name: str) -> tuple[data.Domain, data.Domain]:
    """Render a checkpoint's source domain and part it.

    Parameters
    ----------
    name : {"letters", "signs"}
        Which checkpoint.

    Returns
    -------
    train, held_out : Domain
        Disjoint; the second one was never trained on.
    """
    recipe = weights.RECIPES[name]
    domain = data.load(recipe["domain"], n=recipe["examples"], seed=recipe["seed"])
    rows = np.arange(len(domain))  # rendered in random order already
    return domain.subset(rows[recipe["held_out"] :]), domain.subset(rows[: recipe["held_out"]])


def pretrain(name: str, folder: str | os.PathLike, *, progress: bool = True) -> dict[str, Any]:
    """Train a checkpoint from a random start and write weights and card.

    Parameters
    ----------
    name : {"letters", "signs"}
        Which checkpoint.
    folder : path
        Where to write ``<name>.safetensors`` and ``<name>.json``.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    dict
        The card.
    """
    recipe = weights.RECIPES[name]
    train, held_out = source_parts(name)
    net = backbone(recipe["net"], seed=recipe["seed"])
    model = TransferModel(net, train.n_classes, seed=recipe["seed"])
    options = {key: recipe[key] for key in ("epochs", "batch_size", "lr", "seed")}
    fit(model, train, progress=progress, **options)
    state = {key: tensor.cpu().contiguous() for key, tensor in model.state_dict().items()}
    content = save(state)
    card = recipe | {
        "class_names": list(train.class_names),
        "accuracy": round(evaluate(model, held_out).accuracy, 4),
        "parameters": count_parameters(model),
        "sha256": hashlib.sha256(content).hexdigest(),
        "origin": train.origin,
        "licence": train.licence,
        "made_with": f"torch {torch.__version__}",
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / f"{name}.safetensors", content)
    _replace(folder / f"{name}.json", (json.dumps(card, indent=2) + "\n").encode())
    return card


def _replace(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.replace(path)
