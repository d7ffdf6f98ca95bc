"""Compiled code that is kept on disk: several processes at a first start must not get each other's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

FIRST_START = """
import sys
import numpy as np
from pathlib import Path
from wavenet_app.compiling.code_cache import CodeCache

cache = CodeCache("test", [Path(sys.argv[1])])

@cache.compiled(allocates=False)
def double(values):
    for place in range(len(values)):
        values[place] = values[place] * 2 + 1

values = np.arange(5).astype(sys.argv[2])
double(values)
assert values.tolist() == [1, 3, 5, 7, 9], values
"""


@pytest.mark.slow
def test_processes_that_compile_at_once_get_their_own_code(tmp_path):
    script = tmp_path / "first_start.py"
    script.write_text(FIRST_START, encoding="utf-8")
    kinds = ["float32", "float64", "int64", "int32"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    for _ in range(2):  # compiled the first time, found the second
        started = [
            subprocess.Popen([sys.executable, script, script, kind], env=environment, stderr=subprocess.PIPE, text=True)
            for kind in kinds
        ]
        for process in started:
            error = process.communicate(timeout=120)[1]
            assert process.returncode == 0, error
    assert len(list((tmp_path / "cache").rglob("*.nbc"))) == len(kinds)
