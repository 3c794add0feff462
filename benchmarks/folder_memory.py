"""Load a folder of 20,000 photographs at 224 pixels and extract features: peak memory and time.

    python benchmarks/folder_memory.py > benchmarks/results/folder_memory.txt

The folder is made here, in a temporary place: JPEG files of 320 x 240 pixels, each from other
random colours, smoothly enlarged, so they compress and decode as a photograph of this size does
but are smaller than a camera's. Each case runs in a fresh process, whose peak resident memory
the system tells; Python, NumPy and PyTorch are in it. "colours" is no net: it averages each
picture to 8 x 8 colours, so its time is that of reading. MobileNetV2 is untrained.
"""

import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

N, SIZE = 20_000, 224


def make_folder(folder, n):
    """Write n different JPEG files in two class folders."""
    for name in ("cold", "warm"):
        (folder / name).mkdir(parents=True)

    def make(number):
        rng = np.random.default_rng(number)
        colours = rng.integers(0, 256, (15, 20, 3), dtype=np.uint8)
        photo = Image.fromarray(colours).resize((320, 240), Image.Resampling.BICUBIC)
        photo.save(folder / ("cold", "warm")[number % 2] / f"{number:05d}.jpg", quality=90)

    with ThreadPoolExecutor() as pool:
        list(pool.map(make, range(n)))
    return sum(file.stat().st_size for file in folder.glob("*/*.jpg"))


def peak_gb():
    """Peak resident memory of this process so far, in GB (Linux tells KiB, macOS bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9


def measure(folder, net, n_features):
    """Load a folder, extract the features of some pictures, and print a row."""
    import torch

    import tlcourse.torch as tl
    from tlcourse import data

    colours = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(8), torch.nn.Flatten())
    model = colours if net == "colours" else tl.backbone(net)
    imported = peak_gb()
    start = time.perf_counter()
    domain = data.load_image_folder(folder, size=SIZE, validation_share=0).train
    loading, loaded = time.perf_counter() - start, peak_gb()
    some = domain.subset(np.random.default_rng(0).permutation(len(domain))[:n_features])
    start = time.perf_counter()
    features = tl.extract_features(model, some.inputs, device="cpu")
    extracting = time.perf_counter() - start
    where = repr(domain.inputs).rstrip(")").rpartition(", ")[2]
    print(
        f"{len(domain):6,} {where:18} {loading:8.1f} s {imported:7.2f} {loaded:6.2f}  "
        f"{net:12} {len(features):6,} {1000 * extracting / len(features):8.1f} ms {peak_gb():8.2f}",
        flush=True,
    )
    if net == "mobilenet_v2":
        print(f"       (torch {torch.__version__}, {torch.get_num_threads()} threads)", flush=True)


def main():
    float_gb = N * SIZE * SIZE * 3 * 4 / 1e9
    print(f"{N:,} pictures of {SIZE} pixels are {float_gb:.1f} GB as float32, a quarter as bytes")
    with tempfile.TemporaryDirectory() as scratch:
        for n in (N, N // 4):
            written = make_folder(Path(scratch, str(n)), n)
            print(f"{n:,} JPEG files written, {written / 1e6:.0f} MB", flush=True)
        print(
            "                               load    peak GB      extract                    peak GB"
        )
        print(
            "pictures                       time   before  after  features of          "
            "a picture  (wanted: < 2)",
            flush=True,
        )
        cases = ((N, "colours", N), (N, "mobilenet_v2", 256), (N // 4, "colours", N // 4))
        for n, net, n_features in cases:
            command = [sys.executable, __file__, Path(scratch, str(n)), net, str(n_features)]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    else:
        main()
