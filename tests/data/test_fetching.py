"""Each test turns red for one way in which a download can lose, mix up or trust wrong bytes."""

import gzip
import hashlib
import os
import subprocess
import sys
import threading

import pytest
from local_server import local_server

from tlcourse.data import fetching
from tlcourse.data.fetching import DownloadError, cache_dir, fetch, is_writable

BODY = bytes(range(256)) * 160  # 40,960 bytes
SHA256 = hashlib.sha256(BODY).hexdigest()
NAME = "some/folder/data.bin"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server():
    with local_server() as running:
        yield running


def get(folder, *urls):
    return fetch(NAME, urls, SHA256, len(BODY), folder=folder, stand_in="iris", progress=False)


def leftovers(folder):
    """Files other than the finished one; the lock may or may not stay."""
    names = {path.name for path in (folder / "some/folder").iterdir()}
    return names - {"data.bin", "data.bin.lock"}


@pytest.mark.parametrize("manner", ["normal", "no length"])
def test_a_download_arrives_whole_and_in_place(server, tmp_path, manner):
    _, url = server.serve("f", BODY, manner=manner)
    path = get(tmp_path, url)
    assert path == tmp_path / NAME
    assert path.read_bytes() == BODY
    assert not leftovers(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps permissions in another way")
def test_a_class_that_shares_a_cache_can_read_what_one_of_it_downloaded(server, tmp_path):
    _, url = server.serve("f", BODY)
    assert get(tmp_path, url).stat().st_mode & 0o777 == 0o644


def test_a_gz_file_is_not_unpacked_on_the_way(server, tmp_path):
    packed = gzip.compress(b"numbers")
    _, url = server.serve("f.gz", packed, manner="encodes")
    sha256 = hashlib.sha256(packed).hexdigest()
    path = fetch("f.gz", [url], sha256, len(packed), folder=tmp_path, progress=False)
    assert path.read_bytes() == packed


def test_a_file_in_the_cache_costs_no_request_and_no_write(server, tmp_path):
    served, url = server.serve("f", BODY)
    (tmp_path / NAME).parent.mkdir(parents=True)
    (tmp_path / NAME).write_bytes(BODY)
    assert get(tmp_path, url).read_bytes() == BODY
    assert served.requests == 0
    assert [path.name for path in (tmp_path / NAME).parent.iterdir()] == ["data.bin"]


def test_a_wrong_file_in_the_cache_is_named_and_left_alone(server, tmp_path):
    served, url = server.serve("f", BODY)
    (tmp_path / NAME).parent.mkdir(parents=True)
    (tmp_path / NAME).write_bytes(b"the user's own")
    with pytest.raises(DownloadError, match="left as it is") as caught:
        get(tmp_path, url)
    assert str(tmp_path / NAME) in str(caught.value)
    assert SHA256 in str(caught.value)
    assert (tmp_path / NAME).read_bytes() == b"the user's own"
    assert served.requests == 0


def test_after_wrong_bytes_and_404_the_next_mirror_is_used(server, tmp_path):
    wrong, wrong_url = server.serve("wrong", b"x" * len(BODY))
    right, right_url = server.serve("right", BODY)
    path = get(tmp_path, server.url("missing"), wrong_url, right_url)
    assert path.read_bytes() == BODY
    assert (wrong.requests, right.requests) == (1, 1)
    assert server.missed == ["/missing"]


@pytest.mark.parametrize(
    ("body", "manner", "reason"),
    [
        (b"x" * len(BODY), "normal", "does not match"),
        (b"<html>please log in</html>", "normal", "does not match"),
        (BODY, "dies half-way", "IncompleteRead"),
    ],
)
def test_a_body_that_is_wrong_or_cut_leaves_nothing_behind(server, tmp_path, body, manner, reason):
    _, url = server.serve("f", body, manner=manner)
    with pytest.raises(DownloadError, match=reason):
        get(tmp_path, url)
    assert not (tmp_path / NAME).exists()
    assert not leftovers(tmp_path)


def test_after_a_broken_connection_the_next_mirror_sends_all(server, tmp_path):
    _, broken = server.serve("broken", BODY, manner="dies half-way")
    served, url = server.serve("f", BODY)
    assert get(tmp_path, broken, url).read_bytes() == BODY
    assert served.requests == 1 and not leftovers(tmp_path)


def test_the_offline_error_says_all_that_helps(server, tmp_path):
    closed = "http://127.0.0.1:9/closed.bin"
    with pytest.raises(DownloadError) as caught:
        get(tmp_path, server.url("missing"), closed)
    text = str(caught.value)
    for needed in (
        NAME,
        SHA256,
        f"{len(BODY):,}",
        server.url("missing"),
        "404",
        closed,
        str(tmp_path / NAME),
        "TLCOURSE_DATA",
        'load("iris")',
    ):
        assert needed in text
    assert text.index("404") < text.index(closed)


def test_a_folder_that_cannot_be_made_is_explained(tmp_path):
    (tmp_path / "some").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(DownloadError, match="TLCOURSE_DATA"):
        get(tmp_path, "http://127.0.0.1:9/f")


@pytest.mark.parametrize("url", ["ftp://host/f", "file:///etc/passwd", "C:/data/f"])
def test_only_web_addresses_are_opened(tmp_path, url):
    with pytest.raises(ValueError, match="https or http"):
        get(tmp_path, "http://127.0.0.1:9/f", url)


def test_no_mirror_at_all_is_refused(tmp_path):
    with pytest.raises(ValueError, match="urls is empty"):
        get(tmp_path)


def test_two_processes_ask_the_server_once(server, tmp_path):
    second = threading.Event()
    both_run = threading.Event()

    def hold(served):
        # Without the lock, the other process asks too: this wait makes sure that it is seen.
        if served.requests > 1:
            second.set()
        both_run.wait(60)
        second.wait(0.5)

    served, url = server.serve("f", BODY, hold=hold)
    script = (
        "from tlcourse.data.fetching import fetch; print('ready', flush=True);"
        f"print(fetch({NAME!r}, [{url!r}], {SHA256!r}, {len(BODY)}, folder={str(tmp_path)!r},"
        " progress=False))"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    both_run.set()
    answers = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert answers == [str(tmp_path / NAME)] * 2
    assert [process.returncode for process in processes] == [0, 0]
    assert served.requests == 1
    assert (tmp_path / NAME).read_bytes() == BODY


def test_progress_counts_bytes_and_can_be_silenced(server, tmp_path, capsys):
    _, url = server.serve("f", BODY)
    get(tmp_path / "silent", url)
    assert capsys.readouterr().err == ""
    fetch(NAME, [url], SHA256, len(BODY), folder=tmp_path / "shown")
    assert "data.bin: 100%" in capsys.readouterr().err


def test_the_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("TLCOURSE_DATA", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.setenv("TLCOURSE_DATA", "~/data")
    assert "~" not in str(cache_dir())
    monkeypatch.delenv("TLCOURSE_DATA")
    assert cache_dir() == fetching.Path(fetching.platformdirs.user_cache_dir("tlcourse", False))


def test_a_folder_is_writable_if_a_file_can_be_made_in_it(tmp_path, monkeypatch):
    assert is_writable(tmp_path) and is_writable(tmp_path / "not" / "yet")
    assert list(tmp_path.iterdir()) == []

    def denied(**_):
        raise PermissionError("read-only")

    # On Windows os.access says yes where this happens.
    monkeypatch.setattr("tempfile.TemporaryFile", denied)
    assert not is_writable(tmp_path)
