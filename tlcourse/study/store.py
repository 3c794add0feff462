"""Finished trials on disk: one JSON line each, behind a line that says what was measured.

Design choices
--------------
- A line is written at once and ends in a newline, so a killed study leaves at most one line
  without end; it is dropped and its trial runs again.
- Rows of different targets or splits never meet: the first line is compared before anything else.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from tlcourse.data import Domain
from tlcourse.data.domain import content_of

Row = dict[str, Any]


class Trial(NamedTuple):
    """One cell of the study."""

    strategy: str
    budget: int
    seed: int


KEY = Trial._fields
COLUMNS = (
    *KEY,
    "accuracy",
    "balanced_accuracy",
    "validation_accuracy",
    "seconds",
    "trained_parameters",
)
_FORMAT = {"format": "tlcourse study 1"}


def trial_of(row: Row) -> Trial:
    """Return the trial that a row reports."""
    return Trial(*(row[name] for name in KEY))


@contextmanager
def open_store(
    path: str | PathLike[str] | None, target: Domain, sizes: dict[str, int]
) -> Iterator[tuple[dict[Trial, Row], Callable[[Row], object]]]:
    """Yield finished rows by trial, and a function that keeps one more."""
    if path is None:
        yield {}, lambda row: None
        return
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{path}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(
            f"store {str(path)!r} is in use by another study; wait for it or give another file."
        ) from None
    try:
        header = _FORMAT | _protocol(target, sizes)
        rows, n_bytes = _read_store(path, header)
        with path.open("ab") as file:
            file.truncate(n_bytes)

            def keep(row):
                file.write(_line(row))
                file.flush()

            if n_bytes == 0:
                keep(header)
            yield rows, keep
    finally:
        lock.release()


def _protocol(target: Domain, sizes: dict[str, int]) -> dict[str, Any]:
    """Describe what must be equal for rows to be comparable."""
    digest = hashlib.blake2b(target.labels.tobytes(), digest_size=16)
    for piece in content_of(target.inputs):
        digest.update(piece)
    return {
        "target": target.name,
        "shape": list(target.inputs.shape),
        "classes": target.n_classes,
        "content": digest.hexdigest(),
        **{name: int(size) for name, size in sizes.items()},
    }


def _line(entry: dict[str, Any]) -> bytes:
    """Encode one line of the store."""
    return (json.dumps(entry, ensure_ascii=False) + "\n").encode()


def _read_store(path: Path, header: dict[str, Any]) -> tuple[dict[Trial, Row], int]:
    """Return rows by trial and the number of bytes up to the last whole line."""
    content = path.read_bytes() if path.exists() else b""
    if _line(header).startswith(content):  # new, or killed while writing the very first line
        return {}, len(content) if content.endswith(b"\n") else 0
    whole = content[: content.rfind(b"\n") + 1]  # a line without end was cut by a kill
    entries = []
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            entries.append(json.loads(line))
            known = entries[-1].keys() >= set(_FORMAT if number == 1 else COLUMNS)
        except (ValueError, AttributeError):
            known = False
        if not known:
            raise ValueError(
                f"line {number} of store {str(path)!r} is not a study's; give another file."
            )
    if not entries:
        raise ValueError(f"store {str(path)!r} is not a study's file; give another file.")
    _check_header(path, entries[0], header)
    return {trial_of(row): row for row in entries[1:]}, len(whole)


def _check_header(path: Path, found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Refuse a store that was made under another protocol, and say what differs."""
    changes = [
        f"{name} was {found.get(name)!r} and is now {value!r}"
        for name, value in expected.items()
        if found.get(name) != value
    ]
    if changes:
        raise ValueError(
            f"store {str(path)!r} holds another study: {'; '.join(changes)}. Give another file, "
            "or delete this one to measure anew."
        )
