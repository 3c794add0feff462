"""Execute the book's notebooks side by side and keep them in the cache that Jupyter Book reads.

    python scripts/execute_book.py book --workers 2

What is in the cache already is not run again, so an interrupted run goes on where it stopped. A
notebook that fails is named with its cell and its error, the others run on, and the exit status
is 1. A notebook's seconds are remembered in ``_build/seconds.json``; until then the ones of
``seconds.json`` beside this script order the queue, longest first, and foretell the time left.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn, JupyterCacheAbstract
from jupyter_cache.executors.utils import ExecutionResult, single_nb_execution
from nbformat import NotebookNode

CELL_TIMEOUT = 600  # seconds, as in _config.yml
MOST_LINES = 40  # of an error
AS_ON_THE_SITE = {
    "TLCOURSE_EXPLORE": "frames",
    # In nets this small, more threads would mostly wait for each other.
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",  # TensorFlow's greetings would stand between the lines of progress
}
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def read_seconds(path: Path) -> dict[str, float]:
    """Return the notebooks' seconds by name; nothing, where there is no such file yet."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def find_notebooks(
    book: Path, cache: JupyterCacheAbstract
) -> tuple[dict[str, NotebookNode], list[str]]:
    """Return the notebooks to execute, by their path within the book, and the cached ones."""
    missing, cached = {}, []
    for path in sorted(book.rglob("*.ipynb")):
        name = path.relative_to(book).with_suffix("").as_posix()
        if ".ipynb_checkpoints" in path.parts:
            continue
        notebook = nbformat.read(path, as_version=4)
        try:
            cache.match_cache_notebook(notebook)
            cached.append(name)
        except KeyError:
            missing[name] = notebook
    return missing, cached


class Forecast:
    """How long the rest will take: the expected seconds, scaled by how the first ones went."""

    def __init__(self, expected: dict[str, float], names: list[str], workers: int):
        usual = median(expected.values()) if expected else 30.0
        self.left = {name: expected.get(name, usual) for name in names}
        self.workers = workers
        self.planned = self.taken = 1e-9
        self.started: dict[str, float] = {}

    def longest_first(self) -> list[str]:
        """Return the order in which the workers wait least for each other at the end."""
        return sorted(self.left, key=self.left.__getitem__, reverse=True)

    def finish(self, name: str, seconds: float) -> None:
        """Learn from a finished notebook."""
        self.planned += self.left.pop(name)
        self.taken += seconds

    def seconds_left(self, now: float) -> float:
        """Return the seconds until all are done: shared work, but no less than the longest."""
        speed = self.taken / self.planned
        rest = [
            max(seconds * speed - (now - self.started.get(name, now)), 0)
            for name, seconds in self.left.items()
        ]
        return max(sum(rest) / self.workers, *rest, 0) if rest else 0.0


def in_words(seconds: float) -> str:
    """Say a time as one would."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def run_all(
    notebooks: dict[str, NotebookNode], book: Path, forecast: Forecast
) -> Iterator[tuple[str, ExecutionResult | BaseException]]:
    """Execute notebooks, each in a process of its own; yield each as it finishes."""
    queue = forecast.longest_first()
    running: dict[Future, str] = {}
    with ProcessPoolExecutor(
        forecast.workers,
        mp_context=get_context("spawn"),  # a fork would inherit the cache's open database
        initializer=logging.disable,  # errors come back; of an interruption each worker would tell
    ) as pool:
        while queue or running:
            while queue and len(running) < forecast.workers:
                name = queue.pop(0)
                future = pool.submit(
                    single_nb_execution,
                    notebooks[name],
                    cwd=str((book / name).parent),
                    timeout=CELL_TIMEOUT,
                    allow_errors=False,
                )
                running[future] = name
                forecast.started[name] = time.monotonic()
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                name = running.pop(future)
                yield name, future.exception() or future.result()


def describe(error: BaseException) -> str:
    """Return an error's cell, message and traceback without colours, the middle left out."""
    lines = COLOURS.sub("", f"{error}").strip().splitlines() or [repr(error)]
    if len(lines) > MOST_LINES:
        half = MOST_LINES // 2
        lines[half:-half] = [f"... {len(lines) - 2 * half} more lines ..."]
    return "\n".join(f"    {line}" for line in lines)


def execute(book: Path, build: Path, workers: int) -> dict[str, BaseException]:
    """Execute what the cache lacks, with a line for each notebook; return what failed."""
    cache = get_cache(build / ".jupyter_cache")
    notebooks, cached = find_notebooks(book, cache)
    total = len(notebooks) + len(cached)
    remembered = read_seconds(build / "seconds.json")
    expected = read_seconds(Path(__file__).with_name("seconds.json")) | remembered
    forecast = Forecast(expected, list(notebooks), workers)
    say = f"{total} notebooks: {len(cached)} executed before, {len(notebooks)} to execute"
    if notebooks:
        say += f", {workers} at a time; about {in_words(forecast.seconds_left(0))}"
    print(say, flush=True)
    failed: dict[str, BaseException] = {}
    for name, result in run_all(notebooks, book, forecast):
        error = result if isinstance(result, BaseException) else result.err
        seconds = time.monotonic() - forecast.started[name]
        forecast.finish(name, seconds)
        done = total - len(forecast.left)
        left = in_words(forecast.seconds_left(time.monotonic()))
        word = "FAILED" if error else "done"
        line = f"[{done:2}/{total}] {name} {word} in {in_words(seconds)}; about {left} left"
        print(f"{line}\n{describe(error)}" if error else line, flush=True)
        if error:
            failed[name] = error
            continue
        cache.cache_notebook_bundle(
            CacheBundleIn(result.nb, f"{book / name}.ipynb", data={"execution_seconds": seconds}),
            check_validity=False,
            overwrite=True,
        )
        remembered[name] = round(seconds, 1)
        (build / "seconds.json").write_text(
            json.dumps(remembered, indent=1, sort_keys=True) + "\n", encoding="utf-8"
        )
    return failed


def main(arguments: list[str] | None = None) -> int:
    """Read the command line, execute, and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("book", type=Path, help="the folder with the notebooks")
    parser.add_argument("--workers", type=int, default=2, help="notebooks at a time")
    given = parser.parse_args(arguments)
    os.environ.update(AS_ON_THE_SITE)
    os.environ.pop("MPLBACKEND", None)  # pictures inline, whatever the shell says
    book = given.book.resolve()
    try:
        failed = execute(book, book.parent / "_build", given.workers)
    except KeyboardInterrupt:
        print("\nInterrupted. What was finished is kept; the same command goes on from there.")
        return 130
    if failed:
        print(f"\n{len(failed)} notebook(s) failed, so the book is not built:")
        for name, error in failed.items():
            kind = getattr(error, "ename", type(error).__name__)
            message = getattr(error, "evalue", f"{error}".strip()).partition("\n")[0]
            print(f"  {book.name}/{name}.ipynb: {kind}: {message}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
