// The chain that a sample waits for, layer after layer: the newest input's product, the gate and the residual product.
//
// Where SETS is 0, all threads multiply, with weights from shared memory. Else operands are bfloat16, the weights of the
// chain stay in registers, and tensor cores multiply: a warp has 16 outputs of every SETS-th layer, either gates or
// residual outputs. It then reads no weights from shared memory, and adds no sums of other threads.
//
// Defined by the host: SETS, with SETS x TILES warps at most; and see `loop.cu`.

// What a block of layers keeps in shared memory before its weights. A place has the same address in every block, whatever
// lies there.
struct alignas(16) LayerDesk {
    u64 hidden_box[R];
    u64 code_box;
    alignas(16) float past[MOST_LAYERS][PAST][R];
    alignas(16) float gates[MOST_LAYERS][2 * D];
    alignas(16) float activated[MOST_LAYERS][D];
    alignas(16) float stream[R];  // the input of the next layer
#if SETS
    alignas(16) u16 inputs[R];    // the same as operands
    alignas(16) u16 newest[D];    // the activations of the layer at work, as operands
#endif
    LayerConstants constants;
};

// Returns where a layer's queue takes the newest input of channel 0.
__device__ long long queue_place(const Arguments& all, const LayerConstants& constants, int layer, int step, int clip) {
    int slot = ((u32)all.start_time + step) & constants.ring_masks[layer];
    return ((constants.ring_starts[layer] + slot) * all.batch + clip) * R;
}

#if SETS == 0

#define CHANNEL_THREADS PARTS(D, R)  // that begin a channel of the residual stream

// The residual stream of channel c stays with the threads of output c of the residual product.
struct Chain {
    float hidden;

    __device__ void keep(LayerWeights, int) {}

    __device__ void begin(LayerDesk* desk, int channel, float value) {
        hidden = value;
        desk->stream[channel] = rounded(value);  // the threads of a channel write the same
    }

    // Takes one sample through the layers; their activations are then on the desk, and the next block has the stream.
    __device__ void run(const Arguments& all, LayerWeights weights, LayerDesk* desk, u32 block, int first, int count,
                        int step, int clip) {
        int channel = threadIdx.x / CHANNEL_THREADS;
        for (int layer = 0; layer < count; layer++) {
            const char* matrix = weights.of(layer) + PAST * MATRIX_BYTES(R, 2 * D);
            long long place = queue_place(all, desk->constants, layer, step, clip);
            if (threadIdx.x < R) set_ring_value(all.slots, place + threadIdx.x, desk->stream[threadIdx.x]);
            FOR_OUTPUTS(R, 2 * D) {
                int parts = PARTS(R, 2 * D);
                float total = joined(share((const Words*)matrix, desk->stream, R, 2 * D, parts, output, part), parts);
                total += desk->gates[layer][output];
                float gate = __shfl_down_sync(0xffffffff, total, parts);  // outputs alternate
                if (active && part == 0 && output % 2 == 0)
                    desk->activated[layer][output / 2] = rounded(activation(total, gate));
            }
            __syncthreads();  // all inputs are read and stored, all activations written
            if (first + layer + 1 == LAYERS) break;
            int output = channel < R ? channel : 0, part = threadIdx.x % CHANNEL_THREADS;
            matrix += MATRIX_BYTES(R, 2 * D);
            float total = share((const Words*)matrix, desk->activated[layer], D, R, CHANNEL_THREADS, output, part);
            hidden += joined(total, CHANNEL_THREADS) + desk->constants.residual_biases[layer][output];
            if (layer + 1 < count) {
                if (channel < R) desk->stream[channel] = rounded(hidden);
                __syncthreads();  // the next layer's input is there
            } else if (channel < R && part == 0) {
                send(&desk->hidden_box[channel], block + 1, step + 1, as_bits(hidden));
            }
        }
    }
};

#else

#define CHANNEL_THREADS 1
#define GATE_TILES (2 * D / 16)
#define TILES (GATE_TILES + R / 16)  // warps that a layer needs

static_assert(HALF && SETS * TILES <= THREADS / 32, "each tile of 16 outputs has a warp");

struct Chain {
    Words kept[(MOST_LAYERS + SETS - 1) / SETS][MOST(R, D) / 16];

    __device__ static int set() { return threadIdx.x / 32 / TILES; }  // SETS or more for warps that have no tile
    __device__ static int tile() { return threadIdx.x / 32 % TILES; }
    __device__ static bool has_gates() { return tile() < GATE_TILES; }

    // Brings the weights of this warp's outputs, which lie as `fast_gen.engines.gpu.cluster.packing.fragments` says.
    __device__ void keep(LayerWeights weights, int count) {
        int pieces = (has_gates() ? R : D) / 16;
        int start = PAST * MATRIX_BYTES(R, 2 * D) + (has_gates() ? 0 : MATRIX_BYTES(R, 2 * D));
        int place = (has_gates() ? tile() : tile() - GATE_TILES) * pieces * 32 + threadIdx.x % 32;
#pragma unroll
        for (int own = 0; own * SETS < MOST_LAYERS; own++) {
            int layer = own * SETS + set();
#pragma unroll
            for (int piece = 0; piece < MOST(R, D) / 16; piece++) {
                bool here = set() < SETS && layer < count && piece < pieces;
                kept[own][piece] = here ? ((const Words*)(weights.of(layer) + start))[place + piece * 32] : Words{};
            }
        }
    }

    __device__ void begin(LayerDesk* desk, int channel, float value) {
        desk->stream[channel] = value;
        desk->inputs[channel] = (u16)bfloat16_bits(value);
    }

    // Returns two sums to every fourth lane of the warp: of outputs lane / 4 and lane / 4 + 8 of its tile.
    //
    // The tensor core multiplies for eight clips, of which there is one. A lane that brings the inputs of the first reads
    // them side by side.
    template <int IN> __device__ static void product(const Words* fragments, const u16* operands, float* two) {
        int lane = threadIdx.x % 32;
        float sums[2][4] = {};  // two, so that one product need not wait for the other
#pragma unroll
        for (int piece = 0; piece < IN / 16; piece++) {
            const u32* words = (const u32*)operands + lane * (IN / 8) + 2 * piece;
            u32 one = lane < 4 ? words[0] : 0, other = lane < 4 ? words[1] : 0;
            multiply(sums[piece % 2], fragments[piece], one, other);
        }
        two[0] = sums[0][0] + sums[1][0];
        two[1] = sums[0][2] + sums[1][2];
    }

    // Takes one sample through the layers; their activations are then on the desk, and the next block has the stream.
    __device__ void run(const Arguments& all, LayerWeights, LayerDesk* desk, u32 block, int first, int count, int step,
                        int clip) {
        int row = threadIdx.x % 32 / 4, stored = THREADS - 1 - threadIdx.x;
        // `stored` is the channel that this thread puts into the queue: the last warps have least to do.
        bool has_sums = threadIdx.x % 4 == 0;
        float two[2];
#pragma unroll
        for (int layer = 0; layer < MOST_LAYERS; layer++) {  // of known length, or the weights could not stay in registers
            if (layer >= count) break;
            bool own = set() == layer % SETS;
            long long place = queue_place(all, desk->constants, layer, step, clip);
            if (stored < R) ((u16*)all.slots)[place + stored] = desk->inputs[stored];
            if (own && has_gates()) {
                int channel = tile() * 8 + row;
                float filter = desk->gates[layer][2 * channel], gate = desk->gates[layer][2 * channel + 1];
                product<R>(kept[layer / SETS], desk->inputs, two);
                float activated = activation(filter + two[0], gate + two[1]);
                if (has_sums) {
                    desk->activated[layer][channel] = rounded(activated);
                    desk->newest[channel] = (u16)bfloat16_bits(activated);
                }
            }
            __syncthreads();  // all inputs are read and stored, all activations written
            if (first + layer + 1 == LAYERS) break;
            if (own && !has_gates()) {
                int channel = (tile() - GATE_TILES) * 16 + row;
                float values[2];
                for (int half = 0; half < 2; half++)
                    values[half] = desk->stream[channel + 8 * half] + desk->constants.residual_biases[layer][channel + 8 * half];
                product<D>(kept[layer / SETS], desk->newest, two);
                for (int half = 0; half < 2 && has_sums; half++) {
                    float value = values[half] + two[half];
                    if (layer + 1 < count) begin(desk, channel + 8 * half, value);
                    else send(&desk->hidden_box[channel + 8 * half], block + 1, step + 1, as_bits(value));
                }
            }
            if (layer + 1 < count) __syncthreads();  // the next layer's input is there
        }
    }
};

#endif
