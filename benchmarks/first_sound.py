"""Seconds from starting the command to the first sound, cold and warm.

    python benchmarks/first_sound.py [CHECKPOINT] [--rounds 5] [--engine cuda]

Cold: without caches of compiled code or weights from an earlier start (but with the files in the page cache). Warm: the
same command again. `--stdout` is timed to the first byte of a sample in the pipe, `--play` to the first non-zero sample
in a block that the device requests; a substitute for sounddevice requests 10 ms blocks in its own thread. Without
CHECKPOINT, a checkpoint of the preset `small` with random weights is used.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEADER_BYTES = 44

FAKE_SOUNDDEVICE = """
import os, pathlib, threading, time
import numpy as np

class PortAudioError(Exception):
    pass

def query_hostapis():
    return [{"name": "fake"}]

def query_devices(kind=None):
    device = dict(index=0, name="fake", hostapi=0, max_output_channels=1, default_samplerate=16000.0)
    return device if kind else [device]

class OutputStream:
    latency, active = 0.0, True

    def __init__(self, samplerate, device, channels, dtype, latency, callback):
        self.samplerate, self.callback = samplerate, callback
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        block = np.zeros((self.samplerate // 100, 1), np.int16)
        status = type("Status", (), {"output_underflow": False})
        while self.active:
            self.callback(block, len(block), None, status)
            if block.any():
                pathlib.Path(os.environ["FIRST_SOUND"]).write_text(repr(time.time()))
                os._exit(0)
            time.sleep(0.01)

    def start(self):
        self.thread.start()

    def stop(self):
        self.active = False

    abort = close = stop
"""


def seconds_to_pipe(command: list[str], environment: dict[str, str]) -> float:
    """Returns the seconds to the first sample in the pipe."""
    began = time.time()
    process = subprocess.Popen([*command, "--stdout"], env=environment, stdout=subprocess.PIPE, stderr=sys.stderr)
    assert process.stdout is not None
    process.stdout.read(HEADER_BYTES + 2)
    elapsed = time.time() - began
    process.stdout.close()
    process.wait()
    return elapsed


def seconds_to_device(command: list[str], environment: dict[str, str], folder: Path) -> float:
    """Returns the seconds to the first non-zero sample in a block of the device."""
    (folder / "sounddevice.py").write_text(FAKE_SOUNDDEVICE, encoding="utf-8")
    time_file = folder / "first_sound"
    began = time.time()
    paths = os.pathsep.join([str(folder), str(ROOT)])
    environment = {**environment, "PYTHONPATH": paths, "FIRST_SOUND": str(time_file)}
    subprocess.run([*command, "--play"], env=environment, check=True, stdout=sys.stderr)
    return float(time_file.read_text(encoding="utf-8")) - began


def seconds_to_import(module: str) -> float:
    """Returns the seconds that Python takes to start and import a module."""
    began = time.time()
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
    return time.time() - began


def write_random(path: Path) -> None:
    """Writes a checkpoint of the preset `small` with random weights."""
    import torch

    from wavenet_app.checkpoints.trained import KIND, plain_config
    from wavenet_app.config import preset
    from wavenet_app.core.checkpoint import write_checkpoint
    from wavenet_app.network.model import WaveNet

    config = preset("small")
    model = WaveNet(config.model, torch.Generator().manual_seed(0))
    write_checkpoint(path, KIND, {"config": plain_config(config), "weights": model.state_dict()})


def main() -> None:
    """Times all starts and prints their medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=5, help="number of warm starts; there are fewer cold ones")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--quiet", action="store_true", help="hide the output of the command")
    arguments = parser.parse_args()
    if arguments.quiet:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open until the process ends
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        checkpoint = arguments.checkpoint
        if checkpoint is None:
            checkpoint = folder / "small.pth"
            write_random(checkpoint)
        print(f"engine {arguments.engine}")
        for module in ("numpy", "numba", "torch"):
            print(f"import {module} only: {min(seconds_to_import(module) for _ in range(2)):.2f} s", flush=True)
        for way in ("--stdout", "--play"):
            cold, warm = [], []
            for attempt in range(max(1, arguments.rounds // 3)):
                cache = folder / f"{way}{attempt}"
                compiled = {name: str(cache / name) for name in ("NUMBA_CACHE_DIR", "TRITON_CACHE_DIR")}
                environment = {**os.environ, **compiled, "PYTHONPATH": str(ROOT)}
                command = [sys.executable, "-m", "cli", "sample", str(checkpoint.resolve())]
                command += ["--seconds", "10", "--data-dir", str(cache / "data"), "--engine", arguments.engine]
                for _ in range(1 + arguments.rounds):
                    if way == "--stdout":
                        elapsed = seconds_to_pipe(command, environment)
                    else:
                        elapsed = seconds_to_device(command, environment, folder)
                    (warm if len(cold) > attempt else cold).append(elapsed)
            print(
                f"{way}: cold {statistics.median(cold):.2f} s ({len(cold)}), warm median "
                f"{statistics.median(warm):.2f} s, minimum {min(warm):.2f} s ({len(warm)})",
                flush=True,
            )


if __name__ == "__main__":
    main()
