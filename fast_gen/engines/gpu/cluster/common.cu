// What the kernels of clusters share: numbers, the weight of a code, the linear predictor, and what a kernel is given.
//
// Defined by the host: those macros of the kernels that are named here.

typedef unsigned short u16;

#define LEAST(a, b) ((a) < (b) ? (a) : (b))
#define MOST(a, b) ((a) > (b) ? (a) : (b))
#define MATRIX_BYTES(in, out) ((in) * (out) * (HALF ? 2 : 4))
#define LAYER_BYTES (KERNEL_SIZE * MATRIX_BYTES(R, 2 * D) + MATRIX_BYTES(D, R) + MATRIX_BYTES(D, S))
#define PAST (KERNEL_SIZE - 1)

__device__ float as_float(u32 bits) { return __uint_as_float(bits); }
__device__ u32 as_bits(float value) { return __float_as_uint(value); }

// Rounds to what the operands are kept in.
__device__ float rounded(float value) { return HALF ? as_float(bfloat16_bits(value) << 16) : value; }

// The quick division has 2 units in the last place, and no branch for numbers that a sigmoid does not meet.
__device__ float sigmoid(float x) { return __fdividef(1, 1 + __expf(-x)); }

// The gated activation: a hyperbolic tangent times a sigmoid.
__device__ float activation(float filter, float gate) { return (2 * sigmoid(2 * filter) - 1) * sigmoid(gate); }

// A number of a queue or of a condition.
__device__ float value_at(const void* values, long long place) {
    if (HALF) return as_float((u32)((const u16*)values)[place] << 16);
    return ((const float*)values)[place];
}

__device__ void set_ring_value(void* slots, long long place, float value) {
    if (HALF) ((u16*)slots)[place] = (u16)(as_bits(value) >> 16);
    else ((float*)slots)[place] = value;
}

// The weight of a scaled difference of logits, as `fast_gen.engines.pick_weights` defines it.
__device__ u32 integer_weight(float scaled) {
    const float lowest = -(float)(MOST_HALVINGS << FRACTION_BITS);
    u32 halvings = (u32)-(int)(scaled > lowest ? scaled : lowest);  // what is not a number fails the comparison
    u32 rest = halvings << (32 - FRACTION_BITS), total = COEFFICIENT_6;
    total = COEFFICIENT_5 - __umulhi(total, rest);
    total = COEFFICIENT_4 - __umulhi(total, rest);
    total = COEFFICIENT_3 - __umulhi(total, rest);
    total = COEFFICIENT_2 - __umulhi(total, rest);
    total = COEFFICIENT_1 - __umulhi(total, rest);
    total = COEFFICIENT_0 - __umulhi(total, rest);
    return total >> ((halvings >> FRACTION_BITS) + GUARD_BITS);
}

struct Arguments {
    const Words* weights;          // of all blocks, block after block, as `fast_gen.engines.gpu.cluster.packing` lays them out
    const long long* starts;       // (blocks + 1,): where a block's weights begin, in 16 bytes
    const int* first_layers;       // (LAYER_BLOCKS + 1,): the first layer of each block
    const float* tables;           // this and all that follow are those of `PackedModel` and `Rings`
    const float* gate_biases;
    const float* residual_biases;
    const float* skip_bias;
    const float* output1_bias;
    const float* output2_bias;
    const int* dilations;
    const long long* ring_starts;
    const int* ring_masks;
    void* slots;
    int* recent;
    short* codes;                  // (steps, batch); known if there are logits, else written
    float* logits;                 // (steps, batch, Q), written; or null
    const float* uniforms;         // (steps, batch)
    const void* condition;         // `PackedCondition.values`; null if there is no condition
    const int* condition_steps;    // (steps,): which of them each sample takes
    const double* decoded;         // this and the next eight are those of `DevicePredictor`; null without prediction
    const double* constants;
    const double* value_limits;
    const double* size_limits;
    const double* innovation_limits;
    double* past_samples;
    const double* coefficients;
    double* predictions;
    double* sizes;
    const float* prediction_values;
    const float* prediction_sizes;
    const float* prediction_innovations;
    int* quiet_runs;               // (batch,): that of `Rings`
    double temperature;            // this and the next seven are those of `PickNumbers`
    double quiet_temperature;
    float scale;
    float quiet_scale;
    int top_k;                     // CODES for all
    int top_p;
    int least;
    int quiet_samples;
    int since;                     // `DevicePredictor.since`
    int start_time;
    int steps;
    int batch;
};

// Returns how many of the newest codes are quiet after one more, as `fast_gen.engines.quiet` counts them.
__device__ int next_quiet_run(int run, int code) {
    int distance = code < SILENCE ? SILENCE - code : code - SILENCE;
    return distance > QUIET_REACH ? 0 : LEAST(run + 1, MOST_QUIET);
}

// The linear predictor of a clip, as each thread of a warp knows it.
struct Predictor { double prediction, size; int value_row, size_row, innovation_row; };

// Returns the sum over the lanes of a warp, to each of them.
template <class T> __device__ T warp_sum(T value) {
    for (int far = 16; far > 0; far /= 2) value += __shfl_xor_sync(0xffffffff, value, far);
    return value;
}

// Takes in the newest code, as `DevicePredictor.step` does; one thread stores it. Older samples were stored before
// barriers of earlier samples.
__device__ void predict(const Arguments& all, Predictor* known, int newest, int step, int clip, bool stores) {
    int lane = threadIdx.x % 32, place = FRAME + all.since + step;
    double* past = all.past_samples + (long long)clip * (FRAME + HOP);
    double value = all.decoded[newest - LOWEST_CODE], decay = all.constants[0], total = 0;
    double error = value - known->prediction, innovation = error / fmax(known->size, all.constants[3]);
    known->size = decay * known->size + (1 - decay) * fabs(error);
    for (int back = lane; back < ORDER; back += 32)
        total += all.coefficients[(long long)clip * ORDER + back] * (back ? past[place - back] : value);
    known->prediction = warp_sum(total);
    int value_row = 0, size_row = 0, innovation_row = 0;
    for (int at = lane; at < VALUES; at += 32) value_row += all.value_limits[at] <= known->prediction;
    for (int at = lane; at < SIZES; at += 32) size_row += all.size_limits[at] <= known->size;
    for (int at = lane; at < INNOVATIONS; at += 32) innovation_row += all.innovation_limits[at] <= innovation;
    known->value_row = warp_sum(value_row);
    known->size_row = warp_sum(size_row);
    known->innovation_row = warp_sum(innovation_row);
    if (stores) past[place] = value;
}

// What a block's layers read at every sample and never changes.
struct LayerConstants {
    float gate_biases[MOST_LAYERS][2 * D];
    float residual_biases[MOST_LAYERS][R];
    long long ring_starts[MOST_LAYERS];
    int ring_masks[MOST_LAYERS];
    int dilations[MOST_LAYERS];
};

// Brings the constants of some layers from device memory, which is many times as far away.
__device__ void keep_constants(const Arguments& all, LayerConstants* constants, int first, int count) {
    for (int at = threadIdx.x; at < count * 2 * D; at += THREADS)
        constants->gate_biases[at / (2 * D)][at % (2 * D)] = all.gate_biases[first * 2 * D + at];
    for (int at = threadIdx.x; at < count * R; at += THREADS) {
        int layer = first + at / R;  // the last layer has no residual product
        constants->residual_biases[at / R][at % R] = layer + 1 < LAYERS ? all.residual_biases[layer * R + at % R] : 0;
    }
    for (int layer = threadIdx.x; layer < count; layer += THREADS) {
        constants->ring_starts[layer] = all.ring_starts[first + layer];
        constants->ring_masks[layer] = all.ring_masks[first + layer];
        constants->dilations[layer] = all.dilations[first + layer];
    }
    __syncthreads();  // all of it is there
}

// The weights of the layers of a block, in shared memory and beyond it.
struct LayerWeights {
    const char* near;
    const char* far;
    __device__ const char* of(int layer) const { return (layer < HELD_LAYERS ? near : far) + layer * LAYER_BYTES; }
};
