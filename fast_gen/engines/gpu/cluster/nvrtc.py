"""Compiles CUDA C++ at run time, without a compiler on the machine, and launches it as thread-block clusters.

NVRTC and its Python bindings come with torch on Linux.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import torch

from fast_gen.engines.gpu.cluster.packing import PORTABLE_BLOCKS, Macros

LEAST_CAPABILITY = (9, 0)
"""The first that has clusters: H100, H200."""


def missing_nvrtc() -> str | None:
    """Returns what keeps clusters from being compiled and run here, or None."""
    try:
        from cuda.bindings import driver, nvrtc  # noqa: F401
    except ImportError as error:
        return f"cuda-bindings cannot be imported: {error}"
    if not torch.cuda.is_available():
        return "torch sees no CUDA device"
    if torch.cuda.get_device_capability() < LEAST_CAPABILITY:
        return "clusters need a GPU of compute capability 9.0 or newer"
    return None


def source(*paths: Path) -> str:
    """Returns the text of some files of CUDA C++, after that of `primitives.cu`."""
    return "".join(path.read_text() for path in (Path(__file__).with_name("primitives.cu"), *paths))


def compiled(text: str, macros: Macros, capability: tuple[int, int] = LEAST_CAPABILITY) -> bytes:
    """Returns the machine code of CUDA C++ for a compute capability, with some macros defined.

    Raises:
        RuntimeError: it does not compile; the message holds the compiler's log.
    """
    from cuda.bindings import nvrtc

    program = _checked(nvrtc.nvrtcCreateProgram(text.encode(), b"kernel.cu", 0, [], []))
    architecture = "sm_{}{}a".format(*capability)
    options = [f"-arch={architecture}", *(f"-D{name}={value}" for name, value in macros.items())]
    status, *_ = nvrtc.nvrtcCompileProgram(program, len(options), [option.encode() for option in options])
    if int(status):
        log = b" " * _checked(nvrtc.nvrtcGetProgramLogSize(program))
        nvrtc.nvrtcGetProgramLog(program, log)
        raise RuntimeError(log.decode(errors="replace"))
    code = b" " * _checked(nvrtc.nvrtcGetCUBINSize(program))
    _checked(nvrtc.nvrtcGetCUBIN(program, code))
    _checked(nvrtc.nvrtcDestroyProgram(program))
    return code


class ClusterKernel:
    """A kernel of CUDA C++, compiled and loaded on the present device.

    Args:
        text: the source.
        name: of the kernel in it, `extern "C"`, with one structure as its only argument.
        macros: what it wants to have defined.
        blocks: of a cluster.
        threads: of a block.
        shared_bytes: shared memory of a block.
    """

    def __init__(self, text: str, name: str, macros: Macros, blocks: int, threads: int, shared_bytes: int) -> None:
        from cuda.bindings import driver

        torch.cuda.current_stream()  # which makes torch's context the present one
        self._blocks, self._threads, self._shared_bytes = blocks, threads, shared_bytes
        self._module = _checked(driver.cuModuleLoadData(compiled(text, macros, torch.cuda.get_device_capability())))
        self._function = _checked(driver.cuModuleGetFunction(self._module, name.encode()))
        attributes = driver.CUfunction_attribute
        shared = attributes.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        _checked(driver.cuFuncSetAttribute(self._function, shared, shared_bytes))
        if blocks > PORTABLE_BLOCKS:
            large = attributes.CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED
            _checked(driver.cuFuncSetAttribute(self._function, large, 1))

    def most_clusters(self) -> int:
        """Returns how many clusters the device can run at a time; 0 if it cannot schedule even one."""
        from cuda.bindings import driver

        return int(_checked(driver.cuOccupancyMaxActiveClusters(self._function, self._config(1))))

    def launch(self, clusters: int, arguments: ctypes.Structure) -> None:
        """Starts some clusters on torch's present stream."""
        from cuda.bindings import driver

        # An array of pointers to the arguments, of which there is one; the driver copies what it points to.
        pointers = (ctypes.c_void_p * 1)(ctypes.addressof(arguments))
        _checked(driver.cuLaunchKernelEx(self._config(clusters), self._function, ctypes.addressof(pointers), 0))

    def _config(self, clusters: int) -> Any:
        """Returns how to launch a number of clusters."""
        from cuda.bindings import driver

        attribute = driver.CUlaunchAttribute()
        attribute.id = driver.CUlaunchAttributeID.CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION
        size = attribute.value.clusterDim
        size.x, size.y, size.z = self._blocks, 1, 1
        attribute.value.clusterDim = size
        config = driver.CUlaunchConfig()
        config.gridDimX, config.gridDimY, config.gridDimZ = clusters * self._blocks, 1, 1
        config.blockDimX, config.blockDimY, config.blockDimZ = self._threads, 1, 1
        config.sharedMemBytes = self._shared_bytes
        config.hStream = torch.cuda.current_stream().cuda_stream
        config.attrs = [attribute]
        config.numAttrs = 1
        return config


def _checked(result: tuple[Any, ...]) -> Any:
    """Returns what a binding returns besides its status.

    Raises:
        RuntimeError: the status is an error.
    """
    status, *rest = result
    if int(status):
        raise RuntimeError(f"the CUDA driver or compiler reports {status.name}")
    return rest[0] if rest else None
