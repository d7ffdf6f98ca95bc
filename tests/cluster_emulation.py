"""A kernel of clusters compiled for the CPU with `cluster_emulation.h`, as the engines want a kernel."""

import ctypes
import subprocess
from pathlib import Path

from fast_gen.engines.gpu.cluster.base import ClusterEngine, beside
from fast_gen.engines.gpu.cluster.packing import Division

MAIN = "static void thread_body() { append_codes(*arguments); end_thread(); }"


class EmulatedKernel:
    """Takes the place of `fast_gen.engines.gpu.cluster.nvrtc.ClusterKernel`.

    Args:
        engine: whose kernel it is.
        macros: what it wants to have defined.
        division: of the model.
        folder: to write into.
        order: of the threads, see `cluster_emulation.h`.
        clusters: how many the device runs at a time.
    """

    def __init__(
        self,
        engine: type[ClusterEngine],
        macros: dict[str, int],
        division: Division,
        folder: Path,
        order: int,
        clusters: int = 1,
    ) -> None:
        text = "".join(beside(name).read_text() for name in engine.files if "primitives" not in name)
        shim = Path(__file__).with_suffix(".h").read_text()
        source, library = folder / "emulated.cpp", folder / f"emulated{len(list(folder.iterdir()))}.so"
        source.write_text(f"{shim}\n{text}\n{MAIN}\n")
        options = ["-O1", "-std=c++17", "-shared", "-fPIC", "-w", "-U_FORTIFY_SOURCE"]
        defined = [f"-D{name}={value}" for name, value in macros.items()]
        subprocess.run(["g++", *options, *defined, "-o", str(library), str(source)], check=True)
        self.library, self.division, self.order, self.clusters = ctypes.CDLL(str(library)), division, order, clusters

    def most_clusters(self) -> int:
        """Returns how many clusters the device runs at a time."""
        return self.clusters

    def launch(self, clusters: int, arguments: ctypes.Structure) -> None:
        """Runs some clusters, one after the other."""
        division = self.division
        self.library.emulate(
            ctypes.byref(arguments), clusters, division.blocks, division.threads, division.shared_bytes, self.order
        )
