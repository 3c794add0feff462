"""The command line: each verb once, and errors of one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tlcourse import cli, data, weights

ROOT = Path(__file__).parent.parent


def test_domains_lists_what_load_knows(capsys):
    assert cli.main(["domains"]) == 0
    assert tuple(capsys.readouterr().out.split()) == data.names()


def test_pretrain_writes_weights_and_card(tmp_path, monkeypatch, capsys):
    small = weights.RECIPES["letters"] | {"examples": 120, "held_out": 40, "epochs": 1}
    monkeypatch.setitem(weights.RECIPES, "letters", small)
    assert cli.main(["pretrain", "letters", "--output", str(tmp_path / "new")]) == 0
    card = json.loads((tmp_path / "new" / "letters.json").read_text(encoding="utf-8"))
    said = capsys.readouterr().out
    assert f"accuracy {card['accuracy']:.4f} on 40 held-out examples" in said
    assert str(tmp_path / "new") in said
    assert (tmp_path / "new" / "letters.safetensors").stat().st_size > 400_000


def test_pretrain_refuses_an_unknown_recipe_in_one_line(capsys):
    assert cli.main(["pretrain", "words"]) == 1
    captured = capsys.readouterr()
    assert captured.err == "tlcourse: name is 'words'; the recipes are letters, signs.\n"
    assert captured.out == ""


def test_fetch_goes_through_the_cache(monkeypatch, capsys):
    fetched = []
    monkeypatch.setattr(data, "fetch_download", fetched.append)
    assert cli.main(["fetch", "mnist", "usps"]) == 0
    assert fetched == ["mnist", "usps"]
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == fetched


def test_fetch_reports_a_failed_download_in_one_line(monkeypatch, capsys):
    def fail(_name):
        raise data.DownloadError("no network")

    monkeypatch.setattr(data, "fetch_download", fail)
    assert cli.main(["fetch", "mnist"]) == 1
    assert capsys.readouterr().err == "tlcourse: no network\n"


@pytest.mark.parametrize("arguments", [[], ["dance"], ["fetch"], ["pretrain"]])
def test_wrong_usage_prints_the_usage(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    assert "usage: python -m tlcourse" in capsys.readouterr().err


def test_the_module_runs_as_a_command_without_loading_a_framework():
    code = (
        "import runpy, sys; sys.argv = ['tlcourse', 'domains']\n"
        "try:\n    runpy.run_module('tlcourse', run_name='__main__')\n"
        "except SystemExit as stop:\n    assert stop.code == 0\n"
        "assert not {'torch', 'keras', 'tensorflow'} & set(sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert tuple(ran.stdout.split()) == data.names()


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of Windows fail in another way")
@pytest.mark.parametrize("command", ["domains", "exercises"])
def test_a_reader_that_closes_its_end_of_the_pipe_hears_no_complaint(command, tmp_path):
    arguments = [command, str(tmp_path / "pages")] if command == "exercises" else [command]
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "tlcourse", *arguments],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=ROOT,
        )
    finally:
        os.close(writing)
    assert ran.stderr == ""
    assert ran.returncode == 1
