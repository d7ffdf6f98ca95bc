"""How many processes make the clips of a command."""

import pytest

from fast_gen.bulk import parts
from fast_gen.bulk.parts import Parts


@pytest.mark.parametrize(
    ("options", "device", "threads", "count"),
    [
        (Parts(), "cpu", 1, 7),
        (Parts(), "cpu", 2, 3),
        (Parts(), "cpu", 8, 1),
        (Parts(), "cuda", 1, 1),
        (Parts(devices=("0", "2")), "cuda", 1, 2),
        (Parts(processes=5), "cpu", 2, 5),
    ],
)
def test_without_a_number_there_is_a_process_for_each_core_or_gpu(monkeypatch, options, device, threads, count):
    monkeypatch.setattr(parts, "usable_cores", lambda: 7)
    assert options.count(device, threads) == count
