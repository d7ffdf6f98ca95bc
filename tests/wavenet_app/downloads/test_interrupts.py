"""`wavegen data get` in processes that are terminated and killed."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from archive_server import Served
from small_archives import tar_of, voc_files

ROOT = Path(__file__).resolve().parents[3]
NAME = "VOCtrainval_11-May-2012.tar"
CODE = f"""
import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
from pathlib import Path
from small_archives import serving_set
from wavenet_app.downloads import catalogue
content, url, root = sys.argv[1:]
voc = catalogue.DATA_SETS["voc"]
catalogue.DATA_SETS["voc"] = serving_set(voc, [Path(content).read_bytes()], [[url]])
import cli
sys.argv = ["wavegen", "data", "get", "voc", "--yes", "--data-dir", root]
cli.main()
"""


@pytest.mark.slow
def test_a_download_that_is_terminated_killed_and_cut_fetches_hardly_a_byte_twice(server, tmp_path):
    noise = {
        f"VOCdevkit/VOC2012/JPEGImages/{index}.jpg": np.random.default_rng(index).bytes(300_000) for index in range(20)
    }
    content = tar_of({**voc_files(), **noise})
    (tmp_path / NAME).write_bytes(content)
    served = server.files[NAME] = Served(content, pause=0.02, block=1 << 15)
    command = [sys.executable, "-c", CODE, str(tmp_path / NAME), server.url(NAME), str(tmp_path / "data")]
    part = tmp_path / "data" / ".downloads" / f"{NAME}.part"
    for quarter, number in ((1, signal.SIGTERM), (2, signal.SIGKILL)):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while not (part.is_file() and part.stat().st_size > quarter * len(content) // 4):
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(number)
        assert process.wait() == {signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}[number]
        assert not (tmp_path / "data" / "pascal_voc").exists()
    served.cut_after, served.cuts = len(content) // 8, 1
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    assert len(server.asked) == 4
    assert len(content) <= server.sent < 1.05 * len(content)
    assert (tmp_path / "data/pascal_voc/VOCdevkit/VOC2012/JPEGImages/19.jpg").read_bytes() == noise[
        "VOCdevkit/VOC2012/JPEGImages/19.jpg"
    ]
    assert [path.name for path in (tmp_path / "data/.downloads").iterdir()] == ["installed"]
