/* A convolution of stride 1 with its ReLU, and the gradients of its weight and bias, for windows of few values.

   The result is a product of two matrices. A row of the left one is the window of one position, which is read where it
   lies in the image: value k of the window at position p is image[positions[p] + offsets[k]]. The right one is the
   weight in panels of 32 output channels: o / 32, k, 32. Feature maps and their gradients lie as b, position, o. */

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "vectors.h"

#define HUGE_PAGE ((uintptr_t)2 << 20)

/* Positions that are multiplied with one panel after another, while their numbers stay in the cache. */
#define BLOCK 64

/* Images, in any layout, and their windows. */
typedef struct {
    const float *first;
    int64_t count;
    int64_t step;             /* from one image to the next, in values */
    const int64_t *positions; /* where each window begins in an image */
    int64_t position_count;
    const int64_t *offsets;   /* where each value of a window lies behind its beginning */
    int64_t window;           /* values in a window */
} Images;

/* Store numbers i to i + LANES - 1 of float32 or bfloat16. The lower half of a NaN must be zero for bfloat16: it is if
   that of all inputs is. */
INLINE void store_as(void *to, int64_t i, vector value, int bfloat16)
{
    words bits = (words)value;
    if (bfloat16) {
        words rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
        *(halves *)((uint16_t *)to + i) = __builtin_convertvector(rounded, halves);
    } else
        store((float *)to + i, value);
}

/* A ReLU's value from its input, or its input's gradient: 0 where `reference` is at most 0. NaN passes through. */
INLINE vector mask(vector value, vector reference)
{
    return (vector)((words)value & ~(words)(reference <= (vector){0}));
}

/* Sum left[rows[row] + steps[k]] * right[k][column] over k, for `count` rows and two vectors of columns. */
INLINE void sum_products(int count, const float *left, const int64_t *rows, const int64_t *steps, int64_t length,
                         const float *right, vector (*sums)[2])
{
    const float *from[TILE_ROWS];
#pragma GCC unroll 16
    for (int row = 0; row < count; row++) {
        from[row] = left + rows[row];
        sums[row][0] = sums[row][1] = (vector){0};
    }
    for (int64_t k = 0; k < length; k++) {
        vector first = load(right + k * PANEL), second = load(right + k * PANEL + LANES);
#pragma GCC unroll 16
        for (int row = 0; row < count; row++) {
            float value = from[row][steps[k]];
            sums[row][0] += value * first;
            sums[row][1] += value * second;
        }
    }
}

/* Call TILE with TILE_ROWS, 4, 2 or 1 rows, which advances `row`, until all `count` rows are done. */
#define FOR_TILES(row, count)                                                                                          \
    for (int64_t row = 0; row < (count);) {                                                                            \
        if ((count) - row >= TILE_ROWS)                                                                                \
            TILE(TILE_ROWS);                                                                                           \
        else if ((count) - row >= 4)                                                                                   \
            TILE(4);                                                                                                   \
        else if ((count) - row >= 2)                                                                                   \
            TILE(2);                                                                                                   \
        else                                                                                                           \
            TILE(1);                                                                                                   \
    }

/* Feature maps of `count` positions in two vectors of channels, the first of which are the numbers from `at` on. */
INLINE void convolve_tile(int count, const float *image, const int64_t *positions, const Images *x, const float *weight,
                          const float *bias, int64_t channels, void *result, int64_t at, int bfloat16)
{
    vector sums[TILE_ROWS][2];
    int size = bfloat16 ? 2 : 4;
    /* the processor reads a line of memory before it writes it: let it begin while the sums are computed */
#pragma GCC unroll 16
    for (int row = 0; row < count; row++)
        for (int half = 0; half < 2; half++)
            __builtin_prefetch((char *)result + (at + row * channels + half * LANES) * size, 1);
    sum_products(count, image, positions, x->offsets, x->window, weight, sums);
#pragma GCC unroll 16
    for (int row = 0; row < count; row++)
        for (int half = 0; half < 2; half++) {
            vector value = sums[row][half] + load(bias + half * LANES);
            store_as(result, at + row * channels + half * LANES, mask(value, value), bfloat16);
        }
}

INLINE void convolve(const Images *x, const float *weight, const float *bias, int64_t channels, void *result,
                     int bfloat16)
{
    for (int64_t number = 0; number < x->count; number++) {
        const float *image = x->first + number * x->step;
        for (int64_t block = 0; block < x->position_count; block += BLOCK) {
            int64_t rows = x->position_count - block < BLOCK ? x->position_count - block : BLOCK;
            for (int64_t channel = 0; channel < channels; channel += 2 * LANES) {
                const float *panel = weight + channel / PANEL * PANEL * x->window + channel % PANEL;
                int64_t at = (number * x->position_count + block) * channels + channel;
#define TILE(number)                                                                                                   \
    convolve_tile(number, image, x->positions + block + row, x, panel, bias + channel, channels, result,               \
                  at + row * channels, bfloat16),                                                                      \
        row += number
                FOR_TILES(row, rows)
#undef TILE
            }
        }
    }
}

/* Ask for huge pages in memory that nobody has used yet: the page faults of small ones take longer than the writing. */
void use_huge_pages(void *memory, int64_t bytes)
{
#ifdef __linux__
    uintptr_t first = ((uintptr_t)memory + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    uintptr_t end = ((uintptr_t)memory + (uintptr_t)bytes) / HUGE_PAGE * HUGE_PAGE;
    /* if the system declines, it takes small pages */
    if (first < end)
        (void)madvise((void *)first, end - first, MADV_HUGEPAGE);
#else
    (void)memory, (void)bytes;
#endif
}

/* Feature maps, in float32 or bfloat16, of images. */
void conv_relu(const Images *x, const float *weight, const float *bias, int64_t channels, void *result, int bfloat16)
{
    if (bfloat16)
        convolve(x, weight, bias, channels, result, 1);
    else
        convolve(x, weight, bias, channels, result, 0);
}

/* Add `count` numbers to as many others, a whole number of vectors. */
INLINE void add_to(float *to, const float *numbers, int64_t count)
{
    for (int64_t i = 0; i < count; i += LANES)
        store(to + i, load(to + i) + load(numbers + i));
}

/* Lay `rows` rows of masked gradients, from number `at` on, into panels of 32 channels: o / 32, row, 32. `sums`, of
   each channel, are added to the bias's gradient as a whole, so that it rounds less. */
INLINE void pack_masked(const void *gradient, const void *output, int64_t at, int64_t rows, int64_t channels,
                        float *panels, float *sums, float *for_bias, int bfloat16)
{
    memset(sums, 0, channels * sizeof *sums);
    for (int64_t row = 0; row < rows; row++)
        for (int64_t channel = 0; channel < channels; channel += LANES) {
            int64_t i = at + row * channels + channel;
            vector masked = mask(load_as(gradient, i, bfloat16), load_as(output, i, bfloat16));
            store(panels + (channel / PANEL * rows + row) * PANEL + channel % PANEL, masked);
            store(sums + channel, load(sums + channel) + masked);
        }
    add_to(for_bias, sums, channels);
}

/* What the next block needs of the gradient and of the output. */
typedef struct {
    const char *gradient, *output;
    int64_t bytes;
    int64_t share; /* bytes that are fetched at a time */
} Ahead;

/* Bring the next share into the cache while other numbers are multiplied. */
INLINE void fetch(Ahead *ahead)
{
    int64_t end = ahead->bytes - ahead->share;
    for (; ahead->bytes > 0 && ahead->bytes > end; ahead->bytes -= 64) {
        __builtin_prefetch(ahead->gradient, 0, 2);
        __builtin_prefetch(ahead->output, 0, 2);
        ahead->gradient += 64;
        ahead->output += 64;
    }
}

/* Add the gradient of `count` values of the window in two vectors of channels. */
INLINE void add_tile(int count, const float *image, const int64_t *offsets, const int64_t *positions, int64_t rows,
                     const float *masked, float *for_weight, Ahead *ahead)
{
    vector sums[TILE_ROWS][2];
    fetch(ahead);
    sum_products(count, image, offsets, positions, rows, masked, sums);
#pragma GCC unroll 16
    for (int row = 0; row < count; row++)
        for (int half = 0; half < 2; half++) {
            float *to = for_weight + row * PANEL + half * LANES;
            store(to, load(to) + sums[row][half]);
        }
}

/* Add the gradients of `rows` positions of one image from the number `block` on. */
INLINE void add_block(const Images *x, const float *image, int64_t block, int64_t rows, int64_t channels,
                      const float *panels, float *for_weight, Ahead *ahead)
{
    for (int64_t channel = 0; channel < channels; channel += 2 * LANES) {
        const float *masked = panels + channel / PANEL * PANEL * rows + channel % PANEL;
        float *to = for_weight + channel / PANEL * PANEL * x->window + channel % PANEL;
#define TILE(number)                                                                                                   \
    add_tile(number, image, x->offsets + k, x->positions + block, rows, masked, to + k * PANEL, ahead), k += number
        FOR_TILES(k, x->window)
#undef TILE
    }
}

INLINE void sum_gradients(const Images *x, const void *gradient, const void *output, int64_t channels, int64_t each,
                          float *scratch, float *for_weight, float *for_bias, int bfloat16)
{
    int64_t size = bfloat16 ? 2 : 4, tiles = channels / (2 * LANES) * (x->window / TILE_ROWS + 1);
    int64_t blocks = (x->position_count + BLOCK - 1) / BLOCK;
    for (int64_t index = 0; index < x->count; index++) {
        if (index > 0 && index % each == 0) {
            for_weight += channels * x->window;
            for_bias += channels;
        }
        if (index % each == 0) {
            memset(for_weight, 0, channels * x->window * sizeof *for_weight);
            memset(for_bias, 0, channels * sizeof *for_bias);
        }
        for (int64_t number = 0; number < blocks; number++) {
            int64_t block = x->position_count * number / blocks;
            int64_t rows = x->position_count * (number + 1) / blocks - block, most = rows * channels;
            int64_t at = (index * x->position_count + block) * channels, next = at + most;
            int64_t rest = x->count * x->position_count * channels - next;
            Ahead ahead = {(const char *)gradient + next * size, (const char *)output + next * size,
                           (rest < most ? rest : most) * size, most * size / tiles};
            pack_masked(gradient, output, at, rows, channels, scratch, scratch + BLOCK * channels, for_bias, bfloat16);
            add_block(x, x->first + index * x->step, block, rows, channels, scratch, for_weight, &ahead);
        }
    }
}

/* The gradients of weight (sum, o / 32, k, 32) and bias (sum, o), each sum that of `each` images. `scratch` holds
   (BLOCK + 1) * channels numbers. */
void conv_relu_gradients(const Images *x, const void *gradient, const void *output, int64_t channels, int64_t each,
                         float *scratch, float *for_weight, float *for_bias, int bfloat16)
{
    if (bfloat16)
        sum_gradients(x, gradient, output, channels, each, scratch, for_weight, for_bias, 1);
    else
        sum_gradients(x, gradient, output, channels, each, scratch, for_weight, for_bias, 0);
}

/* Add `count` sums of `size` numbers to the first. */
void add_up(float *sums, int64_t count, int64_t size)
{
    for (int64_t number = 1; number < count; number++)
        add_to(sums, sums + number * size, size);
}
