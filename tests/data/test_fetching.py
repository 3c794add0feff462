"""Each test turns red for one way in which a download can lose, mix up or trust wrong bytes."""

import hashlib
import subprocess
import sys
import threading
import zipfile

import pytest
from local_server import local_server

from tlcourse.data import fetching
from tlcourse.data.fetching import DownloadError, cache_dir, extract_zip, fetch

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


@pytest.mark.parametrize("manner", ["normal", "slow", "no length"])
def test_a_download_arrives_whole_and_in_place(server, tmp_path, manner):
    _, url = server.serve("f", BODY, manner=manner)
    path = get(tmp_path, url)
    assert path == tmp_path / NAME
    assert path.read_bytes() == BODY
    assert not leftovers(tmp_path)


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


def test_a_server_that_dies_half_way_is_asked_for_the_rest_only(server, tmp_path):
    served, url = server.serve("f", BODY, manner="dies half-way")
    assert get(tmp_path, url).read_bytes() == BODY
    assert served.ranges == [None, f"bytes={len(BODY) // 2}-"]
    assert served.bytes_sent == len(BODY)


def test_a_part_of_an_earlier_session_is_resumed(server, tmp_path):
    served, url = server.serve("f", BODY)
    leave_part(tmp_path, BODY[:1000])
    assert get(tmp_path, url).read_bytes() == BODY
    assert served.ranges == ["bytes=1000-"]
    assert served.bytes_sent == len(BODY) - 1000
    assert not leftovers(tmp_path)


def test_a_complete_part_is_used_without_a_request(server, tmp_path):
    served, url = server.serve("f", BODY)
    leave_part(tmp_path, BODY)
    assert get(tmp_path, url).read_bytes() == BODY
    assert served.requests == 0


@pytest.mark.parametrize(
    ("manner", "requests"), [("ignores range", 1), ("refuses range", 2), ("no length", 1)]
)
def test_a_server_that_cannot_resume_sends_all(server, tmp_path, manner, requests):
    served, url = server.serve("f", BODY, manner=manner)
    leave_part(tmp_path, BODY[:1000])
    assert get(tmp_path, url).read_bytes() == BODY
    assert served.requests == requests


def test_another_range_than_asked_for_is_not_appended(server, tmp_path):
    _, wrong = server.serve("wrong", BODY, manner="wrong range")
    served, right = server.serve("right", BODY)
    leave_part(tmp_path, BODY[:1000])
    assert get(tmp_path, wrong, right).read_bytes() == BODY
    assert served.ranges == ["bytes=1000-"]


@pytest.mark.parametrize("part", [b"wrong start", BODY + b"too long", b"x" * len(BODY)])
def test_a_part_that_is_wrong_is_fetched_anew(server, tmp_path, part):
    _, url = server.serve("f", BODY)
    leave_part(tmp_path, part)
    assert get(tmp_path, url).read_bytes() == BODY
    assert not leftovers(tmp_path)


def test_an_error_page_does_not_cost_the_part(server, tmp_path):
    _, portal = server.serve("portal", b"<html>please log in</html>", manner="ignores range")
    served, url = server.serve("f", BODY)
    leave_part(tmp_path, BODY[:1000])
    assert get(tmp_path, portal, url).read_bytes() == BODY
    assert served.ranges == ["bytes=1000-"]


def test_after_wrong_bytes_and_404_the_next_mirror_is_used(server, tmp_path):
    wrong, wrong_url = server.serve("wrong", b"x" * len(BODY))
    right, right_url = server.serve("right", BODY)
    path = get(tmp_path, server.url("missing"), wrong_url, right_url)
    assert path.read_bytes() == BODY
    assert (wrong.requests, right.requests) == (1, 1)
    assert right.ranges == [None]
    assert server.missed == ["/missing"]


def test_wrong_bytes_alone_leave_nothing_behind(server, tmp_path):
    _, url = server.serve("f", b"x" * len(BODY))
    with pytest.raises(DownloadError, match="wrong bytes"):
        get(tmp_path, url)
    assert not (tmp_path / NAME).exists()
    assert not leftovers(tmp_path)


def test_a_body_without_end_is_cut_at_the_known_size(server, tmp_path):
    endless, url = server.serve("f", b"x" * 50_000_000, manner="no length")
    with pytest.raises(DownloadError, match="wrong bytes"):
        get(tmp_path, url)
    assert endless.bytes_sent < len(endless.body)
    assert not leftovers(tmp_path)


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


def test_a_zip_is_unpacked_whole(tmp_path):
    archive = make_zip(tmp_path, {"a/one.txt": b"1", "a/b/two words.txt": b"22"})
    extract_zip(archive, tmp_path / "out", max_bytes=3)
    assert (tmp_path / "out/a/one.txt").read_bytes() == b"1"
    assert (tmp_path / "out/a/b/two words.txt").read_bytes() == b"22"
    assert names_in(tmp_path) == {"archive.zip", "out"}


@pytest.mark.parametrize(
    "name",
    [
        "../evil.txt",
        "a/../../evil.txt",
        "/evil.txt",
        "C:/evil.txt",
        "C:evil.txt",
        "..\\evil.txt",
        "\\\\server\\evil.txt",
    ],
)
def test_a_zip_that_climbs_out_writes_nothing(tmp_path, name):
    (tmp_path / "inner").mkdir()
    archive = make_zip(tmp_path / "inner", {"good.txt": b"1", name: b"evil"})
    with pytest.raises(ValueError, match="leads out of the folder"):
        extract_zip(archive, tmp_path / "inner/out", max_bytes=100)
    assert names_in(tmp_path) == {"inner"}
    assert names_in(tmp_path / "inner") == {"archive.zip"}


def test_a_zip_with_a_link_writes_nothing(tmp_path):
    link = zipfile.ZipInfo("link")
    link.create_system = 3
    link.external_attr = 0o120777 << 16
    archive = make_zip(tmp_path, {link: b"/etc"})
    with pytest.raises(ValueError, match="link 'link'"):
        extract_zip(archive, tmp_path / "out", max_bytes=100)
    assert names_in(tmp_path) == {"archive.zip"}


def test_a_zip_bomb_writes_nothing(tmp_path):
    archive = make_zip(tmp_path, {"zeros": bytes(1_000_000)})
    with pytest.raises(ValueError, match="1,000,000 bytes, more than max_bytes=999,999"):
        extract_zip(archive, tmp_path / "out", max_bytes=999_999)
    assert names_in(tmp_path) == {"archive.zip"}


def test_a_damaged_zip_leaves_no_folder(tmp_path):
    archive = make_zip(tmp_path, {"one": b"first", "two": b"second"})
    archive.write_bytes(archive.read_bytes().replace(b"second", b"SECOND", 1))
    with pytest.raises(zipfile.BadZipFile):
        extract_zip(archive, tmp_path / "out", max_bytes=100)
    assert names_in(tmp_path) == {"archive.zip"}


def test_a_folder_that_is_there_is_not_unpacked_over(tmp_path):
    archive = make_zip(tmp_path, {"one": b"1"})
    (tmp_path / "out").mkdir()
    with pytest.raises(FileExistsError, match="already there"):
        extract_zip(archive, tmp_path / "out", max_bytes=100)
    assert names_in(tmp_path / "out") == set()


def leave_part(folder, content):
    """Leave behind what an interrupted download left."""
    part = folder / f"{NAME}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(content)


def make_zip(folder, members):
    """Write an uncompressed zip with these members, whatever their names."""
    path = folder / "archive.zip"
    with zipfile.ZipFile(path, "w") as zipped:
        for name, content in members.items():
            zipped.writestr(name, content)
    return path


def names_in(folder):
    return {path.name for path in folder.iterdir()}
