// The whole time loop of one clip by one thread-block cluster, the weights in shared memory as far as they fit.
//
// Each of the first LAYER_BLOCKS blocks holds a run of consecutive layers; the last but one holds output1, the last one
// output2 and the pick. The residual stream goes from block to block once a sample, the skip sums straight to output1,
// and the picked code back to block 0. A block multiplies what is not urgent (the past taps of the next sample, its
// skips) while the others compute.
//
// Messages have one place each, used again at every sample. A block sends message n + 1 only after it has got, through
// all the other blocks and the pick, what was computed from its message n; so message n was read before.
//
// Defined by the host: THREADS, LAYER_BLOCKS, MOST_LAYERS of a block, HELD_LAYERS of them whose weights lie in shared
// memory (the others are read from the GPU's cache), LAYERS, KERNEL_SIZE, CODES, the padded widths
// R, D, S, Q (powers of two of at least 16; R and Q at most THREADS), LAYER_DESK_BYTES and OUTPUT_DESK_BYTES, HALF: 1 if
// operands are bfloat16, 0 if float32; the numbers of `fast_gen.engines.pick_weights`; PREDICTED: 1 with linear
// prediction, and then FRAME, HOP, ORDER, LOWEST_CODE, VALUES, SIZES and INNOVATIONS; SILENCE, QUIET_REACH and MOST_QUIET
// of `fast_gen.engines.quiet`; of the head RULE, ONE_HOT,
// FLOAT_OUTPUT, FIRST_MEAN and AFTER_MEANS, and the numbers of the rules; for 16-bit samples SAMPLE_STEP, LEAST_SCALE,
// GREATEST_LOG_SCALE, HIGHEST_CODE, HALF_UNIFORM, LEAST_REMAINDER, and the coefficients of `gaussian_quantile`.

struct alignas(16) OutputDesk {
    u64 skip_box[LAYER_BLOCKS][S];
    u64 output_box[S];
    u64 weights[Q];
    u64 warp_sums[32];
    float warp_greatest[32];
    alignas(16) float vector[S];
    alignas(16) float logits[Q];
    int picked;
};

static_assert(sizeof(LayerDesk) <= LAYER_DESK_BYTES, "the host reckons with less");
static_assert(sizeof(OutputDesk) <= OUTPUT_DESK_BYTES, "the host reckons with less");

// Returns the sum of a number over threads 0 to this one, and over all; every thread of the block calls it.
__device__ u64 running_sum(u64 value, u64* warp_sums, u64* total) {
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    for (int far = 1; far < 32; far *= 2) {
        u64 before = __shfl_up_sync(0xffffffff, value, far);
        if (lane >= far) value += before;
    }
    __syncthreads();  // the sums of an earlier call are read
    if (lane == 31) warp_sums[warp] = value;
    __syncthreads();
    *total = 0;
    for (int other = 0; other < THREADS / 32; other++) {
        if (other < warp) value += warp_sums[other];
        *total += warp_sums[other];
    }
    return value;
}

// Returns the greatest of all threads' numbers to each of them; every thread of the block calls it.
__device__ float greatest_of_all(float value, float* warp_greatest) {
    for (int far = 16; far > 0; far /= 2) value = fmaxf(value, __shfl_xor_sync(0xffffffff, value, far));
    if (threadIdx.x % 32 == 0) warp_greatest[threadIdx.x / 32] = value;
    __syncthreads();
    for (int warp = 0; warp < THREADS / 32; warp++) value = fmaxf(value, warp_greatest[warp]);
    return value;
}

#if RULE == CODE_RULE

// Returns the next code to every thread, as `fast_gen.engines.sampling.pick` defines it; thread q sees to code q.
__device__ int pick(OutputDesk* desk, const Arguments& all, float uniform, bool quiet) {
    float scale = quiet ? all.quiet_scale : all.scale;
    int top_k = all.top_k, top_p = all.top_p, least = all.least;
    int code = threadIdx.x;
    float logit = code < CODES ? desk->logits[code] : as_float(0xff800000);
    float greatest = greatest_of_all(logit, desk->warp_greatest);
    if (code == 0) desk->picked = CODES - 1;
    __syncthreads();
    if (scale == 0) {
        if (code < CODES && logit == greatest) atomicMin(&desk->picked, code);
        __syncthreads();
        return desk->picked;
    }
    u64 weight = code < CODES ? integer_weight((logit - greatest) * scale) : 0, total;
    if (weight < least) weight = 0;
    if (top_k < CODES || top_p < 1 << SHARE_BITS) {
        if (code < CODES) desk->weights[code] = weight;
        __syncthreads();
        u64 before = 0;  // the sum of the weights of lower rank
        int rank = 0;
        for (int other = 0; other < CODES; other++) {
            u64 its = desk->weights[other];
            bool ranks_before = its > weight || (its == weight && other < code);
            rank += ranks_before;
            before += ranks_before ? its : 0;
        }
        running_sum(rank < top_k ? weight : 0, desk->warp_sums, &total);
        if (rank >= top_k || before << SHARE_BITS >= top_p * total) weight = 0;
    }
    u64 reached = running_sum(weight, desk->warp_sums, &total);
    u64 target = (u64)(uniform * (1 << UNIFORM_BITS)) * total >> UNIFORM_BITS;
    if (reached > target && reached - weight <= target) desk->picked = code;  // which holds for one thread
    __syncthreads();
    return desk->picked;
}

#else

// Returns the quotient of two polynomials, the constant coefficients first.
__device__ double ratio(const double* above, const double* below, double x) {
    double numerator = 0, denominator = 0;
    for (int power = 7; power >= 0; power--) {
        numerator = numerator * x + above[power];
        denominator = denominator * x + below[power];
    }
    return numerator / denominator;
}

// Returns the value below which a standard distribution has a share; of a Gaussian at least 2^-25, and as far from one.
__device__ double quantile(double share) {
    if (RULE == LOGISTICS_RULE) return log(share) - log(1 - share);
    const double middle[2][8] = {{MIDDLE_ABOVE}, {MIDDLE_BELOW}}, flank[2][8] = {{FLANK_ABOVE}, {FLANK_BELOW}};
    double offset = share - 0.5;
    if (fabs(offset) <= 0.425) return offset * ratio(middle[0], middle[1], 0.180625 - offset * offset);
    double depth = sqrt(-log(offset < 0 ? share : 1 - share)), far = ratio(flank[0], flank[1], depth - 1.6);
    return offset < 0 ? -far : far;
}

// Returns a component of the mixture, and sets what is left of a uniform number; as `pick_logistics` defines both.
__device__ int pick_component(const OutputDesk* desk, float uniform, double* share) {
    const int count = AFTER_MEANS - FIRST_MEAN;
    u64 total = 0, before = 0;
    for (int other = 0; other < count; other++) total += desk->weights[other];
    // in units of HALF_UNIFORM, and so is all that follows
    u64 target = (2 * (u64)(uniform * (1 << UNIFORM_BITS)) + 1) * total;
    int component = 0;
    for (; component < count - 1; component++) {
        u64 after = before + (desk->weights[component] << (UNIFORM_BITS + 1));
        if (after > target) break;
        before = after;
    }
    *share = (double)(target - before) / (double)(desk->weights[component] << (UNIFORM_BITS + 1));
    *share = fmin(fmax(*share, LEAST_REMAINDER), 1 - LEAST_REMAINDER);
    return component;
}

// Returns the next 16-bit sample to every thread, as `fast_gen.engines.sampling.pick_logistics` and `pick_gaussian` define
// it. Thread q has the weight of component q, and one warp does the rest.
__device__ int pick(OutputDesk* desk, const Arguments& all, float uniform, bool quiet) {
    float scale = quiet ? all.quiet_scale : all.scale;
    double temperature = quiet ? all.quiet_temperature : all.temperature;
    const float* logits = desk->logits;
    const int count = AFTER_MEANS - FIRST_MEAN;
    int own = threadIdx.x, component = 0;
    if (RULE == LOGISTICS_RULE) {
        for (int other = 1; other < count; other++)
            if (logits[other] > logits[component]) component = other;  // the first of the greatest
        if (own < count) desk->weights[own] = integer_weight((logits[own] - logits[component]) * scale);
        __syncthreads();  // all weights are there
    }
    if (own < 32) {
        double share = uniform + HALF_UNIFORM;
        if (RULE == LOGISTICS_RULE && scale != 0) component = pick_component(desk, uniform, &share);
        double value = logits[FIRST_MEAN + component];
        if (scale != 0) {
            double log_scale = fmin((double)logits[AFTER_MEANS + component], GREATEST_LOG_SCALE);
            value += temperature * (exp(log_scale) + LEAST_SCALE) * quantile(share);
        }
        double sample = floor(value / SAMPLE_STEP + 0.5);
        if (own == 0) desk->picked = (int)fmin(fmax(sample, (double)LOWEST_CODE), (double)HIGHEST_CODE);
    }
    __syncthreads();  // the sample is there
    return desk->picked;
}

#endif

// The past taps, the biases and the condition of a block's layers for one sample; the result is in `desk->gates`.
__device__ void look_back(const Arguments& all, LayerWeights weights, LayerDesk* desk, int first, int count, int step, int clip) {
    u32 time = (u32)all.start_time + step;  // it wraps around after 37 hours, as the host's does
    long long condition = all.condition ? ((long long)all.condition_steps[step] * all.batch + clip) * LAYERS * 2 * D : 0;
    for (int at = threadIdx.x; at < count * PAST * R; at += THREADS) {
        int layer = at / (PAST * R), tap = at / R % PAST, channel = at % R;
        int slot = (time - (PAST - tap) * desk->constants.dilations[layer]) & desk->constants.ring_masks[layer];
        long long place = (desk->constants.ring_starts[layer] + slot) * all.batch + clip;
        desk->past[layer][tap][channel] = value_at(all.slots, place * R + channel);
    }
    __syncthreads();  // the past is gathered before it is multiplied
    for (int layer = 0; layer < count; layer++) {
        const char* matrix = weights.of(layer);
        FOR_OUTPUTS(R, 2 * D) {
            float total = 0;
            for (int tap = 0; tap < PAST; tap++)
                total += share((const Words*)(matrix + tap * MATRIX_BYTES(R, 2 * D)), desk->past[layer][tap], R, 2 * D,
                               PARTS(R, 2 * D), output, part);
            total = joined(total, PARTS(R, 2 * D));
            if (active && part == 0) {
                int place = (first + layer) * 2 * D + output;
                total += desk->constants.gate_biases[layer][output];
                desk->gates[layer][output] = all.condition ? total + value_at(all.condition, condition + place) : total;
            }
        }
    }
}

// Returns a channel of the first layer's input: of table rows for the newest codes, or of the newest samples times rows
// and a bias.
__device__ float front(const float* tables, const int* codes, int channel) {
    float total = ONE_HOT ? 0 : tables[(2 * KERNEL_SIZE - 1) * R + channel];
    for (int tap = 0; tap < KERNEL_SIZE; tap++)
        total += ONE_HOT ? tables[(tap * (CODES + 1) + codes[tap]) * R + channel] : codes[tap] * tables[2 * tap * R + channel];
    return total;
}

// A block of layers, for all samples.
__device__ void run_layers(const Arguments& all, LayerWeights weights, LayerDesk* desk, u32 block, int clip) {
    OutputDesk* output1 = (OutputDesk*)desk;
    int first = all.first_layers[block], count = all.first_layers[block + 1] - first;
    int codes[KERNEL_SIZE];
    for (int tap = 0; tap < KERNEL_SIZE; tap++) codes[tap] = all.recent[clip * KERNEL_SIZE + tap];
    Predictor predictor = {};
    if (PREDICTED && block == 0) predictor = {all.predictions[clip], all.sizes[clip]};
    keep_constants(all, &desk->constants, first, count);
    Chain chain;
    chain.keep(weights, count);
    for (int step = 0; step < all.steps; step++) {
        look_back(all, weights, desk, first, count, step, clip);
        if (block == 0 && step > 0) {
            for (int tap = 0; tap < PAST; tap++) codes[tap] = codes[tap + 1];
            codes[PAST] = (int)receive(&desk->code_box, step);
        }
        // each warp computes the same, so that no barrier is needed
        if (PREDICTED && block == 0) predict(all, &predictor, codes[PAST], step, clip, threadIdx.x == 0);
        int channel = threadIdx.x / CHANNEL_THREADS;
        if (channel < R) {
            float hidden = 0;
            if (block == 0) {
                hidden = front(all.tables, codes, channel);
                if (PREDICTED)
                    hidden += all.prediction_values[predictor.value_row * R + channel] +
                              all.prediction_sizes[predictor.size_row * R + channel] +
                              all.prediction_innovations[predictor.innovation_row * R + channel];
            } else
                hidden = as_float(receive(&desk->hidden_box[channel], step + 1));
            chain.begin(desk, channel, hidden);
        }
        __syncthreads();  // the input and the looked-back gates are there
        chain.run(all, weights, desk, block, first, count, step, clip);
        FOR_OUTPUTS(D, S) {
            float total = 0;
            for (int layer = 0; layer < count; layer++) {
                const char* matrix = weights.of(layer) + LAYER_BYTES - MATRIX_BYTES(D, S);
                total += share((const Words*)matrix, desk->activated[layer], D, S, PARTS(D, S), output, part);
            }
            total = joined(total, PARTS(D, S));
            if (active && part == 0) send(&output1->skip_box[block][output], LAYER_BLOCKS, step + 1, as_bits(total));
        }
        __syncthreads();  // queue slots are written, and everything on the desk is read, before the next sample
    }
    if (block == 0) {
        int last = (int)receive(&desk->code_box, all.steps);
        __syncthreads();  // every thread has read the codes it began with
        if (PREDICTED && threadIdx.x == 0) {
            all.predictions[clip] = predictor.prediction;
            all.sizes[clip] = predictor.size;
        }
        if (threadIdx.x == 0) {
            for (int tap = 0; tap < PAST; tap++) all.recent[clip * KERNEL_SIZE + tap] = codes[tap + 1];
            all.recent[clip * KERNEL_SIZE + PAST] = last;
        }
    }
}

// The block of the first output layer, for all samples.
__device__ void run_output1(const Arguments& all, const char* weights, OutputDesk* desk) {
    for (int step = 0; step < all.steps; step++) {
        for (int channel = threadIdx.x; channel < S; channel += THREADS) {
            float total = all.skip_bias[channel];
            for (int block = 0; block < LAYER_BLOCKS; block++)
                total += as_float(receive(&desk->skip_box[block][channel], step + 1));
            desk->vector[channel] = rounded(fmaxf(total, 0));
        }
        __syncthreads();  // the whole vector is there
        FOR_OUTPUTS(S, S) {
            int parts = PARTS(S, S);
            float total = joined(share((const Words*)weights, desk->vector, S, S, parts, output, part), parts);
            total = fmaxf(total + all.output1_bias[output], 0);
            if (!FLOAT_OUTPUT) total = rounded(total);
            if (active && part == 0) send(&desk->output_box[output], LAYER_BLOCKS + 1, step + 1, as_bits(total));
        }
        __syncthreads();  // the vector is read before the next sample's is written
    }
}

// The block of the second output layer and the pick, for all samples.
__device__ void run_output2(const Arguments& all, const char* weights, OutputDesk* desk, int clip) {
    const int half = HALF && !FLOAT_OUTPUT, parts = PARTS_OF(half, S, Q);
    int code = all.recent[clip * KERNEL_SIZE + PAST], quiet_run = all.quiet_runs[clip];
    for (int step = 0; step < all.steps; step++) {
        long long row = (long long)step * all.batch + clip;
        for (int channel = threadIdx.x; channel < S; channel += THREADS)
            desk->vector[channel] = as_float(receive(&desk->output_box[channel], step + 1));
        __syncthreads();  // the whole vector is there
        FOR_OUTPUTS_IN(parts, Q) {
            float total = joined(share<half>((const Words*)weights, desk->vector, S, Q, parts, output, part), parts);
            total += all.output2_bias[output];
            if (output >= FIRST_MEAN && output < AFTER_MEANS) total += (float)code * (float)SAMPLE_STEP;  // from the newest sample
            if (active && part == 0) desk->logits[output] = total;
        }
        __syncthreads();  // all logits are there
        if (all.logits) {
            if (threadIdx.x < Q) all.logits[row * Q + threadIdx.x] = desk->logits[threadIdx.x];
            code = all.codes[row];
        } else {
            code = pick(desk, all, all.uniforms[row], quiet_run >= all.quiet_samples);
            if (threadIdx.x == 0) all.codes[row] = (short)code;
        }
        quiet_run = next_quiet_run(quiet_run, code);
        if (threadIdx.x == 0) send(&((LayerDesk*)desk)->code_box, 0, step + 1, (u32)code);
        __syncthreads();  // logits and pick are read before the next sample's are written
    }
    if (threadIdx.x == 0) all.quiet_runs[clip] = quiet_run;
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) append_codes(const Arguments all) {
    SHARED_MEMORY(memory);
    u32 block = block_in_cluster();
    int clip = blockIdx.x / (LAYER_BLOCKS + 2);
    bool layers = block < LAYER_BLOCKS;
    int desk_bytes = layers ? LAYER_DESK_BYTES : OUTPUT_DESK_BYTES;
    Words* weights = memory + desk_bytes / 16;
    long long start = all.starts[block], size = all.starts[block + 1] - start;
    if (layers) size = LEAST(size, (long long)HELD_LAYERS * LAYER_BYTES / 16);
    for (long long at = threadIdx.x; at < size; at += THREADS) weights[at] = all.weights[start + at];
    for (int at = threadIdx.x; at < desk_bytes / 8; at += THREADS) ((u64*)memory)[at] = 0;
    meet_cluster();  // every box is empty before anything is sent, and all weights are there
    LayerWeights of_layers = {(const char*)weights, (const char*)(all.weights + start)};
    if (layers) run_layers(all, of_layers, (LayerDesk*)memory, block, clip);
    else if (block == LAYER_BLOCKS) run_output1(all, (const char*)weights, (OutputDesk*)memory);
    else run_output2(all, (const char*)weights, (OutputDesk*)memory, clip);
    __syncthreads();  // the warps of a block come together again before they meet the others
    meet_cluster();  // no block leaves while others may still write into its memory
}
