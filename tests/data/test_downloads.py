"""The downloaded domains, on tiny files in the real formats: no network, no real data."""

import bz2
import gzip
import hashlib
import io
import struct
import zipfile
from contextlib import contextmanager

import numpy as np
import pytest
from local_server import local_server
from PIL import Image

from tlcourse import data
from tlcourse.data import downloads
from tlcourse.data.downloads import (
    DOWNLOADS,
    RemoteFile,
    fetch_download,
    load_download,
    read_idx,
    resize_images,
)
from tlcourse.data.fetching import DownloadError

MIRRORS = {name: download.mirrors for name, download in DOWNLOADS.items()}


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """Give each test an empty cache and no way to the real mirrors."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("TLCOURSE_DATA", str(tmp_path / "cache"))
    monkeypatch.delenv("TLCOURSE_MIRROR", raising=False)
    for name, download in DOWNLOADS.items():
        monkeypatch.setitem(DOWNLOADS, name, download._replace(mirrors=("http://127.0.0.1:9/",)))
    return tmp_path / "cache"


def idx(array):
    """Encode bytes as LeCun's page describes the idx format."""
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return gzip.compress(header + array.tobytes())


def place(cache, path, content):
    """Put a file into the cache; return what the table would say of it."""
    (cache / path).parent.mkdir(parents=True, exist_ok=True)
    (cache / path).write_bytes(content)
    return RemoteFile(path, len(content), hashlib.sha256(content).hexdigest())


def expect(monkeypatch, name, **files):
    """Make the table expect these files."""
    files = {part: tuple(remote) for part, remote in files.items()}
    monkeypatch.setitem(DOWNLOADS, name, DOWNLOADS[name]._replace(files=files))


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_idx_files_become_images_of_32_pixels_with_a_black_border(monkeypatch, cache, name):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    labels = np.array([7, 0, 9], dtype=np.uint8)
    folder = DOWNLOADS[name].folder
    images_file = place(cache, f"{folder}/t10k-images-idx3-ubyte.gz", idx(pixels))
    labels_file = place(cache, f"{folder}/t10k-labels-idx1-ubyte.gz", idx(labels))
    expect(monkeypatch, name, test=[images_file, labels_file])
    domain = load_download(name, part="test", progress=False)
    assert domain.inputs.shape == (3, 32, 32, 1)
    assert domain.inputs.dtype == np.float32
    np.testing.assert_allclose(domain.inputs[:, 2:-2, 2:-2, 0] * 255, pixels, atol=1e-4)
    assert domain.inputs.sum() == pytest.approx(pixels.sum() / 255, rel=1e-5)
    assert domain.labels.tolist() == [7, 0, 9]
    assert domain.n_classes == 10
    assert load_download(name, part="test", size=28).inputs.shape == (3, 28, 28, 1)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no idx file"),
        (b"\0\0\x08", "no idx file"),
        (b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", "no idx file"),  # floats
        (b"\0\0\x08\x03\0\0\0\x01", "no idx file"),  # header cut short
        (b"\0\0\x08\x01\0\0\0\x02\x05", "holds 1 bytes"),
        (b"\0\0\x08\x01\0\0\0\x02\x05\x06\x07", "holds 3 bytes"),
        (b"\0\0\x08\x02\xff\xff\xff\xff\xff\xff\xff\xff", "holds 0 bytes"),  # no overflow
    ],
)
def test_a_file_that_is_no_idx_file_is_refused(tmp_path, content, reason):
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(ValueError, match=reason):
        read_idx(path)


def test_usps_ink_becomes_0_to_1_and_classes_start_at_0(monkeypatch, cache):
    ink = np.linspace(-1, 1, 256)
    sparse = {1: -1.0, 256: 1.0}  # what a libsvm file leaves out is 0
    lines = [
        "10 " + " ".join(f"{i}:{value:.6f}" for i, value in enumerate(ink, 1)),
        "1 " + " ".join(f"{i}:{value}" for i, value in sparse.items()),
    ]
    remote = place(cache, "USPS/usps.bz2", bz2.compress("\n".join(lines).encode() + b"\n"))
    expect(monkeypatch, "usps", train=[remote])
    domain = load_download("usps", size=16, progress=False)
    assert domain.inputs.shape == (2, 16, 16, 1)
    np.testing.assert_allclose(domain.inputs[0].ravel(), (ink + 1) / 2, atol=1e-6)
    assert domain.inputs[1, 0, 0, 0] == 0
    assert domain.inputs[1, 15, 15, 0] == 1
    assert domain.inputs[1, 8, 8, 0] == 0.5
    assert domain.labels.tolist() == [9, 0]
    assert "LIBSVM" in domain.origin
    assert load_download("usps", progress=False).inputs.shape == (2, 32, 32, 1)


def test_usps_is_only_what_is_downloaded(cache):
    """A second file of other grey levels once stood in: train and test could differ by it."""
    place(cache, "USPS/usps_esl_uint8.npz", b"sharp digits of another publication")
    with pytest.raises(DownloadError, match="usps.t.bz2"):
        load_download("usps", part="test", progress=False)


def jpeg(colour):
    """Make a small wide photograph of one colour."""
    file = io.BytesIO()
    Image.new("RGB", (90, 60), colour).save(file, "JPEG")
    return file.getvalue()


PICTURES = {
    "train/ants/one.jpg": jpeg((255, 0, 0)),
    "train/bees/ant photos.jpg": jpeg((0, 0, 255)),
    "val/bees/two.jpg": jpeg((0, 255, 0)),
}


@pytest.fixture
def archive(monkeypatch):
    """Make a small archive like the real one, with its stray file, and let the table expect it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        for path, content in PICTURES.items():
            zipped.writestr(f"hymenoptera_data/{path}", content)
        zipped.writestr("hymenoptera_data/train/ants/imageNotFound.gif", b"GIF89a")
    expect_pictures(monkeypatch, file.getvalue())
    return file.getvalue()


def expect_pictures(monkeypatch, content):
    """Make the table expect this archive with the pictures above."""
    remote = RemoteFile("hymenoptera_data.zip", len(content), hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(downloads, "_ANTS_BEES_ZIP", remote)
    hashes = {path: hashlib.sha256(picture).hexdigest() for path, picture in PICTURES.items()}
    monkeypatch.setattr(downloads, "_picture_hashes", lambda: hashes)


def test_photographs_come_from_the_readers_mirror_and_only_once(monkeypatch, cache, archive):
    with local_server() as server:
        served, url = server.serve("class/hymenoptera_data.zip", archive)
        monkeypatch.setenv("TLCOURSE_MIRROR", url.removesuffix("hymenoptera_data.zip"))
        train = load_download("ants-bees", progress=False)
        test = load_download("ants-bees", part="test", size=8, progress=False)
    assert served.requests == 1
    assert train.inputs.shape == (2, 64, 64, 3)
    assert train.labels.tolist() == [0, 1]
    np.testing.assert_allclose(train.inputs[0, 32, 32], [1, 0, 0], atol=0.02)
    np.testing.assert_allclose(train.inputs[1, 32, 32], [0, 0, 1], atol=0.02)
    assert test.inputs.shape == (1, 8, 8, 3)
    assert test.labels.tolist() == [1]
    assert fetch_download("ants-bees") == cache / "hymenoptera_data"
    assert not [path.name for path in cache.iterdir() if path.name.startswith("unpacking")]


def test_pictures_that_another_process_unpacked_meanwhile_are_used(monkeypatch, cache, archive):
    place(cache, "hymenoptera_data.zip", archive)

    @contextmanager
    def wait_for_the_other(folder):
        for path, content in PICTURES.items():
            place(cache, f"hymenoptera_data/{path}", content)
        yield

    monkeypatch.setattr(downloads, "locked", wait_for_the_other)
    assert len(load_download("ants-bees")) == 2


def test_an_archive_whose_pictures_differ_is_not_moved_into_place(monkeypatch, cache, archive):
    place(cache, "hymenoptera_data.zip", archive)
    monkeypatch.setattr(downloads, "_picture_hashes", lambda: {"train/ants/one.jpg": "0" * 64})
    with pytest.raises(DownloadError, match="train/ants/one.jpg"):
        fetch_download("ants-bees")
    assert not (cache / "hymenoptera_data").exists()


@pytest.mark.parametrize(
    "name", ["hymenoptera_data/../../evil.jpg", "/evil.jpg", "..\\evil.jpg", "C:/evil.jpg"]
)
def test_an_archive_that_climbs_out_writes_nothing_outside(monkeypatch, cache, name):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr(name, b"evil")
    expect_pictures(monkeypatch, file.getvalue())
    place(cache, "hymenoptera_data.zip", file.getvalue())
    with pytest.raises(DownloadError, match="not complete"):
        load_download("ants-bees")
    assert not list(cache.parent.rglob("*evil.jpg"))
    assert {path.name for path in cache.iterdir()} <= {
        "hymenoptera_data.zip",
        "hymenoptera_data.zip.lock",
        "hymenoptera_data.lock",
    }


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_a_damaged_folder_is_named_and_left_alone(cache, archive, damage):
    for path, content in PICTURES.items():
        place(cache, f"hymenoptera_data/{path}", content)
    assert len(load_download("ants-bees")) == 2
    victim = cache / "hymenoptera_data/val/bees/two.jpg"
    victim.unlink() if damage == "missing" else victim.write_bytes(b"another picture")
    with pytest.raises(DownloadError, match="val/bees/two.jpg"):
        load_download("ants-bees")
    assert (cache / "hymenoptera_data/train/ants/one.jpg").read_bytes()


@pytest.mark.parametrize("name", sorted(DOWNLOADS))
def test_without_network_the_error_names_an_embedded_domain_that_loads(cache, name):
    from tlcourse.data import embedded

    first = DOWNLOADS[name].files["test"][0]
    with pytest.raises(DownloadError) as caught:
        load_download(name, part="test", progress=False)
    text = str(caught.value)
    for needed in (
        first.path,
        first.sha256,
        str(cache / first.path),
        "TLCOURSE_DATA",
        "http://127.0.0.1:9/" + first.path.rpartition("/")[2],
        f'load("{DOWNLOADS[name].stand_in}")',
    ):
        assert needed in text
    assert hasattr(embedded, DOWNLOADS[name].stand_in.replace("-", "_"))


def test_all_parts_are_fetched_unless_one_is_named(monkeypatch, cache):
    with local_server() as server:
        files = {}
        for part in ("train", "test"):
            server.serve(f"USPS/{part}", part.encode())
            sha256 = hashlib.sha256(part.encode()).hexdigest()
            files[part] = [RemoteFile(f"USPS/{part}", len(part), sha256)]
        expect(monkeypatch, "usps", **files)
        elsewhere = DOWNLOADS["usps"]._replace(mirrors=(server.url("elsewhere/"),))
        monkeypatch.setitem(DOWNLOADS, "usps", elsewhere)
        monkeypatch.setenv("TLCOURSE_MIRROR", server.url(""))
        fetch_download("usps", part="test", progress=False)
        assert not (cache / "USPS/train").exists()
        assert fetch_download("usps", progress=False) == cache / "USPS"
        assert server.missed == []  # the reader's mirror comes first
    assert (cache / "USPS/train").read_bytes() == b"train"


def test_digits_come_from_the_first_mirror_that_has_them_right(monkeypatch, cache):
    """One mirror is empty and one spoilt; what the third one gives is read, and never asked again.

    USPS as LIBSVM writes it, MNIST as LeCun does.
    """
    pixels = np.random.default_rng(0).integers(0, 256, (2, 28, 28), dtype=np.uint8)
    lines = b"7 1:1 2:-1 256:0.5\n1 3:1\n"
    files = {
        "usps": [("usps.bz2", bz2.compress(lines))],
        "mnist": [
            ("train-images-idx3-ubyte.gz", idx(pixels)),
            ("train-labels-idx1-ubyte.gz", idx(np.array([6, 0], dtype=np.uint8))),
        ],
    }
    with local_server() as server:
        for name, parts in files.items():
            remote, folder = [], DOWNLOADS[name].folder
            for file, content in parts:
                server.serve(f"spoilt/{file}", content[::-1])
                server.serve(f"right/{file}", content)
                sha256 = hashlib.sha256(content).hexdigest()
                remote.append(RemoteFile(f"{folder}/{file}", len(content), sha256))
            expect(monkeypatch, name, train=remote)
            mirrors = tuple(server.url(f"{place}/") for place in ("empty", "spoilt", "right"))
            download = DOWNLOADS[name]._replace(mirrors=mirrors)
            monkeypatch.setitem(DOWNLOADS, name, download)
            assert data.load(name).labels.tolist() == [6, 0]
    usps, mnist = (data.load(name).inputs for name in files)  # the server is gone
    np.testing.assert_allclose(mnist[:, 2:-2, 2:-2, 0] * 255, pixels, atol=1e-4)
    assert usps.shape == mnist.shape == (2, 32, 32, 1)
    assert usps[0, 0, 0] == pytest.approx(1) and usps[1, -1, -1] == pytest.approx(0.5)


def test_the_digits_have_a_mirror_in_china():
    """Its files are the same bytes: PaddlePaddle pins their MD5, which are those of the originals.

    The SHA-256 in the table were computed from files with these MD5.
    """
    for name in ("mnist", "fashion-mnist"):
        assert any(".bcebos.com/" in mirror for mirror in MIRRORS[name])
    assert all(len(mirrors) >= 2 for name, mirrors in MIRRORS.items() if "mnist" in name)
    for mirrors in MIRRORS.values():
        assert len(set(mirrors)) == len(mirrors) and all(url.endswith("/") for url in mirrors)


def test_names_and_parts_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match="'cifar'; downloads are mnist, fashion-mnist, usps, ants"):
        load_download("cifar")
    for part in ("val", None):
        with pytest.raises(ValueError, match="choose 'train' or 'test'"):
            load_download("mnist", part=part)


def test_the_table_is_complete():
    """A typing slip in a hash would only show when somebody downloads."""
    for download in DOWNLOADS.values():
        assert list(download.files) == ["train", "test"]
        for file in sum(download.files.values(), ()):
            assert len(bytes.fromhex(file.sha256)) == 32
            assert file.sha256 == file.sha256.lower()
            assert file.path.startswith(download.folder)
    listed = downloads._picture_hashes()
    assert len(listed) == 397
    counts = {
        folder: sum(path.startswith(folder) for path in listed)
        for folder in ("train/ants/", "train/bees/", "val/ants/", "val/bees/")
    }
    assert list(counts.values()) == [123, 121, 70, 83]
    assert all(len(bytes.fromhex(sha256)) == 32 for sha256 in listed.values())


def test_resizing_keeps_constants_and_each_channel_apart():
    images = np.zeros((1, 16, 16, 3), dtype=np.float32)
    images[..., 1] = 0.25
    images[:, :, 8:, 2] = 1
    large = resize_images(images, 32)
    assert large.shape == (1, 32, 32, 3)
    np.testing.assert_allclose(large[..., :2], np.broadcast_to([0, 0.25], (1, 32, 32, 2)))
    # Bilinear by the pixels' middles: the edge is crossed in quarters, to the right only.
    np.testing.assert_allclose(large[0, 5, 13:19, 2], [0, 0, 0.25, 0.75, 1, 1], atol=1e-6)
