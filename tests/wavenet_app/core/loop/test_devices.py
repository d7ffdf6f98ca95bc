"""--devices becomes a number of processes and a GPU for each, or one line that says what is missing."""

from contextlib import suppress
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wavenet_app.core.device_list import MOST_DEVICES, DeviceList, parsed_devices
from wavenet_app.core.errors import UserError
from wavenet_app.core.launch import Launch
from wavenet_app.core.loop.devices import on_devices, refuse_processes
from wavenet_app.training.options import RunOptions

TORCHRUN = Launch(0, 0, 4, "torchrun", nodes=2)


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.parametrize(
    ("text", "processes", "gpus"),
    [("auto", 2, (0, 1)), ("2", 2, (0, 1)), ("1", 1, (0,)), ("1,0", 2, (1, 0)), ("1,", 1, (1,))],
)
def test_each_process_has_a_gpu(two_gpus, text, processes, gpus):
    options, found = on_devices(RunOptions(devices=text), "cuda")
    assert options.given("training", "processes") == processes
    assert found == gpus
    refuse_processes("cuda", processes, placed=options.placed)


@pytest.mark.parametrize("text", ["3", "2,", "0,1,2"])
def test_a_gpu_that_is_missing_is_named(two_gpus, text):
    with pytest.raises(UserError, match=rf"^--devices {text} needs GPU 2 .* this machine has 2"):
        on_devices(RunOptions(devices=text), "cuda")


def test_on_a_cpu_they_are_processes():
    options, gpus = on_devices(RunOptions(devices="3"), "cpu")
    assert (options.given("training", "processes"), gpus) == (3, None)
    with pytest.raises(UserError, match="names CUDA GPUs, and this machine has none"):
        on_devices(RunOptions(devices="0,1"), "cpu")
    with pytest.raises(UserError, match="this machine has one"):
        on_devices(RunOptions(devices="2"), "mps")


def test_two_numbers_of_processes_contradict_each_other():
    options = RunOptions(devices="2", assignments=("training.processes=3",))
    with pytest.raises(UserError, match=r"^--devices 2 means 2 processes, but training.processes is 3; leave it out$"):
        on_devices(options, "cpu")


def test_a_launcher_decides_alone(tmp_path):
    options = RunOptions(devices="auto", nodes=2).launched(TORCHRUN, tmp_path)
    assert options.given("training", "processes") == 4
    assert on_devices(options, "cuda", TORCHRUN) == (options, None)
    refuse_processes("cuda", 4, placed=options.placed)
    for nodes, one_machine in ((1, True), (2, False), (None, False)):
        assert RunOptions().launched(replace(TORCHRUN, nodes=nodes), tmp_path).one_machine is one_machine
    for wrong in (RunOptions(devices="2"), RunOptions(nodes=3)):
        with pytest.raises(UserError, match="torchrun"):
            wrong.launched(TORCHRUN, tmp_path)


def test_several_machines_need_a_launcher(tmp_path):
    assert RunOptions(nodes=1).launched(None, tmp_path) == RunOptions(nodes=1)
    with pytest.raises(UserError, match=r"--nodes 2 needs a launcher.*torchrun --nnodes 2 "):
        RunOptions(nodes=2).launched(None, tmp_path)


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_processes_without_places_are_not_put_on_one_gpu(device):
    refuse_processes(device, 1, placed=False)
    refuse_processes("cpu", MOST_DEVICES, placed=False)
    with pytest.raises(UserError, match=r"would share one GPU; take --devices 2"):
        refuse_processes(device, 2, placed=False)
    with pytest.raises(UserError, match="more than the 64"):
        refuse_processes("cpu", MOST_DEVICES + 1, placed=False)


@given(st.text(max_size=6) | st.text("0123456789,-", max_size=8))
def test_any_text_is_devices_or_one_line(text):
    with suppress(UserError):
        found = parsed_devices(text)
        assert found == DeviceList() or 1 <= (found.count or len(found.gpus)) <= MOST_DEVICES
