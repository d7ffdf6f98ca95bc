"""Generation at its edges: a million samples in one go, and checkpoints of odd sizes through the command line."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from random_checkpoint import write_random_checkpoint
from random_nets import SHAPES, random_net

from fast_gen.engines.cpu.engine import NumbaCpu
from fast_gen.engines.reference import TorchQueue
from fast_gen.engines.sampling import SamplingSettings, uniforms
from fast_gen.engines.weights import GeneratorWeights
from fast_gen.generation.stream import stream
from wavenet_app.coding import MuLawCoding
from wavenet_app.config import ModelConfig, preset

ROOT = Path(__file__).resolve().parents[3]
MILLION = 1_000_000
WIDE = ModelConfig(residual_channels=50, dilation_channels=33, skip_channels=70, kernel_size=3, dilations=(1, 9_000))


@pytest.mark.slow
@pytest.mark.parametrize("model", [*SHAPES.values(), WIDE], ids=[*SHAPES, "wide and far"])
def test_odd_sizes_sound_alike_from_both_engines(wavegen, tmp_path, model):
    write_random_checkpoint(tmp_path / "odd.pth", model, sample_rate=8_000)
    sounds = {}
    for engine in ("cpu", "torch"):
        assert wavegen("sample", "odd.pth", "--seconds", 0.1, "--engine", engine, "--out", f"{engine}.wav").code == 0
        sounds[engine] = soundfile.read(tmp_path / f"{engine}.wav", dtype="int16")[0]
    assert len(sounds["cpu"]) == 800
    np.testing.assert_array_equal(sounds["cpu"], sounds["torch"])


@pytest.mark.slow
def test_after_a_million_samples_the_reference_would_go_on_the_same():
    weights = GeneratorWeights.of(random_net(preset("tiny").model))
    settings, following = SamplingSettings(temperature=0.9), 400
    engine = NumbaCpu(weights)
    assert weights.prediction is not None
    # so much that the running mean forgets what lies before, and a whole number of hops from the engine's own start
    past = weights.context + 2_000
    past += (weights.context + MILLION - following - past) % weights.prediction.step
    chunks = stream(engine, num_samples=MILLION, seed=1, settings=settings)
    kept = np.zeros(0, dtype=np.int16)
    for chunk in chunks:
        kept = np.concatenate([kept, MuLawCoding().encode(chunk[0])])[-(past + following) :]
    reference = TorchQueue(weights)
    reference.prime(kept[None, :-following])
    numbers = uniforms(1, rows=1, start=MILLION - following, length=following)
    np.testing.assert_array_equal(reference.generate(numbers, settings)[0], kept[-following:])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_a_million_samples_take_no_more_memory_than_the_first(tmp_path):
    checkpoint = write_random_checkpoint(tmp_path / "noise.pth", preset("tiny").model)
    command = [sys.executable, str(ROOT / "cli.py"), "sample", str(checkpoint), "--stdout", "--forever"]
    process = subprocess.Popen(
        [*command, f"--data-dir={tmp_path}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ}
    )
    assert process.stdout is not None

    def peak_after(samples):
        assert len(process.stdout.read(2 * samples)) == 2 * samples
        lines = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024

    early, late = peak_after(20_000), peak_after(MILLION)
    process.stdout.close()
    assert process.wait(60) == 0
    assert late - early < 4e6
