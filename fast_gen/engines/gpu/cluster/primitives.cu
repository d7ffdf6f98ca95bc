// What the blocks of a thread-block cluster say to each other (PTX of sm_90), and the operands of the products.
//
// A message is one 64-bit word: the sample's number above, 32 bits of data below. It is written by one instruction, so a
// reader that sees the number sees the data; no fence and no barrier is needed between blocks.

typedef unsigned int u32;
typedef unsigned long long u64;

struct alignas(16) Words { u32 word[4]; };

// Returns the bits of the nearest bfloat16, of two the even one; what is not a number stays so.
__device__ u32 bfloat16_bits(float value) {
    unsigned short bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}

#define SHARED_MEMORY(name) extern __shared__ Words name[]

__device__ u32 block_in_cluster() {
    u32 rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}

// Every thread of every block arrives, and what each wrote before is seen by all.
__device__ void meet_cluster() {
    asm volatile("barrier.cluster.arrive.release.aligned;\n barrier.cluster.wait.acquire.aligned;" ::: "memory");
}

// Writes a message into the shared memory of another block, at the place that `box` has in this one.
__device__ void send(u64* box, u32 block, u32 number, u32 data) {
    u32 here = (u32)__cvta_generic_to_shared(box), there;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(here), "r"(block));
    u64 word = ((u64)number << 32) | data;
    asm volatile("st.relaxed.cluster.shared::cluster.u64 [%0], %1;" ::"r"(there), "l"(word) : "memory");
}

// Waits for the message of a sample in this block's shared memory, and returns its data.
__device__ u32 receive(u64* box, u32 number) {
    u32 here = (u32)__cvta_generic_to_shared(box);
    u64 word;
    do {
        asm volatile("ld.relaxed.cluster.shared::cta.u64 %0, [%1];" : "=l"(word) : "r"(here) : "memory");
    } while ((u32)(word >> 32) != number);
    return (u32)word;
}
