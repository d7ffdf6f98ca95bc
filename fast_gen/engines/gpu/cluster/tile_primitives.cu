// What the kernel for tiles of clips asks of the hardware besides `primitives.cu` (PTX of sm_90): counters and data
// between the blocks of a cluster, and products on tensor cores.
//
// Data of any size goes from block to block so: all threads `put` it, the block meets, one thread `announce`s a number,
// and the other block, having `wait_for` that number, reads. The announcement releases what the meeting has gathered.

// Writes into the shared memory of another block, at the place that `place` has in this one.
__device__ void put(Words* place, u32 block, Words value) {
    u32 here = (u32)__cvta_generic_to_shared(place), there;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(here), "r"(block));
    asm volatile("st.shared::cluster.v4.u32 [%0], {%1, %2, %3, %4};" ::"r"(there), "r"(value.word[0]), "r"(value.word[1]),
                 "r"(value.word[2]), "r"(value.word[3]) : "memory");
}

// Sets a counter of another block, and makes known to it all that this block did before it last met.
__device__ void announce(u32* counter, u32 block, u32 number) {
    u32 here = (u32)__cvta_generic_to_shared(counter), there;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(here), "r"(block));
    asm volatile("st.release.cluster.shared::cluster.u32 [%0], %1;" ::"r"(there), "r"(number) : "memory");
}

// Waits until a counter of this block has reached a number.
__device__ void wait_for(const u32* counter, u32 number) {
    u32 here = (u32)__cvta_generic_to_shared(counter), found;
    do {
        asm volatile("ld.acquire.cluster.shared::cta.u32 %0, [%1];" : "=r"(found) : "r"(here) : "memory");
    } while (found < number);
}

// Reads a code that another block of the cluster may have written, so not from this multiprocessor's own cache.
__device__ int code_at(const short* codes, long long place) {
    short code;
    asm volatile("ld.relaxed.gpu.global.s16 %0, [%1];" : "=h"(code) : "l"(codes + place) : "memory");
    return code;
}

// The two parts of a float32, each of which a tensor core takes whole.
__device__ void split_in_two(u32 value, u32* large, u32* small) {
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(*large) : "f"(__uint_as_float(value)));
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(*small) : "f"(__uint_as_float(value) - __uint_as_float(*large)));
}

__device__ void multiply_parts(float* sums, const u32* left, u32 right0, u32 right1) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                 : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right0), "r"(right1));
}

// Adds the product of 16 x 8 words of weights and 8 words of each of 8 clips to 16 x 8 sums, which a warp holds together.
//
// A word is a float32 or two numbers of bfloat16, of consecutive inputs. With g = lane / 4 and t = lane % 4, a thread
// brings the weights of outputs g and g + 8 for words t and t + 4 as (g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4), and
// words t and t + 4 of clip g. Its sums are those of output g for clips 2t and 2t + 1, then those of output g + 8.
__device__ void multiply(float* sums, Words weights, u32 first, u32 second) {
#if HALF
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                 : "r"(weights.word[0]), "r"(weights.word[1]), "r"(weights.word[2]), "r"(weights.word[3]), "r"(first),
                   "r"(second));
#else
    u32 large[4], small[4], large0, small0, large1, small1;
    for (int at = 0; at < 4; at++) split_in_two(weights.word[at], &large[at], &small[at]);
    split_in_two(first, &large0, &small0);
    split_in_two(second, &large1, &small1);
    multiply_parts(sums, small, large0, large1);  // the small products first, as they are rounded least then
    multiply_parts(sums, large, small0, small1);
    multiply_parts(sums, large, large0, large1);
#endif
}
