// A product with a vector, by all threads of a block: matrices lie in memory in the order in which threads read them.
//
// Defined by the host: see `loop.cu`.

#define UNIT(half) ((half) ? 8 : 4)  // operands of 16 bytes, which a thread reads at a time
#define PARTS_OF(half, in, out) LEAST(LEAST(16, (in) / UNIT(half)), MOST(1, THREADS / (out)))
#define PARTS(in, out) PARTS_OF(HALF, in, out)  // threads that share an output

// Returns this thread's share of inputs @ matrix: of output `output`, the inputs of part `part`. The matrix is of bfloat16
// if `half`, else of float32.
//
// The 16 bytes of input group j x parts + part and an output lie at place (j x out + output) x parts + part, so threads
// that follow each other read what lies side by side.
template <int half = HALF>
__device__ float share(const Words* matrix, const float* inputs, int in, int out, int parts, int output, int part) {
    float total = 0;
    for (int group = 0; group < in / UNIT(half) / parts; group++) {
        Words words = matrix[(group * out + output) * parts + part];
        const float* x = inputs + (group * parts + part) * UNIT(half);
        for (int place = 0; place < 4; place++) {
            if (half) {
                total += as_float(words.word[place] << 16) * x[2 * place];
                total += as_float(words.word[place] & 0xffff0000) * x[2 * place + 1];
            } else {
                total += as_float(words.word[place]) * x[place];
            }
        }
    }
    return total;
}

// Returns the sum over the threads that share an output, to each of them.
__device__ float joined(float total, int parts) {
    for (int far = parts / 2; far > 0; far /= 2) total += __shfl_xor_sync(0xffffffff, total, far);
    return total;
}

// Runs a statement for each output of a product with `output`, `part` and `active` set. Threads beyond the outputs take
// part in the shuffles too, and so compute output 0 for nothing.
#define FOR_OUTPUTS_IN(parts, out)                                                            \
    for (int first_ = 0; first_ < (out) * (parts); first_ += THREADS)                         \
        for (int at_ = first_ + (int)threadIdx.x, active = at_ < (out) * (parts),             \
                 output = active ? at_ / (parts) : 0, part = at_ % (parts), once_ = 1; \
             once_; once_ = 0)
#define FOR_OUTPUTS(in, out) FOR_OUTPUTS_IN(PARTS(in, out), out)
