"""Kept machine code does what the function says, and is taken only whole and where all it depends on is the same."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from wavenet_app.compiling import kept_function, machine_code
from wavenet_app.compiling.argument_table import as_table
from wavenet_app.compiling.code_cache import CodeCache
from wavenet_app.compiling.kept_function import KeptFunction
from wavenet_app.compiling.machine_code import MachineCode

HERE = Path(__file__)


class Pair(NamedTuple):
    """Something with names, and one thing in another."""

    table: NDArray[np.float32]
    places: NDArray[np.int64]


def expected_of(pair: Pair, sums: NDArray[np.floating], factor: float, step: int) -> NDArray[np.floating]:
    return sums + factor * pair.table[np.arange(len(sums)), pair.places % pair.table.shape[1]] + step


def arguments(rows: int = 5, kind: type = np.float64) -> tuple[Pair, NDArray[np.floating], float, int]:
    generator = np.random.default_rng(rows)
    table = generator.normal(size=(rows, 3)).astype(np.float32)
    return Pair(table, generator.integers(0, 9, rows)), np.arange(rows).astype(kind), -1.5, 7


def function_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> KeptFunction:
    """The function with its cache in a folder, as a new process would have it."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(folder))
    return KeptFunction("added_up", "add_up", CodeCache("adding", [HERE]))


def check(function: KeptFunction, rows: int = 5, kind: type = np.float64) -> None:
    given = arguments(rows, kind)
    expected = expected_of(*given)
    function(*given)
    np.testing.assert_allclose(given[1], expected, rtol=1e-6)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the compiler was asked for since."""
    from wavenet_app.compiling import table_entry as numba_entry

    asked: list[str] = []
    compile_entry = numba_entry.compile_entry

    def noted(function: Callable[..., None], call: tuple[object, ...]) -> object:
        asked.append(as_table(call)[0])
        return compile_entry(function, call)

    monkeypatch.setattr(numba_entry, "compile_entry", noted)
    return asked


def test_it_is_compiled_once_for_each_kind_of_arguments(tmp_path, monkeypatch, compiled):
    for _ in range(2):
        function = function_in(tmp_path, monkeypatch)
        assert function.is_kept(*arguments()) == (len(compiled) > 0)
        for rows in (5, 5, 11):
            check(function, rows)
        check(function, kind=np.float32)
        assert len(compiled) == 2
    assert len(list(tmp_path.rglob("*.code"))) == 2


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_damaged_code_is_compiled_again(tmp_path, monkeypatch, compiled, damage):
    check(function_in(tmp_path, monkeypatch))
    (file,) = tmp_path.rglob("*.code")
    whole = file.read_bytes()
    broken = {"cut": whole[:-100], "flipped": whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:], "empty": b""}
    file.write_bytes(broken[damage])
    function = function_in(tmp_path, monkeypatch)
    assert not function.is_kept(*arguments())
    check(function)
    assert len(compiled) == 2
    assert function_in(tmp_path, monkeypatch).is_kept(*arguments())


@pytest.mark.parametrize("other", ["processor", "settings"])
def test_code_for_another_processor_or_with_other_settings_is_not_taken(tmp_path, monkeypatch, other):
    check(function_in(tmp_path, monkeypatch))
    function = function_in(tmp_path, monkeypatch)
    assert function.is_kept(*arguments())
    machine_code.compiling_for.cache_clear()
    if other == "processor":
        monkeypatch.setattr("llvmlite.binding.get_host_cpu_name", lambda: "another")
    else:
        monkeypatch.setenv("NUMBA_ENABLE_AVX", "0")
    assert not function.is_kept(*arguments())
    monkeypatch.undo()
    machine_code.compiling_for.cache_clear()


def test_code_that_cannot_be_loaded_is_not_kept_and_the_compilers_own_runs(tmp_path, monkeypatch, compiled):
    def refuse(code: MachineCode) -> None:
        raise RuntimeError("no such relocation")

    monkeypatch.setattr(kept_function, "loaded", refuse)
    check(function_in(tmp_path, monkeypatch))
    check(function_in(tmp_path, monkeypatch))
    assert len(compiled) == 2
    assert not list(tmp_path.rglob("*.code"))


def test_what_is_no_machine_code_is_refused():
    with pytest.raises(RuntimeError):
        machine_code.loaded(MachineCode("nothing", b"no object file"))


def test_kept_code_that_llvm_refuses_is_compiled_again(tmp_path, monkeypatch, compiled):
    function = function_in(tmp_path, monkeypatch)
    kinds = as_table(arguments())[0]
    function._cache.keep("add_up", kinds, MachineCode("nothing", b"no object file"))
    assert function.is_kept(*arguments())
    check(function)
    assert len(compiled) == 1


def test_where_nothing_can_be_kept_it_runs_all_the_same(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    full_disk: Callable[[int], AbstractContextManager[None]],
) -> None:
    function = function_in(tmp_path, monkeypatch)
    with full_disk(16):
        check(function)
    assert not list(tmp_path.rglob("*.code*"))
    nowhere = function_in(tmp_path, monkeypatch)
    nowhere._cache.folder = None
    assert not nowhere.is_kept(*arguments())
    check(nowhere)


def test_arrays_with_gaps_are_refused(tmp_path, monkeypatch):
    pair, sums, *numbers = arguments(10)
    with pytest.raises(ValueError, match="contiguous"):
        function_in(tmp_path, monkeypatch)(pair, sums[::2], *numbers)


START = """
import sys
import test_kept_function as tests
from wavenet_app.compiling.code_cache import CodeCache
from wavenet_app.compiling.kept_function import KeptFunction
tests.check(KeptFunction("added_up", "add_up", CodeCache("adding", [tests.HERE])))
print("numba" in sys.modules)
"""


def test_a_later_start_does_without_numba_and_starts_at_once_do_not_disturb_each_other(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    environment["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), str(HERE.parents[2]), str(HERE.parents[3])])

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-c", START], env=environment, stdout=subprocess.PIPE, text=True)

    first = [start() for _ in range(2)]
    for process in first:
        process.communicate()
        assert process.returncode == 0
    later = start()
    assert later.communicate()[0].strip() == "False"
