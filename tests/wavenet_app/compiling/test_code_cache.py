"""Compiled code that is kept on disk: what it depends on, and several processes at a first start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fast_gen.engines.cpu import functions as engine
from wavenet_app.compiling.code_cache import CodeCache
from wavenet_app.network.prediction import compiled as prediction
from wavenet_app.network.stack import functions as kernels

ROOT = Path(__file__).resolve().parents[3]

FIRST_START = """
import sys
import numpy as np
from pathlib import Path
from wavenet_app.compiling.code_cache import CodeCache
from wavenet_app.compiling.kept_function import KeptFunction

double = KeptFunction("doubled", "double", CodeCache("test", [Path(sys.argv[1])]))
values = np.arange(5).astype(sys.argv[2])
double(values)
assert values.tolist() == [1, 3, 5, 7, 9], values
print("numba" in sys.modules)
"""

DOUBLED = """
from wavenet_app.compiling.table_entry import arguments

def double(call):
    (values,) = arguments(call)
    for place in range(len(values)):
        values[place] = values[place] * 2 + 1
"""


@pytest.mark.slow
def test_processes_that_compile_at_once_get_their_own_code_and_compile_each_kind_once(tmp_path):
    source = tmp_path / "doubled.py"
    source.write_text(DOUBLED, encoding="utf-8")
    kinds = ["float32", "float64", "int64", "int32"]
    paths = {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}", "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    for together in (kinds + kinds[:1], kinds):  # compiled the first time, found the second
        started = [
            subprocess.Popen(
                [sys.executable, "-c", FIRST_START, source, kind],
                env={**os.environ, **paths},
                stdout=subprocess.PIPE,
                text=True,
            )
            for kind in together
        ]
        with_numba = [process.communicate(timeout=120)[0].strip() for process in started]
        assert [process.returncode for process in started] == [0] * len(started)
        assert with_numba.count("True") == (len(kinds) if together is not kinds else 0)
    assert len(list((tmp_path / "cache").rglob("*.code"))) == len(kinds)


@pytest.mark.parametrize("sources", [[], [Path(__file__), Path(__file__).with_name("nothing.py")]])
def test_a_source_file_that_is_missing_is_an_error(sources: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from wavenet_app.compiling import code_cache

    monkeypatch.setattr(code_cache, "_CALLING", ())
    with pytest.raises(ValueError, match="no source file" if not sources else r"nothing\.py"):
        assert CodeCache("test", sources).folder


REACHED = """
import importlib, sys
import fast_gen, wavenet_app  # the packages themselves, which compiled functions do not read
before = set(sys.modules)
importlib.import_module(sys.argv[1])
for name in set(sys.modules) - before:
    print(getattr(sys.modules[name], "__file__", None))
"""


@pytest.mark.parametrize(
    ("module", "cache"),
    [
        ("fast_gen.engines.cpu.loop", engine.CACHE),
        ("wavenet_app.network.stack.kernels", kernels.CACHE),
        ("wavenet_app.network.prediction.kernel", prediction.CACHE),
    ],
    ids=["engine", "kernels", "prediction"],
)
def test_the_sources_are_all_modules_that_the_compiled_functions_reach(module: str, cache: CodeCache) -> None:
    command = [sys.executable, "-c", REACHED, module]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.split("\n")
    ours = {Path(file) for file in loaded if file.startswith(str(ROOT)) and ".venv" not in file}
    reached = {file for file in ours if file.name != "__init__.py"}
    assert len(reached) > 3
    assert reached <= set(cache.sources)
