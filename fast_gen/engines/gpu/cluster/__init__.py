"""CUDA kernels that keep all weights in the shared memory of thread-block clusters: for few clips, and for many."""
