"""The command line: ``python -m tlcourse``.

Design choices
--------------
- Few commands, each one verb: what a teacher does before class, and what remakes shipped files.
- Errors that the user can repair are one line, without a traceback.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the shell.

    Returns
    -------
    int
        Exit status: 0, or 1 after an error.

    Examples
    --------
    >>> from tlcourse import cli
    >>> cli.main(["pretrain", "words"])  # what was wrong is told on the error stream
    1
    """
    options = _parser().parse_args(arguments)
    from tlcourse.data import DownloadError

    try:
        options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head -1`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the end
        return 1
    except (DownloadError, ValueError, OSError) as error:
        print(f"tlcourse: {error}", file=sys.stderr)
        return 1
    return 0


def _parser():
    """Describe the commands."""
    parser = argparse.ArgumentParser(prog="python -m tlcourse", description="Tools of the course.")
    commands = parser.add_subparsers(required=True, metavar="command")

    domains = commands.add_parser("domains", help="list the domains that load() knows")
    domains.set_defaults(run=_domains)

    fetch = commands.add_parser("fetch", help="download domains before class")
    fetch.add_argument("names", nargs="+", metavar="name", help="such as mnist, usps, ants-bees")
    fetch.set_defaults(run=_fetch)

    pretrain = commands.add_parser("pretrain", help="remake a checkpoint of the course")
    pretrain.add_argument("name", help="letters or signs")
    pretrain.add_argument(
        "--output",
        type=Path,
        default=Path(),
        metavar="FOLDER",
        help="where to write the weights and their card (default: here)",
    )
    pretrain.set_defaults(run=_pretrain)

    exercises = commands.add_parser("exercises", help="write the exercises without solutions")
    exercises.add_argument("output", type=Path, metavar="FOLDER", help="where to write them")
    exercises.add_argument(
        "--source",
        type=Path,
        default=Path("book/exercises"),
        metavar="FOLDER",
        help="the solved notebooks (default: book/exercises)",
    )
    exercises.set_defaults(run=_exercises)
    return parser


def _domains(_options):
    """Print the names of all domains."""
    from tlcourse import data

    print("\n".join(data.names()))


def _fetch(options):
    """Download domains into the cache."""
    from tlcourse import data

    for name in options.names:
        data.fetch_download(name)
        print(f"{name}: ready in {data.cache_dir()}")


def _pretrain(options):
    """Pretrain a checkpoint and say how well it does."""
    from tlcourse import weights

    if options.name not in weights.names():
        raise ValueError(f"name is {options.name!r}; the recipes are {', '.join(weights.names())}.")
    from tlcourse.torch.pretraining import pretrain

    card = pretrain(options.name, options.output)
    print(
        f"{options.name}: accuracy {card['accuracy']:.4f} on {card['held_out']} held-out "
        f"examples, written to {options.output.resolve()}"
    )


def _exercises(options):
    """Write the student's version of the exercise pages."""
    from tlcourse import exercises

    for page in exercises.release(options.source, options.output):
        print(page)
