// Runs cluster_loop.cu on one core: every thread of the GPU is a context of its own, and gives way wherever it waits.
//
// It stands in for cluster_primitives.cu and for what the CUDA compiler brings along. `order` 0 gives way to the next
// thread, other numbers to threads in a random order.

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <ucontext.h>
#include <vector>

typedef unsigned int u32;
typedef unsigned long long u64;

#define __device__
#define __global__
#define __launch_bounds__(threads, blocks)

struct Place { int x; };

struct Thread {
    ucontext_t context;
    std::vector<char> stack;
    Place thread, block;
    int rank;
    bool ended = false;
};

static std::vector<Thread> all_threads;
static int now;
static u32 order;
static ucontext_t host;

#define threadIdx (all_threads[now].thread)
#define blockIdx (all_threads[now].block)

static int another() {
    int count = all_threads.size(), other = now;
    if (order) {
        order = order * 1664525u + 1013904223u;
        other = (other + (order >> 8) % count) % count;
    }
    for (int tries = 0; tries < count; tries++) {
        other = (other + 1) % count;
        if (!all_threads[other].ended) return other;
    }
    return -1;
}

static void give_way() {
    int before = now, other = another();
    if (other == before) return;
    now = other;
    swapcontext(&all_threads[before].context, &all_threads[other].context);
}

struct Meeting {
    int members = 0, arrived = 0, meetings = 0;
    void wait() {
        int mine = meetings;
        if (++arrived == members) {
            arrived = 0;
            meetings++;
        }
        while (meetings == mine) give_way();
    }
};

struct BlockState {
    std::vector<u64> memory;
    std::vector<double> exchanged;
    std::vector<Meeting> warps;
    Meeting meeting;
};

static std::vector<BlockState> all_blocks;
static Meeting cluster;

static BlockState& here() { return all_blocks[all_threads[now].rank]; }

static void __syncthreads() { here().meeting.wait(); }

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

#define __uint_as_float same_bits<float, u32>
#define __float_as_uint same_bits<u32, float>
#define __expf expf

static u32 __umulhi(u32 one, u32 other) { return (u64)one * other >> 32; }

static int atomicMin(int* place, int value) {
    int before = *place;
    if (value < before) *place = value;
    return before;
}

#define SHARED_MEMORY(name) Words* name = (Words*)here().memory.data()

static u32 block_in_cluster() { return all_threads[now].rank; }
static void meet_cluster() { cluster.wait(); }

static void send(u64* box, u32 block, u32 number, u32 data) {
    size_t place = box - here().memory.data();
    if (place >= all_blocks[block].memory.size()) abort();
    all_blocks[block].memory[place] = ((u64)number << 32) | data;
    give_way();
}

static u32 receive(volatile u64* box, u32 number) {
    while ((u32)(*box >> 32) != number) give_way();
    return (u32)*box;
}

struct Arguments;
static const Arguments* arguments;
extern "C" void append_codes(const Arguments all);
static void thread_body();

// Runs one cluster after the other.
extern "C" void emulate(const Arguments* all, int clips, int blocks, int threads, int shared_bytes, u32 first_order) {
    arguments = all;
    for (int clip = 0; clip < clips; clip++) {
        order = first_order;
        cluster = Meeting{blocks * threads};
        all_blocks = std::vector<BlockState>(blocks);
        all_threads = std::vector<Thread>(blocks * threads);
        for (int number = 0; number < blocks * threads; number++) {
            Thread& thread = all_threads[number];
            BlockState& block = all_blocks[number / threads];
            block.memory.resize(shared_bytes / 8, 0x7f7f7f7f7f7f7f7full);
            block.exchanged.resize(threads);
            block.warps.resize(threads / 32, Meeting{32});
            block.meeting.members = threads;
            thread.thread.x = number % threads;
            thread.block.x = clip * blocks + number / threads;
            thread.rank = number / threads;
            thread.stack.resize(65536);
            getcontext(&thread.context);
            thread.context.uc_stack.ss_sp = thread.stack.data();
            thread.context.uc_stack.ss_size = thread.stack.size();
            makecontext(&thread.context, thread_body, 0);
        }
        now = 0;
        swapcontext(&host, &all_threads[0].context);
    }
}
