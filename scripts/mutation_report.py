"""Mutation score by module, and what each surviving mutant changed; exit 1 below the threshold.

Reads what ``mutmut run`` left in the folder ``mutants``. Run it in the same directory.
"""

import argparse
import sys
from collections import Counter

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files

CAUGHT = {"killed", "timeout"}


def changed_lines(name, path):
    """Return the lines that a mutation took away and put in their place."""
    lines = get_diff_for_mutant(name, path=path).splitlines()
    return [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]


def changes_text_only(lines):
    """Say whether the mutation only put XX around a string literal or changed its case."""
    if len(lines) != 2:
        return False
    before, after = (line[1:] for line in lines)
    return after.count("XX") == before.count("XX") + 2 or before.lower() == after.lower()


def score(counts):
    """Return the share of mutants that a test caught."""
    return sum(counts[status] for status in CAUGHT) / max(1, counts.total())


def report(least):
    """Print the table and the survivors; return whether the score is high enough."""
    total, others, survivors = Counter(), Counter(), []
    print(f"{'module':42}{'mutants':>8}{'killed':>8}{'timeout':>8}{'alive':>8}{'score':>8}")
    for path in sorted(walk_mutatable_files()):
        data = SourceFileMutationData(path=path)
        data.load()
        counts = Counter()
        for name, code in data.exit_code_by_key.items():
            # mutmut takes an error of pytest's own, 255, for a timeout: nothing was tested
            status = "not run" if code == 255 else status_by_exit_code[code]
            lines = changed_lines(name, path)
            counts[status] += 1
            others[status] += not changes_text_only(lines)
            if status not in CAUGHT:
                survivors.append("\n".join([f"{name}: {status}", *lines]))
        if counts:
            print_row(path, counts)
        total += counts
    print_row("all", total)
    print_row("all but changes of a string literal", others)
    print(*["", *survivors], sep="\n")
    return score(total) >= least


def print_row(title, counts):
    """Print one line of the table."""
    alive = counts.total() - counts["killed"] - counts["timeout"]
    numbers = f"{counts.total():8}{counts['killed']:8}{counts['timeout']:8}{alive:8}"
    print(f"{title!s:42}{numbers}{score(counts):8.1%}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--least", type=float, default=0.9, help="the lowest score that passes")
    sys.exit(0 if report(parser.parse_args().least) else 1)
