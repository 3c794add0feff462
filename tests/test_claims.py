"""Claims: what must hold, what would have to fail, and how a sentence gets its evidence."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tlcourse.claims import ClaimError, LooseClaimError, claim

EXTENSIONS = Path(__file__).parent.parent / "book" / "_ext"


def test_a_true_claim_says_so(capsys):
    claim("leads", lambda lead, error: lead > 2 * error, lead=np.float32(0.25), error=0.02)
    assert capsys.readouterr().out == "leads holds: lead = 0.25, error = 0.02\n"


def test_a_false_claim_is_an_error_with_its_numbers():
    with pytest.raises(ClaimError, match=r"'leads' does not hold: lead = 0.01, error = 0.02"):
        claim("leads", lambda lead, error: lead > 2 * error, lead=0.01, error=0.02)


@pytest.mark.parametrize(
    ("condition", "shown", "wrong"),
    [
        (lambda near, far: near > far - 1, {"near": 0.9, "far": 0.8}, "order turned round"),
        (lambda near, far: near >= far, {"near": 0.9, "far": 0.8}, "all of them equal"),
        (lambda ranks: list(ranks) == sorted(ranks), {"ranks": [1, 2, 3]}, "all of them equal"),
        (lambda ranks: len(ranks) == 3, {"ranks": [1, 2, 3]}, "order turned round"),
        (lambda gain: gain < 0.2, {"gain": 0.1}, "gain = -0.1"),
        (lambda gain: gain > -0.05, {"gain": 0.1}, "gain = 0"),
        (lambda moved: True, {"moved": False}, "moved = True"),
        (lambda gain: abs(gain) < 0.5, {"gain": 0.1, "apart": 0.2}, "moved by 0.2 either way"),
    ],
)
def test_a_condition_that_a_wrong_statement_would_pass_is_refused(condition, shown, wrong):
    with pytest.raises(LooseClaimError, match=wrong):
        claim("loose", condition, **shown)


def test_no_difference_can_be_claimed_with_the_difference_that_would_matter(capsys):
    claim("same", lambda a, b: abs(a - b) < 0.03, a=0.91, b=0.92, apart=0.05)
    claim("level", lambda accuracy: accuracy > 0.9, accuracy=0.93, apart=0.05)
    claim("frozen", lambda moved: not moved, moved=np.bool_(False))
    assert capsys.readouterr().out.count(" holds: ") == 3


@pytest.mark.parametrize("shown", [{}, {"gain": float("nan")}, {"gain": []}])
def test_a_claim_needs_finite_numbers(shown):
    with pytest.raises(ValueError, match="'empty' shows"):
        claim("empty", lambda **_: True, **shown)


def build(folder, *cells, settings="", times=1):
    """Build a page from a notebook that is executed; return its HTML and the last warnings."""
    source = folder / "source"
    source.mkdir()
    (source / "conf.py").write_text(
        "extensions = ['myst_nb', 'claims']\nsuppress_warnings = ['mystnb.unknown_mime_type']\n"
        + settings,
        encoding="utf-8",
    )
    notebook = new_notebook(cells=[new_markdown_cell("# Page"), *cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, source / "index.ipynb")
    # in a process of its own: myst_nb changes Sphinx's defaults for all later applications
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-E",
        "--no-color",
        "-b",
        "html",
        source,
        folder,
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(EXTENSIONS), *sys.path])}
    for _ in range(times):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return (folder / "index.html").read_text(encoding="utf-8"), done.stderr


HOLDS = """from tlcourse.claims import claim
claim("leads", lambda lead:
      lead > 0.05, lead=0.1137)"""


def test_a_sentence_shows_its_number_and_the_evidence_behind_it(tmp_path):
    sentence = new_markdown_cell("Here {claim}`it leads by {lead:.2f}, R&D > 0 <leads>`.")
    page, warnings = build(tmp_path, sentence, new_code_cell(HOLDS))
    assert warnings == ""
    assert "it leads by 0.11, R&amp;D &gt; 0<button" in page
    assert 'popovertarget="claim-leads"' in page and 'id="claim-leads"' in page
    assert "<code>lead &gt; 0.05</code>" in page and "lead = 0.1137" in page


def test_a_notebook_that_was_executed_before_and_comes_from_the_cache_keeps_its_claims(tmp_path):
    sentence = new_markdown_cell("Here {claim}`it leads by {lead:.2f} <leads>`.")
    settings = (
        f"nb_execution_mode = 'cache'\nnb_execution_cache_path = {str(tmp_path / 'kept')!r}\n"
    )
    cells = sentence, new_code_cell(HOLDS)
    page, warnings = build(tmp_path, *cells, settings=settings, times=2)
    assert warnings == "" and "it leads by 0.11<button" in page


def test_what_does_not_fit_together_is_a_warning(tmp_path):
    text = new_markdown_cell(
        "{claim}`without evidence <nothing>` {claim}`one <leads>` {claim}`two <leads>` "
        "{claim}`nameless` {claim}`of {other:.2f} <twice>`"
    )
    more = 'for _ in range(2):\n    claim("twice", lambda x: x > 0.5, x=1.0)\n'
    more += 'claim("silent", lambda x: x > 0.5, x=1.0)'
    warnings = build(tmp_path, text, new_code_cell(HOLDS), new_code_cell(more))[1]
    for expected in (
        "'nothing' has no executed claim",
        "two sentences have the claim 'leads'",
        "'nameless' has no name",
        "claim 'twice' is made twice",
        "claim 'silent' has no sentence",
        "cannot take its numbers",
    ):
        assert expected in warnings
