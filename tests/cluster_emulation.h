// Runs a kernel of clusters on one core: every thread of the GPU is a context of its own, and gives way wherever it waits.
//
// It stands in for primitives.cu and tile_primitives.cu, and for what the CUDA compiler brings along. `order` 0 gives way
// to the next thread, -1 to the first that can go on, so that blocks run ahead of those that they send to, and other
// numbers to threads in a random order. HALF is that of the kernel.

#include <cmath>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ucontext.h>
#include <vector>

typedef unsigned int u32;
typedef unsigned long long u64;

struct alignas(16) Words { u32 word[4]; };

#define __device__
#define __global__
#define __launch_bounds__(threads, blocks)

struct Place { int x; };

struct Meeting {
    int members = 0, arrived = 0, meetings = 0;
    void wait();
};

struct Thread {
    ucontext_t context;  // in which it starts
    jmp_buf place;       // at which it goes on, which costs no call of the system
    bool started = false;
    std::vector<char> stack;
    Place thread, block;
    int rank;
    bool ended = false;
    const Meeting* meeting = nullptr;  // at which it waits for the end of number `met`
    int met;
    const volatile u32* counter = nullptr;  // which it waits for to reach `number`
    const volatile u64* box = nullptr;  // in which it waits for message `number`
    u32 number;
    bool can_go_on() const {
        return !ended && (!meeting || meeting->meetings != met) && (!counter || *counter >= number) &&
               (!box || (u32)(*box >> 32) == number);
    }
};

static std::vector<Thread> all_threads;
static int now;
static u32 order;
static ucontext_t host;

#define threadIdx (all_threads[now].thread)
#define blockIdx (all_threads[now].block)

static Place gridDim;

static int another() {
    int count = all_threads.size(), other = now;
    if (order == ~0u) {
        other = -1;
    } else if (order) {
        order = order * 1664525u + 1013904223u;
        other = (other + (order >> 8) % count) % count;
    }
    for (int tries = 0; tries < count; tries++) {
        other = (other + 1) % count;
        if (all_threads[other].can_go_on()) return other;
    }
    return -1;
}

[[noreturn]] static void go_on(int other) {
    now = other;
    if (all_threads[other].started) _longjmp(all_threads[other].place, 1);
    all_threads[other].started = true;
    setcontext(&all_threads[other].context);
    abort();
}

static void give_way() {
    int other = another();
    if (other < 0) {
        fprintf(stderr, "every thread waits for others\n");
        abort();
    }
    if (other != now && !_setjmp(all_threads[now].place)) go_on(other);
}

[[noreturn]] static void end_thread() {
    all_threads[now].ended = true;
    int other = another();
    if (other >= 0) go_on(other);
    for (const Thread& thread : all_threads)
        if (!thread.ended) abort();
    setcontext(&host);
    abort();
}

void Meeting::wait() {
    Thread& thread = all_threads[now];
    thread.met = meetings;
    if (++arrived == members) {
        arrived = 0;
        meetings++;
        return;
    }
    thread.meeting = this;
    give_way();
    thread.meeting = nullptr;
}

struct BlockState {
    std::vector<u64> memory;
    std::vector<double> exchanged;
    std::vector<u32> multiplied;
    std::vector<Meeting> warps;
    Meeting meeting;
};

static std::vector<BlockState> all_blocks;
static Meeting cluster;

static BlockState& here() { return all_blocks[all_threads[now].rank]; }

static void __syncthreads() { here().meeting.wait(); }
static void __syncwarp() { here().warps[threadIdx.x / 32].wait(); }

template <class T> T exchanged(T value, int lane) {
    int warp = threadIdx.x / 32;
    double* places = &here().exchanged[warp * 32];
    places[threadIdx.x % 32] = value;
    here().warps[warp].wait();
    T found = lane >= 0 && lane < 32 ? (T)places[lane] : value;
    here().warps[warp].wait();
    return found;
}

template <class T> T __shfl_xor_sync(u32, T value, int mask) { return exchanged(value, (threadIdx.x % 32) ^ mask); }
template <class T> T __shfl_up_sync(u32, T value, int far) { return exchanged(value, threadIdx.x % 32 - far); }
template <class T> T __shfl_down_sync(u32, T value, int far) { return exchanged(value, threadIdx.x % 32 + far); }

template <class To, class From> To same_bits(From from) {
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}

static u32 __reduce_add_sync(u32, u32 value) {
    int warp = threadIdx.x / 32;
    u32* values = &here().multiplied[warp * 192];
    values[threadIdx.x % 32] = value;
    here().warps[warp].wait();
    u32 total = 0;
    for (int lane = 0; lane < 32; lane++) total += values[lane];
    here().warps[warp].wait();
    return total;
}

#define __uint_as_float same_bits<float, u32>
#define __float_as_uint same_bits<u32, float>
#define __expf expf
#define __fdividef(one, other) ((float)(one) / (other))

static u32 __umulhi(u32 one, u32 other) { return (u64)one * other >> 32; }

static int atomicMin(int* place, int value) {
    int before = *place;
    if (value < before) *place = value;
    return before;
}

#define SHARED_MEMORY(name) Words* name = (Words*)here().memory.data()

static u32 bfloat16_bits(float value) {
    u32 bits = same_bits<u32, float>(value);
    return value == value ? (bits + 0x7fff + ((bits >> 16) & 1)) >> 16 : 0x7fff;
}

static u32 block_in_cluster() { return all_threads[now].rank; }
static void meet_cluster() { cluster.wait(); }

static void send(u64* box, u32 block, u32 number, u32 data) {
    size_t place = box - here().memory.data();
    if (place >= all_blocks[block].memory.size()) abort();
    all_blocks[block].memory[place] = ((u64)number << 32) | data;
    give_way();
}

static u32 receive(volatile u64* box, u32 number) {
    Thread& thread = all_threads[now];
    thread.box = box;
    thread.number = number;
    give_way();
    thread.box = nullptr;
    return (u32)*box;
}

static void put(Words* place, u32 block, Words value) {
    size_t offset = (char*)place - (char*)here().memory.data();
    if (offset + sizeof value > all_blocks[block].memory.size() * 8) abort();
    memcpy((char*)all_blocks[block].memory.data() + offset, &value, sizeof value);
}

static void announce(u32* counter, u32 block, u32 number) {
    size_t offset = (char*)counter - (char*)here().memory.data();
    memcpy((char*)all_blocks[block].memory.data() + offset, &number, sizeof number);
    give_way();
}

static void wait_for(volatile u32* counter, u32 number) {
    Thread& thread = all_threads[now];
    thread.counter = counter;
    thread.number = number;
    give_way();
    thread.counter = nullptr;
}

static int code_at(const short* codes, long long place) { return codes[place]; }

// A word as the tensor cores see it: two numbers, or the larger or the smaller part of one.
static float part_of(u32 word, int part) {
    if (HALF) return same_bits<float, u32>(part ? word & 0xffff0000 : word << 16);
    float whole = same_bits<float, u32>(word), large = same_bits<float, u32>((word + 0x1000) & 0xffffe000);
    if (!part) return large;
    return same_bits<float, u32>((same_bits<u32, float>(whole - large) + 0x1000) & 0xffffe000);
}

static void multiply(float* sums, Words weights, u32 first, u32 second) {
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    u32* words = &here().multiplied[warp * 192];
    for (int at = 0; at < 4; at++) words[lane * 6 + at] = weights.word[at];
    words[lane * 6 + 4] = first;
    words[lane * 6 + 5] = second;
    here().warps[warp].wait();
    for (int at = 0; at < 4; at++) {
        int output = lane / 4, clip = lane % 4 * 2 + at % 2;
        for (int word = 0; word < 8; word++) {
            u32 left = words[(output * 4 + word % 4) * 6 + at / 2 + word / 4 * 2];
            u32 right = words[(clip * 4 + word % 4) * 6 + 4 + word / 4];
            if (!HALF) {
                sums[at] += part_of(left, 1) * part_of(right, 0);
                sums[at] += part_of(left, 0) * part_of(right, 1);
            }
            sums[at] += part_of(left, 0) * part_of(right, 0);
            if (HALF) sums[at] += part_of(left, 1) * part_of(right, 1);
        }
    }
    here().warps[warp].wait();
}

struct Arguments;
static const Arguments* arguments;
extern "C" void append_codes(const Arguments all);
static void thread_body();

// Runs one cluster after the other.
extern "C" void emulate(const Arguments* all, int clusters, int blocks, int threads, int shared_bytes, u32 first_order) {
    arguments = all;
    gridDim.x = clusters * blocks;
    for (int number_of_cluster = 0; number_of_cluster < clusters; number_of_cluster++) {
        order = first_order;
        cluster = Meeting{blocks * threads};
        all_blocks = std::vector<BlockState>(blocks);
        all_threads = std::vector<Thread>(blocks * threads);
        for (int number = 0; number < blocks * threads; number++) {
            Thread& thread = all_threads[number];
            BlockState& block = all_blocks[number / threads];
            block.memory.resize(shared_bytes / 8, 0x7f7f7f7f7f7f7f7full);
            block.exchanged.resize(threads);
            block.multiplied.resize(threads * 6);
            block.warps.resize(threads / 32, Meeting{32});
            block.meeting.members = threads;
            thread.thread.x = number % threads;
            thread.block.x = number_of_cluster * blocks + number / threads;
            thread.rank = number / threads;
            thread.stack.resize(65536);
            getcontext(&thread.context);
            thread.context.uc_stack.ss_sp = thread.stack.data();
            thread.context.uc_stack.ss_size = thread.stack.size();
            makecontext(&thread.context, thread_body, 0);
        }
        now = 0;
        all_threads[0].started = true;
        swapcontext(&host, &all_threads[0].context);
    }
}
