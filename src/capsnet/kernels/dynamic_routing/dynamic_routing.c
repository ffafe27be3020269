/* Dynamic routing, forward and backward, without votes in memory. The derivation is in README.md of this folder.

   b i j c d: image, child, parent, child dimension, parent dimension. Sixteen images are one block: they lie side by
   side in vectors, so that softmax and every sum over c, d or j is elementwise. Arrays "of a block" are [..][16], and
   the last block is filled up with images of zeros. The votes of one child and one block (j d 16) stay in the cache.
   Children are summed in chunks of 32, and the chunks in their order: results depend neither on the number of threads
   nor on the other images. */

#include "vectors.h"

#include <math.h>

#define BLOCK 16
#define CHUNK 32
#define GROUP 8
#define WIDTH (BLOCK / LANES)
/* rows of a product that fill the registers */
#if LANES == 16
#define ROWS 16
#elif LANES == 8
#define ROWS 6
#else
#define ROWS 4
#endif

/* rows of a product whose rows lie far from each other */
#define FEW_ROWS (ROWS < 8 ? ROWS : 8)

typedef int32_t signs __attribute__((vector_size(LANES * 4)));

typedef struct {
    int64_t images, children, parents, c, d, iterations, leaky, full, backward;
    const float *poses;     /* b i c */
    const float *weight;    /* i c j d */
    const float *bias;      /* j d, or null */
    float *outputs;         /* b j d: poses of the parents, or in the backward pass their gradient */
    float *coupling;        /* j i b, or null; in the backward pass its gradient */
    float *totals;          /* r b j d: s, bias included */
    float *reached;         /* blocks r j d 16: the sum of the poses of earlier iterations, V */
    float *grad_totals;     /* blocks r j d 16: the gradient of s; before it is known, s itself */
    float *agreed;          /* blocks j d 16: the gradient of the poses of the iteration before */
    float *sums;            /* blocks chunks j d 16: the sums of each chunk, where chunks are divided among threads */
    float *grad_poses;      /* b i c */
    float *grad_weight;     /* i c j d */
    float *grad_bias;       /* j d */
} Call;

/* Memory of one thread. */
typedef struct {
    float *children;      /* 32 c 16: poses of a chunk */
    float *grad_children; /* 32 c 16 */
    float *votes;         /* j d 16, rows filled up to a multiple of 16; in `find_gradients` votes, then their gradient */
    float *agreement;     /* 8 r j 16: logits, then the coupling of some children in each iteration */
    float *grad_logits;   /* 8 r j 16: gradients of the coupling, then of the logits */
    float *turned;        /* 16 16 */
    float *sums;          /* chunks j d 16 */
} Room;

INLINE int64_t up(int64_t size) { return (size + BLOCK - 1) / BLOCK * BLOCK; }

INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

INLINE int64_t chunks_of(const Call *call) { return (call->children + CHUNK - 1) / CHUNK; }

INLINE int64_t blocks_of(const Call *call) { return (call->images + BLOCK - 1) / BLOCK; }

/* Numbers in one block of `j d`. */
INLINE int64_t pose_size(const Call *call) { return call->parents * call->d * BLOCK; }

static int64_t divide_room(const Call *call, float *start, Room *room)
{
    int64_t chunk = CHUNK * call->c * BLOCK, pose = up(call->parents * call->d) * BLOCK;
    int64_t pairs = GROUP * call->iterations * call->parents * BLOCK;
    float *end = start;
    room->children = end, end += chunk;
    room->grad_children = end, end += chunk;
    room->votes = end, end += pose;
    room->agreement = end, end += pairs;
    room->grad_logits = end, end += pairs;
    room->turned = end, end += BLOCK * BLOCK;
    room->sums = end, end += chunks_of(call) * pose;
    return end - start;
}

/* How many numbers the memory of a thread has. */
int64_t room_size(const Call *call)
{
    Room room;
    return divide_room(call, (float *)0, &room);
}

/* result[row] (+)= sum over k of left[row * row_step + k * step] * right[k], rows of `result` and `right` in vectors. */
INLINE void multiply_rows(int rows, const float *left, int64_t row_step, int64_t step, const float *right,
                          int64_t length, int add, float *result, int64_t result_step)
{
    vector sums[ROWS][WIDTH];
#pragma GCC unroll 16
    for (int row = 0; row < rows; row++)
#pragma GCC unroll 4
        for (int w = 0; w < WIDTH; w++)
            sums[row][w] = add ? load(result + row * result_step + w * LANES) : (vector){0};
    for (int64_t k = 0; k < length; k++) {
        vector factor[WIDTH];
#pragma GCC unroll 4
        for (int w = 0; w < WIDTH; w++)
            factor[w] = load(right + w * LANES);
#pragma GCC unroll 16
        for (int row = 0; row < rows; row++) {
            float value = left[row * row_step];
#pragma GCC unroll 4
            for (int w = 0; w < WIDTH; w++)
                sums[row][w] += value * factor[w];
        }
        left += step;
        right += BLOCK;
    }
#pragma GCC unroll 16
    for (int row = 0; row < rows; row++)
#pragma GCC unroll 4
        for (int w = 0; w < WIDTH; w++)
            store(result + row * result_step + w * LANES, sums[row][w]);
}

/* The same for any number of rows, `most` (at most ROWS) at a time. */
INLINE void multiply(int most, int64_t rows, const float *left, int64_t row_step, int64_t step, const float *right,
                     int64_t length, int add, float *result, int64_t result_step)
{
    int64_t row = 0;
    while (row < rows) {
        const float *from = left + row * row_step;
        float *to = result + row * result_step;
        int64_t rest = rows - row;
#define TILE(number) multiply_rows(number, from, row_step, step, right, length, add, to, result_step), row += number
        if (rest >= most && !(most == 6 && rest == 8))
            TILE(most);
        else if (most > 8 && rest >= 8)
            TILE(8);
        else if (most > 4 && rest >= 4)
            TILE(4);
        else if (rest >= 2)
            TILE(2);
        else
            TILE(1);
#undef TILE
    }
}

/* A square of LANES x LANES numbers, transposed: log2(LANES) times, each row of the first half is interleaved with its
   row of the second half. */
INLINE void turn(const float *from, int64_t from_step, float *to, int64_t to_step)
{
    vector a[LANES], b[LANES];
#pragma GCC unroll 16
    for (int row = 0; row < LANES; row++)
        a[row] = load(from + row * from_step);
#pragma GCC unroll 4
    for (int stage = 1; stage < LANES; stage *= 2) {
#pragma GCC unroll 16
        for (int row = 0; row < LANES / 2; row++) {
            vector one = a[row], other = a[row + LANES / 2];
#if LANES == 16
            b[2 * row] = __builtin_shufflevector(one, other, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            b[2 * row + 1] =
                __builtin_shufflevector(one, other, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
#elif LANES == 8
            b[2 * row] = __builtin_shufflevector(one, other, 0, 8, 1, 9, 2, 10, 3, 11);
            b[2 * row + 1] = __builtin_shufflevector(one, other, 4, 12, 5, 13, 6, 14, 7, 15);
#else
            b[2 * row] = __builtin_shufflevector(one, other, 0, 4, 1, 5);
            b[2 * row + 1] = __builtin_shufflevector(one, other, 2, 6, 3, 7);
#endif
        }
#pragma GCC unroll 16
        for (int row = 0; row < LANES; row++)
            a[row] = b[row];
    }
#pragma GCC unroll 16
    for (int row = 0; row < LANES; row++)
        store(to + row * to_step, a[row]);
}

/* Transpose 16 x 16 numbers. */
static void transpose_block(const float *from, int64_t from_step, float *to, int64_t to_step)
{
    for (int row = 0; row < BLOCK; row += LANES)
        for (int column = 0; column < BLOCK; column += LANES)
            turn(from + row * from_step + column, from_step, to + column * to_step + row, to_step);
}

/* Rows of at most 16 images become a block: `to` is [columns][16]. */
static void take_block(const float *from, int64_t step, int64_t images, int64_t columns, float *to)
{
    int64_t column = 0;
    if (images == BLOCK)
        for (; column + BLOCK <= columns; column += BLOCK)
            transpose_block(from + column, step, to + column * BLOCK, BLOCK);
    for (; column < columns; column++)
        for (int64_t image = 0; image < BLOCK; image++)
            to[column * BLOCK + image] = image < images ? from[image * step + column] : 0;
}

/* A block [columns][16] becomes rows of images. */
static void put_block(const float *from, int64_t columns, float *to, int64_t step, int64_t images)
{
    int64_t column = 0;
    if (images == BLOCK)
        for (; column + BLOCK <= columns; column += BLOCK)
            transpose_block(from + column * BLOCK, BLOCK, to + column, step);
    for (; column < columns; column++)
        for (int64_t image = 0; image < images; image++)
            to[image * step + column] = from[column * BLOCK + image];
}

INLINE vector choose(signs condition, vector yes, vector no)
{
    return (vector)((condition & (signs)yes) | (~condition & (signs)no));
}

/* e to the power of numbers from -infinity to 0, with a relative error of 1e-7; zero below e^-87. A NaN stays one. */
INLINE vector exponential(vector x)
{
    const vector zero = {0}, lowest = zero - 87.0f;
    const float shift = 0x1.8p23f;
    vector limited = choose(x < lowest, lowest, x);
    /* x = n log 2 + rest; after the shift, n is the low bits of the number */
    vector shifted = limited * 0x1.715476p0f + shift, n = shifted - shift;
    vector rest = limited - n * 0.693359375f + n * 2.12194440e-4f;
    vector power = zero + 1.9875691500e-4f;
    power = power * rest + 1.3981999507e-3f;
    power = power * rest + 8.3334519073e-3f;
    power = power * rest + 4.1665795894e-2f;
    power = power * rest + 1.6666665459e-1f;
    power = power * rest + 5.0000001201e-1f;
    power = power * (rest * rest) + rest + 1.0f;
    vector scale = (vector)(((signs)shifted << 23) + (127 << 23));
    return choose(x < lowest, zero, power * scale);
}

/* Softmax over the parents, in place; `leaky`: one more logit, 0, whose share is dropped. `logits` is j 16. */
INLINE void softmax(int64_t parents, int leaky, float *logits)
{
    for (int w = 0; w < WIDTH; w++, logits += LANES) {
        const vector zero = {0};
        vector most = leaky ? zero : load(logits);
        for (int64_t j = 0; j < parents; j++) {
            vector logit = load(logits + j * BLOCK);
            most = choose(logit > most, logit, most);
        }
        vector sum = leaky ? exponential(zero - most) : zero;
        for (int64_t j = 0; j < parents; j++) {
            vector power = exponential(load(logits + j * BLOCK) - most);
            sum += power;
            store(logits + j * BLOCK, power);
        }
        vector share = 1.0f / sum;
        for (int64_t j = 0; j < parents; j++)
            store(logits + j * BLOCK, load(logits + j * BLOCK) * share);
    }
}

/* The gradient of the logits in the place of that of the coupling, c (g - sum over j of c g). It also holds where the
   leaky softmax has dropped its last share. */
INLINE void softmax_gradient(int64_t parents, const float *coupling, float *grad)
{
    for (int w = 0; w < WIDTH; w++, coupling += LANES, grad += LANES) {
        vector mean = {0};
        for (int64_t j = 0; j < parents; j++)
            mean += load(coupling + j * BLOCK) * load(grad + j * BLOCK);
        for (int64_t j = 0; j < parents; j++)
            store(grad + j * BLOCK, load(coupling + j * BLOCK) * (load(grad + j * BLOCK) - mean));
    }
}

/* Products of votes and a vector for each parent, summed over d: `votes` and `with` are j d 16, `result` is j 16. */
INLINE void agree(int64_t parents, int64_t d, const float *votes, const float *with, float *result)
{
    for (int64_t j = 0; j < parents; j++, votes += d * BLOCK, with += d * BLOCK, result += BLOCK)
#pragma GCC unroll 4
        for (int w = 0; w < WIDTH; w++) {
            vector sums[4] = {{0}};
            int64_t k = 0;
            for (; k + 4 <= d; k += 4)
#pragma GCC unroll 4
                for (int part = 0; part < 4; part++) {
                    int64_t at = (k + part) * BLOCK + w * LANES;
                    sums[part] += load(votes + at) * load(with + at);
                }
            for (; k < d; k++)
                sums[0] += load(votes + k * BLOCK + w * LANES) * load(with + k * BLOCK + w * LANES);
            store(result + w * LANES, (sums[0] + sums[1]) + (sums[2] + sums[3]));
        }
}

/* sum += factor * vector, for each parent: `factors` is j 16, the others are j d 16. */
INLINE void add_scaled(int64_t parents, int64_t d, const float *factors, const float *vectors, float *sum)
{
    for (int64_t j = 0; j < parents; j++, factors += BLOCK)
#pragma GCC unroll 4
        for (int w = 0; w < WIDTH; w++) {
            vector factor = load(factors + w * LANES);
            for (int64_t at = j * d * BLOCK + w * LANES; at < (j + 1) * d * BLOCK; at += BLOCK)
                store(sum + at, load(sum + at) + factor * load(vectors + at));
        }
}

INLINE float larger(float a, float b) { return b > a ? b : a; }

/* Squash, and derivative. Vectors are scaled by their largest entry, as in capsnet.functional.squash. x: d 16. */
static void squash(int64_t d, const float *x, float *result)
{
    for (int lane = 0; lane < BLOCK; lane++) {
        float unit = 1, square = 1e-20f;
        for (int64_t k = 0; k < d; k++)
            unit = larger(unit, fabsf(x[k * BLOCK + lane]));
        for (int64_t k = 0; k < d; k++)
            square += (x[k * BLOCK + lane] / unit) * (x[k * BLOCK + lane] / unit);
        float inverse = 1 / unit, factor = sqrtf(square) / (inverse * inverse + square);
        for (int64_t k = 0; k < d; k++)
            result[k * BLOCK + lane] = x[k * BLOCK + lane] / unit * factor;
    }
}

static void squash_gradient(int64_t d, float *x, const float *grad)
{
    for (int lane = 0; lane < BLOCK; lane++) {
        float most = 1, square = 1e-20f, along = 0;
        for (int64_t k = 0; k < d; k++)
            most = larger(most, fabsf(x[k * BLOCK + lane]));
        float scale = 1 / most, unit = scale * scale;
        for (int64_t k = 0; k < d; k++) {
            float y = x[k * BLOCK + lane] * scale;
            square += y * y;
            along += y * grad[k * BLOCK + lane];
        }
        float norm = sqrtf(square), below = unit + square;
        along *= (unit - square) / (norm * (below * below));
        for (int64_t k = 0; k < d; k++) {
            float y = x[k * BLOCK + lane] * scale;
            x[k * BLOCK + lane] = (grad[k * BLOCK + lane] * norm / below + y * along) * scale;
        }
    }
}

/* Coupling of one child and block to or from `j i b`. */
INLINE void keep_coupling(const Call *call, int64_t block, int64_t child, const float *coupling)
{
    int64_t images = least(BLOCK, call->images - block * BLOCK);
    for (int64_t j = 0; j < call->parents; j++) {
        float *to = call->coupling + (j * call->children + child) * call->images + block * BLOCK;
        memcpy(to, coupling + j * BLOCK, images == BLOCK ? BLOCK * 4 : images * 4);
    }
}

INLINE void add_direct(const Call *call, int64_t block, int64_t child, float *grad)
{
    int64_t images = least(BLOCK, call->images - block * BLOCK);
    for (int64_t j = 0; j < call->parents; j++)
        for (int64_t image = 0; image < images; image++)
            grad[j * BLOCK + image] +=
                call->coupling[(j * call->children + child) * call->images + block * BLOCK + image];
}

INLINE int64_t begin_chunk(const Call *call, int64_t block, int64_t chunk, float *children)
{
    int64_t first = chunk * CHUNK, count = least(CHUNK, call->children - first), row = call->children * call->c;
    const float *from = call->poses + block * BLOCK * row + first * call->c;
    take_block(from, row, least(BLOCK, call->images - block * BLOCK), count * call->c, children);
    return count;
}

/* Agreements become the coupling of one iteration, and gradients of the coupling those of its logits. */
INLINE void couple(const Call *call, int64_t block, int64_t child, int64_t step, int with_gradient, float *agreement,
                   float *grad)
{
    softmax(call->parents, call->leaky, agreement);
    if (with_gradient && call->coupling && step == call->iterations - 1)
        add_direct(call, block, child, grad);
    if (with_gradient)
        softmax_gradient(call->parents, agreement, grad);
}

/* The sum over the children of a chunk: coupling times votes, or in the backward pass gradient of logits times votes.
   `sum` is j d 16. */
static void sum_chunk(const Call *call, int64_t step, int64_t block, int64_t chunk, const Room *room, float *sum)
{
    int64_t width = call->parents * call->d, c = call->c, first = chunk * CHUNK;
    int64_t at = (block * call->iterations + step) * pose_size(call);
    int keep = !call->backward && call->coupling && step == call->iterations - 1;
    const float *weight = call->weight + first * c * width;
    int64_t count = begin_chunk(call, block, chunk, room->children);
    if (step == 0) {
        multiply(ROWS, width, weight, 1, width, room->children, count * c, 0, sum, BLOCK);
        float share = 1.0f / (call->parents + call->leaky);
        for (int64_t at = 0; at < width * BLOCK; at++)
            sum[at] *= share;
        return;
    }
    memset(sum, 0, width * BLOCK * 4);
    for (int64_t child = 0; child < count; child++, weight += c * width) {
        const float *own = room->children + child * c * BLOCK;
        multiply(ROWS, width, weight, 1, width, own, c, 0, room->votes, BLOCK);
        agree(call->parents, call->d, room->votes, call->reached + at, room->agreement);
        if (call->backward)
            agree(call->parents, call->d, room->votes, call->grad_totals + at, room->grad_logits);
        couple(call, block, first + child, step, call->backward != 0, room->agreement, room->grad_logits);
        add_scaled(call->parents, call->d, call->backward ? room->grad_logits : room->agreement, room->votes, sum);
        if (keep)
            keep_coupling(call, block, first + child, room->agreement);
    }
}

/* Sum the chunks of one block into the first. */
INLINE void sum_chunks(const Call *call, float *sums)
{
    int64_t size = pose_size(call);
    for (int64_t chunk = 1; chunk < chunks_of(call); chunk++)
        for (int64_t at = 0; at < size; at++)
            sums[at] += sums[chunk * size + at];
}

/* End of a forward iteration of one block: bias, squash, and the next V. */
static void finish_forward(const Call *call, int64_t step, int64_t block, float *sums)
{
    int64_t size = pose_size(call), width = call->parents * call->d, images = least(BLOCK, call->images - block * BLOCK);
    sum_chunks(call, sums);
    for (int64_t row = 0; call->bias && row < width; row++)
        for (int lane = 0; lane < BLOCK; lane++)
            sums[row * BLOCK + lane] += call->bias[row];
    put_block(sums, width, call->totals + (step * call->images + block * BLOCK) * width, width, images);
    for (int64_t j = 0; j < call->parents; j++)
        squash(call->d, sums + j * call->d * BLOCK, sums + j * call->d * BLOCK);
    if (step == call->iterations - 1) {
        put_block(sums, width, call->outputs + block * BLOCK * width, width, images);
        return;
    }
    float *reached = call->reached + (block * call->iterations + step) * size;
    for (int64_t at = 0; at < size; at++)
        reached[size + at] = sums[at] + (step ? reached[at] : 0);
}

/* End of a backward iteration of one block: gradient of the iteration before. */
static void finish_backward(const Call *call, int64_t step, int64_t block, float *sums)
{
    int64_t size = pose_size(call), parent = call->d * BLOCK;
    sum_chunks(call, sums);
    float *agreed = call->agreed + block * size;
    float *grad = call->grad_totals + (block * call->iterations + step - 1) * size;
    for (int64_t at = 0; at < size; at++)
        agreed[at] += sums[at];
    for (int64_t j = 0; j < call->parents; j++)
        squash_gradient(call->d, grad + j * parent, agreed + j * parent);
}

/* All V of one block again from `totals`, and the gradient of the last s. `agreed` holds the gradient of the outputs
   meanwhile. */
static void begin_backward(const Call *call, int64_t block)
{
    int64_t size = pose_size(call), width = call->parents * call->d, parent = call->d * BLOCK;
    int64_t images = least(BLOCK, call->images - block * BLOCK), last = call->iterations - 1;
    float *reached = call->reached + block * call->iterations * size;
    float *grad = call->grad_totals + block * call->iterations * size;
    float *agreed = call->agreed + block * size;
    for (int64_t step = 0; step <= last; step++) {
        take_block(call->totals + (step * call->images + block * BLOCK) * width, width, images, width, grad + step * size);
        for (int64_t j = 0; step < last && j < call->parents; j++)
            squash(call->d, grad + step * size + j * parent, reached + (step + 1) * size + j * parent);
        for (int64_t at = 0; step && step < last && at < size; at++)
            reached[(step + 1) * size + at] += reached[step * size + at];
    }
    take_block(call->outputs + block * BLOCK * width, width, images, width, agreed);
    for (int64_t j = 0; j < call->parents; j++)
        squash_gradient(call->d, grad + last * size + j * parent, agreed + j * parent);
    memset(agreed, 0, size * 4);
}

/* One pass over some chunks and all blocks, into `sums`. */
void sum_votes(const Call *call, int64_t step, int64_t first, int64_t end, float *start)
{
    Room room;
    divide_room(call, start, &room);
    for (int64_t chunk = first; chunk < end; chunk++)
        for (int64_t block = 0; block < blocks_of(call); block++)
            sum_chunk(call, step, block, chunk, &room,
                      call->sums + (block * chunks_of(call) + chunk) * pose_size(call));
}

void begin(const Call *call)
{
    for (int64_t block = 0; block < blocks_of(call); block++)
        begin_backward(call, block);
}

/* What follows a pass whose chunks are all summed. */
void finish(const Call *call, int64_t step)
{
    for (int64_t block = 0; block < blocks_of(call); block++)
        (call->backward ? finish_backward : finish_forward)(
            call, step, block, call->sums + block * chunks_of(call) * pose_size(call));
}

/* All passes over some blocks. */
void iterate(const Call *call, int64_t first, int64_t end, float *start)
{
    Room room;
    divide_room(call, start, &room);
    int64_t passes = call->backward ? (call->full ? call->iterations - 1 : 0) : call->iterations;
    for (int64_t block = first; block < end; block++) {
        if (call->backward)
            begin_backward(call, block);
        for (int64_t pass = 0; pass < passes; pass++) {
            int64_t step = call->backward ? call->iterations - 1 - pass : pass;
            for (int64_t chunk = 0; chunk < chunks_of(call); chunk++)
                sum_chunk(call, step, block, chunk, &room, room.sums + chunk * pose_size(call));
            (call->backward ? finish_backward : finish_forward)(call, step, block, room.sums);
        }
    }
}

/* Some rows of the gradient of the votes of one child and parent: the sum over iterations of c ds + gamma V. `at` leads
   to the first row in arrays j d 16; `coupling` and `grad_logits` are r j 16, from the parent on. */
INLINE void find_grad_rows(int rows, const Call *call, int64_t block, int64_t at, const float *coupling,
                           const float *grad_logits, float *result)
{
    int64_t size = pose_size(call), pairs = call->parents * BLOCK, last = call->iterations - 1;
    int uniform = call->full || last == 0;
    const float *reached = call->reached + block * call->iterations * size + at;
    const float *grad = call->grad_totals + block * call->iterations * size + at;
    float share = 1.0f / (call->parents + call->leaky);
    for (int w = 0; w < BLOCK; w += LANES) {
        vector sums[4] = {{0}};
        if (uniform)
#pragma GCC unroll 4
            for (int row = 0; row < rows; row++)
                sums[row] = share * load(grad + row * BLOCK + w);
        for (int64_t step = uniform ? 1 : last; step <= last; step++) {
            vector c = load(coupling + step * pairs + w), gamma = load(grad_logits + step * pairs + w);
#pragma GCC unroll 4
            for (int row = 0; row < rows; row++) {
                sums[row] += c * load(grad + step * size + row * BLOCK + w);
                if (call->full)
                    sums[row] += gamma * load(reached + step * size + row * BLOCK + w);
            }
        }
#pragma GCC unroll 4
        for (int row = 0; row < rows; row++)
            store(result + row * BLOCK + w, sums[row]);
    }
}

/* The gradient of the votes of one child for `count` parents from `first` on. */
INLINE void find_grad_votes(const Call *call, int64_t block, int64_t first, int64_t count, const float *coupling,
                            const float *grad_logits, float *result)
{
    for (int64_t j = first; j < first + count; j++)
        for (int64_t k = 0, rows; k < call->d; k += rows, result += rows * BLOCK) {
            int64_t at = (j * call->d + k) * BLOCK;
            rows = call->d - k >= 4 ? 4 : 1;
            if (rows == 4)
                find_grad_rows(4, call, block, at, coupling + j * BLOCK, grad_logits + j * BLOCK, result);
            else
                find_grad_rows(1, call, block, at, coupling + j * BLOCK, grad_logits + j * BLOCK, result);
        }
}

/* Add a block's share to `rows` columns of the weight's gradient, c rows `step` apart. `grad_votes` is [rows][16]. */
INLINE void add_grad_weight(const Call *call, const float *own, int64_t rows, const float *grad_votes, float *turned,
                            int add, float *grad_weight, int64_t step)
{
    for (int64_t column = 0; column < rows; column += BLOCK) {
        transpose_block(grad_votes + column * BLOCK, BLOCK, turned, BLOCK);
        if (column + BLOCK <= rows) {
            multiply(FEW_ROWS, call->c, own, BLOCK, 1, turned, BLOCK, add, grad_weight + column, step);
            continue;
        }
        for (int64_t row = 0; row < call->c; row++) {
            float result[BLOCK], *to = grad_weight + row * step + column;
            multiply_rows(1, own + row * BLOCK, BLOCK, 1, turned, BLOCK, 0, result, BLOCK);
            for (int64_t k = 0; k < rows - column; k++)
                to[k] = add ? to[k] + result[k] : result[k];
        }
    }
}

/* The gradients of poses and weight of `count` children from `first` on, `own` their poses c 16. Some parents at a time:
   what belongs to them then stays in the cache for all children. */
static void find_group(const Call *call, int64_t block, int64_t first, int64_t count, const float *own,
                       const Room *room, float *grad_own)
{
    int64_t c = call->c, d = call->d, width = call->parents * d, size = pose_size(call), pairs = call->parents * BLOCK;
    int64_t last = call->iterations - 1, begin = call->full || !last ? 1 : last, some = d < BLOCK ? BLOCK / d : 1;
    int64_t all = call->iterations * pairs, start = block * call->iterations * size;
    for (int64_t j = 0; last && j < call->parents; j += some)
        for (int64_t child = 0; child < count; child++) {
            int64_t parents = least(some, call->parents - j), at = start + j * d * BLOCK;
            const float *weight = call->weight + (first + child) * c * width + j * d;
            multiply(ROWS, parents * d, weight, 1, width, own + child * c * BLOCK, c, 0, room->votes, BLOCK);
            for (int64_t step = begin; step <= last; step++) {
                int64_t pair = child * all + step * pairs + j * BLOCK;
                agree(parents, d, room->votes, call->reached + at + step * size, room->agreement + pair);
                if (call->full)
                    agree(parents, d, room->votes, call->grad_totals + at + step * size, room->grad_logits + pair);
            }
        }
    for (int64_t child = 0; child < count; child++)
        for (int64_t step = begin; step <= last; step++)
            couple(call, block, first + child, step, call->full != 0, room->agreement + child * all + step * pairs,
                   room->grad_logits + child * all + step * pairs);
    for (int64_t j = 0; j < call->parents; j += some)
        for (int64_t child = 0; child < count; child++) {
            int64_t parents = least(some, call->parents - j), at = (first + child) * c * width + j * d;
            find_grad_votes(call, block, j, parents, room->agreement + child * all, room->grad_logits + child * all,
                            room->votes);
            multiply(FEW_ROWS, c, call->weight + at, width, 1, room->votes, parents * d, j > 0,
                     grad_own + child * c * BLOCK, BLOCK);
            add_grad_weight(call, own + child * c * BLOCK, parents * d, room->votes, room->turned, block > 0,
                            call->grad_weight + at, width);
        }
}

/* The gradients of poses and weight of some chunks of children, over all blocks. */
void find_gradients(const Call *call, int64_t first_chunk, int64_t end_chunk, float *start)
{
    Room room;
    divide_room(call, start, &room);
    int64_t c = call->c, row = call->children * c;
    for (int64_t chunk = first_chunk; chunk < end_chunk; chunk++)
        for (int64_t block = 0; block < blocks_of(call); block++) {
            int64_t count = begin_chunk(call, block, chunk, room.children);
            for (int64_t child = 0; child < count; child += GROUP)
                find_group(call, block, chunk * CHUNK + child, least(GROUP, count - child),
                           room.children + child * c * BLOCK, &room, room.grad_children + child * c * BLOCK);
            put_block(room.grad_children, count * c, call->grad_poses + block * BLOCK * row + chunk * CHUNK * c, row,
                      least(BLOCK, call->images - block * BLOCK));
        }
}

/* The gradient of the bias: the sum of the gradients of s over images and iterations. */
void find_grad_bias(const Call *call)
{
    int64_t size = pose_size(call), first = call->full ? 0 : call->iterations - 1;
    for (int64_t row = 0; row < call->parents * call->d; row++) {
        float sums[BLOCK] = {0}, sum = 0;
        for (int64_t block = 0; block < blocks_of(call); block++)
            for (int64_t step = first; step < call->iterations; step++)
                for (int lane = 0; lane < BLOCK; lane++)
                    sums[lane] += call->grad_totals[(block * call->iterations + step) * size + row * BLOCK + lane];
        for (int lane = 0; lane < BLOCK; lane++)
            sum += sums[lane];
        call->grad_bias[row] = sum;
    }
}
