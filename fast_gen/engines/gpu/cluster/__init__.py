"""The CUDA kernel that keeps all weights in the shared memory of one thread block cluster."""
