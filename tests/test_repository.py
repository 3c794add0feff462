"""What stands around the package: workflows, the version, the changelog."""

import re
from pathlib import Path

import pytest
import yaml

import tlcourse

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_take_actions_by_their_commit_and_may_only_read(path):
    text = path.read_text(encoding="utf-8")
    uses = re.findall(r"uses: *(.*)", text)
    assert uses and all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v[\d.]+", one) for one in uses)
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}


def test_the_version_stands_once():
    assert "version" not in yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert not re.search('^version = "', settings, re.M)
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", tlcourse.__version__)


def test_the_changelog_begins_with_this_version():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    (first, *_) = re.findall(r"^## \[?([\d.]+)", changelog, re.M)
    assert first == tlcourse.__version__.partition(".dev")[0]
