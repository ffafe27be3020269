/* Vectors of float32 by the extensions of GCC and Clang, and the inner loop of all matrix products.

   Matrices lie in panels of 32 columns: column j of row i stands at [j / 32][i][j % 32]. */

#ifndef CAPSNET_VECTORS_H
#define CAPSNET_VECTORS_H

#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define LANES 16
#define TILE_ROWS 8
#elif defined(__AVX__)
#define LANES 8
#define TILE_ROWS 6
#else
#define LANES 4
#define TILE_ROWS 8
#endif

#define PANEL 32
#define SUMMED 64
#define VECTORS (PANEL / LANES)
#define INLINE static inline __attribute__((always_inline))

typedef float vector __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef float four __attribute__((vector_size(16), aligned(4), may_alias));
typedef uint16_t halves __attribute__((vector_size(LANES * 2), aligned(2), may_alias));
typedef uint32_t words __attribute__((vector_size(LANES * 4)));

INLINE vector load(const float *from) { return *(const vector *)from; }

INLINE void store(float *to, vector value) { *(vector *)to = value; }

/* Values i to i + LANES - 1 of float32 or bfloat16 numbers. */
INLINE vector load_as(const void *from, int64_t i, int bfloat16)
{
    if (!bfloat16)
        return load((const float *)from + i);
    words wide = __builtin_convertvector(*(const halves *)((const uint16_t *)from + i), words) << 16;
    return (vector)wide;
}

/* to[column * to_step + row] = from[row * from_step + column] for 4 rows and 4 columns. */
INLINE void transpose_four(const float *from, int64_t from_step, float *to, int64_t to_step)
{
    four a = *(const four *)from, b = *(const four *)(from + from_step);
    four c = *(const four *)(from + 2 * from_step), d = *(const four *)(from + 3 * from_step);
    four ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    *(four *)to = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
    *(four *)(to + to_step) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
    ab = __builtin_shufflevector(a, b, 2, 6, 3, 7), cd = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    *(four *)(to + 2 * to_step) = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
    *(four *)(to + 3 * to_step) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}

/* The same for any number of rows and columns. Loops with steps would become gathers and scatters, which are slow. */
INLINE void transpose(const float *from, int64_t from_step, float *to, int64_t to_step, int64_t rows, int64_t columns)
{
    int64_t whole_rows = rows / 4 * 4, whole_columns = columns / 4 * 4;
    for (int64_t row = 0; row < whole_rows; row += 4)
        for (int64_t column = 0; column < whole_columns; column += 4)
            transpose_four(from + row * from_step + column, from_step, to + column * to_step + row, to_step);
    for (int64_t row = 0; row < rows; row++)
        for (int64_t column = row < whole_rows ? whole_columns : 0; column < columns; column++)
            to[column * to_step + row] = from[row * from_step + column];
}

/* A run of `count` products: left[row * row_step + k * step] * right[k][column]. */
typedef struct {
    const float *left;
    const float *right;
} Run;

/* Sum `runs` runs of `panels * length` products each for `rows` rows and two vectors of columns; `panel_step` leads from
   one panel of the left matrix to the next. Sums of SUMMED products are added up in turn, which rounds less. */
INLINE void multiply_tile(int rows, int64_t row_step, int64_t step, const Run *run, int runs, int64_t panels,
                          int64_t length, int64_t panel_step, float *result)
{
    vector totals[TILE_ROWS][2];
#pragma GCC unroll 16
    for (int row = 0; row < rows; row++)
        totals[row][0] = totals[row][1] = (vector){0};
    for (int number = 0; number < runs; number++) {
        const float *right = run[number].right;
        for (int64_t panel = 0; panel < panels; panel++) {
            const float *left = run[number].left + panel * panel_step;
            for (int64_t first = 0; first < length; first += SUMMED) {
                int64_t last = first + SUMMED < length ? first + SUMMED : length;
                vector sums[TILE_ROWS][2];
#pragma GCC unroll 16
                for (int row = 0; row < rows; row++)
                    sums[row][0] = sums[row][1] = (vector){0};
                for (int64_t k = first; k < last; k++) {
                    vector one = load(right), two = load(right + LANES);
#pragma GCC unroll 16
                    for (int row = 0; row < rows; row++) {
                        float value = left[row * row_step];
                        sums[row][0] += value * one;
                        sums[row][1] += value * two;
                    }
                    left += step;
                    right += PANEL;
                }
#pragma GCC unroll 16
                for (int row = 0; row < rows; row++) {
                    totals[row][0] += sums[row][0];
                    totals[row][1] += sums[row][1];
                }
            }
        }
    }
#pragma GCC unroll 16
    for (int row = 0; row < rows; row++) {
        store(result + row * PANEL, totals[row][0]);
        store(result + row * PANEL + LANES, totals[row][1]);
    }
}

/* All rows and the 32 columns of one panel: `result` is rows x 32. The steps must be constants. */
INLINE void multiply_panel(int64_t rows, int64_t row_step, int64_t step, const Run *run, int runs, int64_t panels,
                           int64_t length, int64_t panel_step, float *result)
{
    for (int column = 0; column < PANEL; column += 2 * LANES) {
        int64_t row = 0;
        while (row < rows) {
            Run moved[16];
            for (int number = 0; number < runs; number++)
                moved[number] = (Run){run[number].left + row * row_step, run[number].right + column};
            float *to = result + row * PANEL + column;
#define TILE(number) multiply_tile(number, row_step, step, moved, runs, panels, length, panel_step, to), row += number
            if (rows - row >= TILE_ROWS)
                TILE(TILE_ROWS);
            else if (rows - row >= 4)
                TILE(4);
            else if (rows - row >= 2)
                TILE(2);
            else
                TILE(1);
#undef TILE
        }
    }
}

#endif
