// The whole time loop of tiles of clips by one thread-block cluster: weights stay in the blocks, tiles flow through them.
//
// Each of the first LAYER_BLOCKS blocks holds a run of consecutive layers; the last but one holds output1, the last one
// output2 and the pick. A tile is ROWS clips. Its residual stream and its skip sums go from block to block, and the last
// block tells block 0 when its codes are picked. While a block computes one tile, the others compute those before and
// after it; a cluster takes all its tiles through a sample before it begins with the next sample.
//
// A block has room for one message. It counts those that arrived, and tells the sender how many it has taken, after which
// the sender may write the next. Block 0 waits for codes alone and the last block for no room, so the ring cannot lock.
//
// Products take place on tensor cores, 16 outputs of 8 clips at a time, and a thread keeps its share of the sums in
// registers. Messages have that order too: see `multiply` in tile_primitives.cu.
//
// Defined by the host: what loop.cu names, and ROWS, a multiple of 8. Here R and Q may be more than THREADS.

#define WARPS (THREADS / 32)
#define GROUPS (ROWS / 8)                                    // of 8 clips
#define OWN(outputs) (((outputs) / 16 + WARPS - 1) / WARPS)  // times 16 outputs that a warp computes at most
#define WORDS(inputs) ((inputs) / (HALF ? 2 : 1))            // of one clip
#define STRIDE(inputs) (WORDS(inputs) + 4)                   // of clips, so that those read together lie in other banks
#define CHUNKS (WORDS(R) / 4)                                // of 16 bytes in the residual stream of a clip
#define PAST_CHUNKS (PAST * ROWS * CHUNKS)                   // in what a layer looks back on
#define AHEAD ((MOST_LAYERS * PAST_CHUNKS + THREADS - 1) / THREADS)
#define EACH MOST(1, Q / 32)                                 // codes that a thread sees to

typedef float Sums[GROUPS][4];

// What a block of either kind has at the same place.
struct alignas(16) Mail {
    Words box[(R + S) / 16][GROUPS][32];  // the residual stream and the skip sums, or what output1 gives as the latter
    u32 arrived;                          // messages in the box so far
    u32 taken;                            // messages that the next block took out of its box
    u32 picked;                           // of block 0: tiles whose codes are picked
};

struct alignas(16) LayerDesk {
    Mail mail;
    alignas(16) u32 views[MOST_LAYERS][ROWS][STRIDE(KERNEL_SIZE * R)];  // what a layer's gates see, oldest tap first
    alignas(16) u32 activated[ROWS][STRIDE(D)];
    LayerConstants constants;
    int codes[KERNEL_SIZE][ROWS];
    int value_rows[ROWS];
    int size_rows[ROWS];
    int innovation_rows[ROWS];
};

struct alignas(16) OutputDesk {
    Mail mail;
    alignas(16) u32 vector[ROWS][STRIDE(S)];
    alignas(16) float logits[ROWS][Q + 4];
    int quiet_runs[ROWS];
};

static_assert(sizeof(LayerDesk) <= LAYER_DESK_BYTES, "the host reckons with less");
static_assert(sizeof(OutputDesk) <= OUTPUT_DESK_BYTES, "the host reckons with less");

// Which tiles a cluster takes: every `clusters`-th one.
struct Tiles {
    int first, clusters, count;
    __device__ int row(int tile) const { return (first + tile * clusters) * ROWS; }
};

// Runs a statement for the sums of a thread: `sum` of `output` and clip `clip` of the tile.
#define FOR_SUMS(sums, outputs)                                                              \
    _Pragma("unroll") for (int own_ = 0; own_ < OWN(outputs); own_++)                        \
        if (int tile_ = own_ * WARPS + (int)threadIdx.x / 32; tile_ < (outputs) / 16)        \
            _Pragma("unroll") for (int group_ = 0; group_ < GROUPS; group_++)                \
                _Pragma("unroll") for (int at_ = 0; at_ < 4; at_++)                          \
                    if (int output = tile_ * 16 + (int)threadIdx.x % 32 / 4 + at_ / 2 * 8,   \
                            clip = group_ * 8 + (int)threadIdx.x % 4 * 2 + at_ % 2;          \
                        true)                                                                \
                        if (float& sum = (sums)[own_][group_][at_]; true)

// Adds weights x operands to the sums; `operands` are the words of a clip after those of another, `stride` apart.
template <int INPUTS, int OUTPUTS>
__device__ void add_product(Sums* sums, const char* matrix, const u32* operands, int stride) {
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const u32* own_words = operands + lane / 4 * stride + lane % 4;
#pragma unroll
    for (int own = 0; own < OWN(OUTPUTS); own++) {
        int tile = own * WARPS + warp;
        if (tile >= OUTPUTS / 16) continue;
        const Words* weights = (const Words*)matrix + tile * (WORDS(INPUTS) / 8) * 32 + lane;
#pragma unroll 4
        for (int step = 0; step < WORDS(INPUTS) / 8; step++) {
            Words of_step = weights[step * 32];
#pragma unroll
            for (int group = 0; group < GROUPS; group++) {
                const u32* words = own_words + group * 8 * stride + step * 8;
                multiply(sums[own][group], of_step, words[0], words[4]);
            }
        }
    }
}

// Writes a number of a clip's operands, rounded to their type.
__device__ void set_operand(u32* words, int channel, float value) {
    if (HALF) ((u16*)words)[channel] = (u16)bfloat16_bits(value);
    else words[channel] = as_bits(value);
}

// Reads sums out of the box.
template <int OUTPUTS> __device__ void take(Sums* sums, Words (*box)[GROUPS][32]) {
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
#pragma unroll
    for (int own = 0; own < OWN(OUTPUTS); own++) {
        int tile = own * WARPS + warp;
        if (tile >= OUTPUTS / 16) continue;
#pragma unroll
        for (int group = 0; group < GROUPS; group++) {
            Words words = box[tile][group][lane];
            for (int at = 0; at < 4; at++) sums[own][group][at] = as_float(words.word[at]);
        }
    }
}

// Writes sums into the box of another block.
template <int OUTPUTS> __device__ void give(const Sums* sums, Words (*box)[GROUPS][32], u32 block) {
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
#pragma unroll
    for (int own = 0; own < OWN(OUTPUTS); own++) {
        int tile = own * WARPS + warp;
        if (tile >= OUTPUTS / 16) continue;
#pragma unroll
        for (int group = 0; group < GROUPS; group++) {
            Words words;
            for (int at = 0; at < 4; at++) words.word[at] = as_bits(sums[own][group][at]);
            put(&box[tile][group][lane], block, words);
        }
    }
}

template <int OUTPUTS> __device__ void clear(Sums* sums) {
    FOR_SUMS(sums, OUTPUTS) sum = 0;
}

// Fetches what a block's layers look back on at a sample of a tile.
__device__ void look_back(const Arguments& all, const LayerConstants& constants, int count, int step, int row, Words* ahead) {
    u32 time = (u32)all.start_time + step;  // it wraps around after 37 hours, as the host's does
#pragma unroll
    for (int own = 0; own < AHEAD; own++) {
        int at = own * THREADS + threadIdx.x, layer = at / PAST_CHUNKS;
        if (layer >= count) continue;
        int tap = at / (ROWS * CHUNKS) % PAST, clip = at / CHUNKS % ROWS;
        int slot = (time - (PAST - tap) * constants.dilations[layer]) & constants.ring_masks[layer];
        long long place = (constants.ring_starts[layer] + slot) * all.batch + row + clip;
        ahead[own] = ((const Words*)all.slots)[place * CHUNKS + at % CHUNKS];
    }
}

// Puts what was fetched where the gates see it.
__device__ void keep_past(LayerDesk* desk, int count, const Words* ahead) {
#pragma unroll
    for (int own = 0; own < AHEAD; own++) {
        int at = own * THREADS + threadIdx.x, layer = at / PAST_CHUNKS;
        if (layer >= count) continue;
        int tap = at / (ROWS * CHUNKS) % PAST, clip = at / CHUNKS % ROWS;
        *(Words*)&desk->views[layer][clip][tap * WORDS(R) + at % CHUNKS * 4] = ahead[own];
    }
}

// Writes a layer's inputs into its queue.
__device__ void remember(const Arguments& all, const LayerDesk* desk, int layer, int step, int row) {
    int slot = ((u32)all.start_time + step) & desk->constants.ring_masks[layer];
    long long first = (desk->constants.ring_starts[layer] + slot) * all.batch + row;
    for (int at = threadIdx.x; at < ROWS * CHUNKS; at += THREADS)
        ((Words*)all.slots)[first * CHUNKS + at] =
            *(const Words*)&desk->views[layer][at / CHUNKS][PAST * WORDS(R) + at % CHUNKS * 4];
}

// The first layer's inputs: the codes of a tile's clips, of which the newest are picked, as the tables have them.
__device__ void begin(const Arguments& all, LayerDesk* desk, int step, int row, Sums* hidden) {
    for (int at = threadIdx.x; at < KERNEL_SIZE * ROWS; at += THREADS) {
        int tap = at / ROWS, clip = row + at % ROWS, since = step - KERNEL_SIZE + tap;
        desk->codes[tap][at % ROWS] = since < 0 ? all.recent[clip * KERNEL_SIZE + tap + step]
                                                : code_at(all.codes, (long long)since * all.batch + clip);
    }
    __syncthreads();  // all codes are there
    if (PREDICTED) {
        for (int at = threadIdx.x / 32; at < ROWS; at += WARPS) {
            int clip = row + at;
            bool stores = threadIdx.x % 32 == 0;
            Predictor known = {all.predictions[clip], all.sizes[clip]};
            __syncwarp();  // the state is read before it is written
            predict(all, &known, desk->codes[PAST][at], step, clip, stores);
            if (!stores) continue;
            all.predictions[clip] = known.prediction;
            all.sizes[clip] = known.size;
            desk->value_rows[at] = known.value_row;
            desk->size_rows[at] = known.size_row;
            desk->innovation_rows[at] = known.innovation_row;
        }
        __syncthreads();  // all predictions are there
    }
    FOR_SUMS(hidden, R) {
        sum = 0;
        for (int tap = 0; tap < KERNEL_SIZE; tap++)
            sum += all.tables[(tap * (CODES + 1) + desk->codes[tap][clip]) * R + output];
        if (PREDICTED)
            sum += all.prediction_values[desk->value_rows[clip] * R + output] +
                   all.prediction_sizes[desk->size_rows[clip] * R + output] +
                   all.prediction_innovations[desk->innovation_rows[clip] * R + output];
    }
}

// The gates of a layer: of a thread's sums, those of output g are the filters of a channel and those of output g + 8 its
// gates, in which order the host lays the outputs out.
__device__ void activate(const Arguments& all, LayerDesk* desk, int layer, int first, int step, int row, Sums* gates) {
    const float* biases = desk->constants.gate_biases[layer];
    long long condition_row = all.condition ? (long long)all.condition_steps[step] * all.batch + row : 0;
    FOR_SUMS(gates, 2 * D) {
        if (output % 16 >= 8) continue;  // these are taken along
        int channel = output / 16 * 8 + output % 8;
        float filter = sum + biases[2 * channel], gate = (&sum)[2] + biases[2 * channel + 1];
        if (all.condition) {
            long long place = ((condition_row + clip) * LAYERS + first + layer) * 2 * D + 2 * channel;
            filter += value_at(all.condition, place);
            gate += value_at(all.condition, place + 1);
        }
        set_operand(desk->activated[clip], channel, activation(filter, gate));
    }
}

// A block of layers, for all samples.
__device__ void run_layers(const Arguments& all, LayerWeights weights, LayerDesk* desk, u32 block, Tiles tiles) {
    Mail* mail = &desk->mail;
    int first = all.first_layers[block], count = all.first_layers[block + 1] - first;
    Words ahead[AHEAD];
    keep_constants(all, &desk->constants, first, count);
    if (all.steps > 0) look_back(all, desk->constants, count, 0, tiles.row(0), ahead);
    u32 number = 0;
    for (int step = 0; step < all.steps; step++) {
        for (int tile = 0; tile < tiles.count; tile++) {
            int row = tiles.row(tile);
            bool last_tile = tile + 1 == tiles.count, more = !last_tile || step + 1 < all.steps;
            number++;
            Sums hidden[OWN(R)], skips[OWN(S)];
            keep_past(desk, count, ahead);
            if (block == 0) {
                if (step > 0) wait_for(&mail->picked, number - tiles.count);
                begin(all, desk, step, row, hidden);
                clear<S>(skips);
            } else {
                wait_for(&mail->arrived, number);
                take<R>(hidden, mail->box);
                take<S>(skips, mail->box + R / 16);
            }
            FOR_SUMS(hidden, R) set_operand(desk->views[0][clip] + PAST * WORDS(R), output, sum);
            __syncthreads();  // the first layer's views are there, and the box is read
            if (block > 0 && threadIdx.x == 0) announce(&mail->taken, block - 1, number);
            // a tile alone looks back on what is only written now
            if (more && tiles.count > 1)
                look_back(all, desk->constants, count, step + last_tile, tiles.row(last_tile ? 0 : tile + 1), ahead);
            for (int layer = 0; layer < count; layer++) {
                const char* matrix = weights.of(layer);
                Sums gates[OWN(2 * D)];
                clear<2 * D>(gates);
                remember(all, desk, layer, step, row);
                add_product<KERNEL_SIZE * R, 2 * D>(gates, matrix, desk->views[layer][0], STRIDE(KERNEL_SIZE * R));
                activate(all, desk, layer, first, step, row, gates);
                __syncthreads();  // all activations are there
                matrix += KERNEL_SIZE * MATRIX_BYTES(R, 2 * D);
                if (first + layer + 1 < LAYERS) {
                    add_product<D, R>(hidden, matrix, desk->activated[0], STRIDE(D));
                    FOR_SUMS(hidden, R) {
                        sum += desk->constants.residual_biases[layer][output];
                        if (layer + 1 < count) set_operand(desk->views[layer + 1][clip] + PAST * WORDS(R), output, sum);
                    }
                }
                add_product<D, S>(skips, matrix + MATRIX_BYTES(D, R), desk->activated[0], STRIDE(D));
                __syncthreads();  // activations are read, and the next layer's views are there
            }
            wait_for(&mail->taken, number - 1);
            if (first + count < LAYERS) give<R>(hidden, mail->box, block + 1);
            give<S>(skips, mail->box + R / 16, block + 1);
            __syncthreads();  // the message is whole
            if (threadIdx.x == 0) announce(&mail->arrived, block + 1, number);
            if (more && tiles.count == 1) look_back(all, desk->constants, count, step + 1, row, ahead);
        }
    }
    if (block > 0) return;
    wait_for(&mail->picked, number);
    for (int at = threadIdx.x; at < tiles.count * ROWS; at += THREADS) {
        int clip = tiles.row(at / ROWS) + at % ROWS;
        for (int tap = 0; tap < KERNEL_SIZE; tap++) {  // each is taken from a later place than it is written to
            int since = all.steps - KERNEL_SIZE + tap;
            all.recent[clip * KERNEL_SIZE + tap] = since < 0 ? all.recent[clip * KERNEL_SIZE + tap + all.steps]
                                                             : code_at(all.codes, (long long)since * all.batch + clip);
        }
    }
}

// The block of the first output layer, for all samples.
__device__ void run_output1(const Arguments& all, const char* weights, OutputDesk* desk, Tiles tiles) {
    Mail* mail = &desk->mail;
    for (u32 number = 1; number <= (u32)all.steps * tiles.count; number++) {
        Sums sums[OWN(S)];
        wait_for(&mail->arrived, number);
        take<S>(sums, mail->box + R / 16);
        FOR_SUMS(sums, S) set_operand(desk->vector[clip], output, fmaxf(sum + all.skip_bias[output], 0));
        __syncthreads();  // the vectors are there, and the box is read
        if (threadIdx.x == 0) announce(&mail->taken, LAYER_BLOCKS - 1, number);
        clear<S>(sums);
        add_product<S, S>(sums, weights, desk->vector[0], STRIDE(S));
        FOR_SUMS(sums, S) sum = fmaxf(sum + all.output1_bias[output], 0);
        wait_for(&mail->taken, number - 1);
        give<S>(sums, mail->box + R / 16, LAYER_BLOCKS + 1);
        __syncthreads();  // the message is whole, and the vectors are read
        if (threadIdx.x == 0) announce(&mail->arrived, LAYER_BLOCKS + 1, number);
    }
}

// Returns the sum of a number over lanes 0 to this one.
template <class T> __device__ T sum_up_to(T value) {
    for (int far = 1; far < 32; far *= 2) {
        T before = __shfl_up_sync(0xffffffff, value, far);
        if ((int)threadIdx.x % 32 >= far) value += before;
    }
    return value;
}

// Returns the sum over the lanes of a warp of numbers below 2^48, to each of them: two instructions, no shuffles.
__device__ u64 warp_total(u64 value) {
    u32 low = __reduce_add_sync(0xffffffff, (u32)value & 0xffffff), high = __reduce_add_sync(0xffffffff, (u32)(value >> 24));
    return ((u64)high << 24) + low;
}

__device__ float warp_greatest(float value) {
    for (int far = 16; far > 0; far /= 2) value = fmaxf(value, __shfl_xor_sync(0xffffffff, value, far));
    return value;
}

__device__ int warp_least(int value) {
    for (int far = 16; far > 0; far /= 2) {
        int other = __shfl_xor_sync(0xffffffff, value, far);
        value = LEAST(value, other);
    }
    return value;
}

// Sets all but the `count` greatest weights to zero; of equal ones the first are kept.
__device__ void keep_count(u32* weights, int count) {
    u32 least = 0;  // the greatest that at least this number of codes reach, bit by bit from above
    for (u32 bit = 1u << WEIGHT_BITS; bit > 0; bit >>= 1) {
        u32 reaching = 0;
        for (int own = 0; own < EACH; own++) reaching += weights[own] >= (least | bit);
        if ((int)__reduce_add_sync(0xffffffff, reaching) >= count) least |= bit;
    }
    int above = 0, equal = 0;
    for (int own = 0; own < EACH; own++) {
        above += weights[own] > least;
        equal += weights[own] == least;
    }
    int order = sum_up_to(equal) - equal, left = count - (int)__reduce_add_sync(0xffffffff, above);
    for (int own = 0; own < EACH; own++)
        if (weights[own] < least || (weights[own] == least && order++ >= left)) weights[own] = 0;
}

// Sets all but the greatest weights to zero, and keeps as many as reach a share of the total, in units of 2^-SHARE_BITS.
__device__ void keep_share(u32* weights, int share) {
    u64 total = 0;
    for (int own = 0; own < EACH; own++) total += weights[own];
    u64 needed = warp_total(total) * share;
    u32 least = 0;  // the greatest of which the weights that have at least that much reach the share
    for (u32 bit = 1u << WEIGHT_BITS; bit > 0; bit >>= 1) {
        u64 reached = 0;
        for (int own = 0; own < EACH; own++) reached += weights[own] >= (least | bit) ? weights[own] : 0;
        if (warp_total(reached) << SHARE_BITS >= needed) least |= bit;
    }
    u64 above = 0;
    int equal = 0;
    for (int own = 0; own < EACH; own++) {
        above += weights[own] > least ? weights[own] : 0;
        equal += weights[own] == least;
    }
    u64 before = warp_total(above);
    int order = sum_up_to(equal) - equal;
    for (int own = 0; own < EACH; own++) {
        bool kept = weights[own] > least;
        if (weights[own] == least) kept = before + (u64)order++ * least << SHARE_BITS < needed;
        if (!kept) weights[own] = 0;
    }
}

// Returns the next code of a clip to every thread of a warp, as `fast_gen.engines.sampling.pick` defines it. A thread
// sees to EACH consecutive codes.
__device__ int pick(const float* logits, float uniform, float scale, int top_k, int top_p, int least) {
    int first = (int)threadIdx.x % 32 * EACH, found = CODES - 1;
    float own_logits[EACH], greatest = as_float(0xff800000);
    u32 weights[EACH];
    for (int own = 0; own < EACH; own++) {
        own_logits[own] = first + own < CODES ? logits[first + own] : as_float(0xff800000);
        greatest = fmaxf(greatest, own_logits[own]);
    }
    greatest = warp_greatest(greatest);
    if (scale == 0) {
        for (int own = EACH - 1; own >= 0; own--)
            if (first + own < CODES && own_logits[own] == greatest) found = first + own;
        return warp_least(found);
    }
    for (int own = 0; own < EACH; own++) {
        weights[own] = first + own < CODES ? integer_weight((own_logits[own] - greatest) * scale) : 0;
        if ((int)weights[own] < least) weights[own] = 0;
    }
    if (top_k < CODES) keep_count(weights, top_k);
    if (top_p < 1 << SHARE_BITS) keep_share(weights, top_p);
    u64 sum = 0;
    for (int own = 0; own < EACH; own++) sum += weights[own];
    u64 target = (u64)(uniform * (1 << UNIFORM_BITS)) * warp_total(sum) >> UNIFORM_BITS;
    u64 reached = sum_up_to(sum) - sum;
    for (int own = 0; own < EACH; own++) {
        reached += weights[own];
        if (reached > target) found = LEAST(found, first + own);
    }
    return warp_least(found);
}

// The block of the second output layer and the pick, for all samples.
__device__ void run_output2(const Arguments& all, const char* weights, OutputDesk* desk, Tiles tiles) {
    Mail* mail = &desk->mail;
    u32 number = 0;
    for (int step = 0; step < all.steps; step++) {
        for (int tile = 0; tile < tiles.count; tile++) {
            Sums vectors[OWN(S)], sums[OWN(Q)];
            long long row = (long long)step * all.batch + tiles.row(tile);
            int* quiet_runs = all.quiet_runs + tiles.row(tile);
            number++;
            // while the message is on its way
            for (int clip = threadIdx.x; clip < ROWS; clip += THREADS) desk->quiet_runs[clip] = quiet_runs[clip];
            wait_for(&mail->arrived, number);
            take<S>(vectors, mail->box + R / 16);
            FOR_SUMS(vectors, S) set_operand(desk->vector[clip], output, sum);
            __syncthreads();  // the vectors are there, and the box is read
            if (threadIdx.x == 0) announce(&mail->taken, LAYER_BLOCKS, number);
            clear<Q>(sums);
            add_product<S, Q>(sums, weights, desk->vector[0], STRIDE(S));
            FOR_SUMS(sums, Q) desk->logits[clip][output] = sum + all.output2_bias[output];
            __syncthreads();  // all logits are there
            if (all.logits) {
                for (int at = threadIdx.x; at < ROWS * Q; at += THREADS)
                    all.logits[row * Q + at] = desk->logits[at / Q][at % Q];
            }
            for (int clip = threadIdx.x / 32; clip < ROWS; clip += WARPS) {
                int run = desk->quiet_runs[clip], code;
                if (all.logits) code = all.codes[row + clip];
                else {
                    float scale = run >= all.quiet_samples ? all.quiet_scale : all.scale;
                    code = pick(desk->logits[clip], all.uniforms[row + clip], scale, all.top_k, all.top_p, all.least);
                }
                if (threadIdx.x % 32 == 0) {
                    if (!all.logits) all.codes[row + clip] = (short)code;
                    quiet_runs[clip] = next_quiet_run(run, code);
                }
            }
            __syncthreads();  // all codes are written, and all logits read
            if (threadIdx.x == 0) announce(&mail->picked, 0, number);
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) append_codes(const Arguments all) {
    SHARED_MEMORY(memory);
    u32 block = block_in_cluster();
    int cluster = blockIdx.x / (LAYER_BLOCKS + 2), clusters = gridDim.x / (LAYER_BLOCKS + 2);
    Tiles tiles = {cluster, clusters, (all.batch / ROWS - cluster + clusters - 1) / clusters};
    bool layers = block < LAYER_BLOCKS;
    int desk_bytes = layers ? LAYER_DESK_BYTES : OUTPUT_DESK_BYTES;
    Words* weights = memory + desk_bytes / 16;
    long long start = all.starts[block], size = all.starts[block + 1] - start;
    if (layers) size = LEAST(size, (long long)HELD_LAYERS * LAYER_BYTES / 16);
    for (long long at = threadIdx.x; at < size; at += THREADS) weights[at] = all.weights[start + at];
    for (int at = threadIdx.x; at < desk_bytes / 8; at += THREADS) ((u64*)memory)[at] = 0;
    __syncthreads();
    meet_cluster();  // every counter is zero before anything is sent, and all weights are there
    LayerWeights of_layers = {(const char*)weights, (const char*)(all.weights + start)};
    if (layers) run_layers(all, of_layers, (LayerDesk*)memory, block, tiles);
    else if (block == LAYER_BLOCKS) run_output1(all, (const char*)weights, (OutputDesk*)memory, tiles);
    else run_output2(all, (const char*)weights, (OutputDesk*)memory, tiles);
    __syncthreads();  // the warps of a block come together again before they meet the others
    meet_cluster();  // no block leaves while others may still write into its memory
}
