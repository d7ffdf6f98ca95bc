// Measures how fast this GPU reads its cache and its shared memory, and how long threads and blocks take to synchronise.
// Compiled after primitives.cu of fast_gen/engines/gpu/cluster; the host defines THREADS. Each kernel writes the clock
// cycles of its first block.

struct Arguments {
    const Words* memory;
    long long words;   // of 16 bytes
    int rounds;
    long long* cycles;
    u32* sink;         // written, so that no read is optimised away
};

__device__ Words cached(const Words* place) {
    Words found;
    asm volatile("ld.global.cg.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(found.word[0]), "=r"(found.word[1]), "=r"(found.word[2]), "=r"(found.word[3]) : "l"(place));
    return found;
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) read_cache(const Arguments all) {
    u32 total = 0;
    long long began = clock64();
    for (int round = 0; round < all.rounds; round++)
        for (long long at = threadIdx.x; at + 7 * THREADS < all.words; at += 8 * THREADS) {
            Words found[8];
            for (int place = 0; place < 8; place++) found[place] = cached(all.memory + at + place * THREADS);
            for (int place = 0; place < 8; place++) total ^= found[place].word[0] ^ found[place].word[3];
        }
    __syncthreads();
    if (blockIdx.x == 0 && threadIdx.x == 0) *all.cycles = clock64() - began;
    all.sink[blockIdx.x * THREADS + threadIdx.x] = total;
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) read_shared(const Arguments all) {
    SHARED_MEMORY(memory);
    for (int at = threadIdx.x; at < all.words; at += THREADS) memory[at] = all.memory[at];
    __syncthreads();
    u32 here = (u32)__cvta_generic_to_shared(memory), total = 0;
    long long began = clock64();
    for (int round = 0; round < all.rounds; round++)
        for (long long at = threadIdx.x; at + 3 * THREADS < all.words; at += 4 * THREADS) {
            Words found[4];
            for (int place = 0; place < 4; place++)
                asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
                             : "=r"(found[place].word[0]), "=r"(found[place].word[1]), "=r"(found[place].word[2]),
                               "=r"(found[place].word[3])
                             : "r"(here + 16 * (u32)(at + place * THREADS)));
            for (int place = 0; place < 4; place++) total ^= found[place].word[0] ^ found[place].word[3];
        }
    __syncthreads();
    if (blockIdx.x == 0 && threadIdx.x == 0) *all.cycles = clock64() - began;
    all.sink[blockIdx.x * THREADS + threadIdx.x] = total;
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) meet_threads(const Arguments all) {
    long long began = clock64();
    for (int round = 0; round < all.rounds; round++) __syncthreads();
    if (threadIdx.x == 0) *all.cycles = clock64() - began;
}

// Blocks 0 and 1 of a cluster alternately send each other a word; a round is two hops.
extern "C" __global__ void __launch_bounds__(THREADS, 1) hop(const Arguments all) {
    SHARED_MEMORY(memory);
    u64* box = (u64*)memory;
    if (threadIdx.x == 0) *box = 0;
    meet_cluster();
    long long began = clock64();
    if (threadIdx.x == 0)
        for (int round = 1; round <= all.rounds; round++) {
            if (block_in_cluster() == 0) send(box, 1, round, round);
            receive(box, round);
            if (block_in_cluster() == 1) send(box, 0, round, round);
        }
    if (block_in_cluster() == 0 && threadIdx.x == 0) *all.cycles = clock64() - began;
    meet_cluster();
}
