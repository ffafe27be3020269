/* Strided convolution by short bilinear algorithms, in float32: what op.py does with PyTorch's operations.

   Derivation: README.md in this folder. Axes: b images, h w places, c channels, o outputs, k taps; f p t phase, point and
   tile of the vertical axis, g q s of the horizontal one; n the pairs (q, g) of some neighbouring points q, from
   `plan->first` to `plan->last`. Images and results lie as b h w channel. Matrices with a row for each (b t s) lie in
   panels of 32 channels: channel j of row i stands at [j / 32][i][j % 32].

   Every function does a part of the work at these points, in one thread. Room to work in comes from the caller. */

#include "vectors.h"

/* Rows from one panel to the next, and likewise of the windows: not a power of two, whose addresses would all fall into
   the same lines of the cache. */
#define PITCH(rows) ((rows) | 1)
#define MOST_TERMS 64
#define MOST_RUNS 16
#define MOST_PAIRS 64
/* Windows taken together */
#define ITEMS 4

/* One axis: its matrices as in bilinear.py, the points of all phases under one another (fp). */
typedef struct {
    int64_t size, taps, outputs, tiles, phases;
    int64_t points;        /* of the first phase, which has the most */
    int64_t rows;          /* of all phases */
    const int64_t *counts; /* points of each phase */
    const float *image;    /* fp t size */
    const float *window;   /* fp k */
    const float *result;   /* p t outputs */
} Axis;

typedef struct {
    Axis vertical, horizontal;
    int64_t channels, outputs; /* multiples of 32 */
    int64_t first, last;       /* horizontal points q */
} Plan;

/* A sum of products with numbers at some distances from an address. */
typedef struct {
    int count;
    float factor[MOST_TERMS];
    int64_t distance[MOST_TERMS];
} Terms;

static void add_term(Terms *terms, float factor, int64_t distance)
{
    if (factor == 0)
        return;
    terms->factor[terms->count] = factor;
    terms->distance[terms->count++] = distance;
}

/* `count` sums, `to` numbers apart in the target, with terms `from` numbers apart in the source. */
typedef struct {
    int64_t count, to, from;
} Places;

INLINE void combine_terms(int terms, float *to, const char *from, const Terms *sum, int64_t bytes, int add, Places outer,
                          Places inner)
{
    for (int64_t i = 0; i < outer.count; i++)
        for (int64_t j = 0; j < inner.count; j++) {
            float *target = to + i * outer.to + j * inner.to;
            const char *source = from + (i * outer.from + j * inner.from) * bytes;
            vector sums[VECTORS];
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; v++)
                sums[v] = add ? load(target + v * LANES) : (vector){0};
#pragma GCC unroll 8
            for (int term = 0; term < terms; term++)
#pragma GCC unroll 8
                for (int v = 0; v < VECTORS; v++)
                    sums[v] += sum->factor[term] *
                               load_as(source + sum->distance[term] * bytes, v * LANES, bytes == 2);
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; v++)
                store(target + v * LANES, sums[v]);
        }
}

/* to = the sum of the terms, or to += it, for 32 channels at all places of two loops. */
INLINE void combine_numbers(float *to, const void *from, const Terms *terms, int64_t bytes, int add, Places outer,
                            Places inner)
{
    switch (terms->count) {
#define CASE(count)                                                      \
    case count:                                                          \
        combine_terms(count, to, from, terms, bytes, add, outer, inner); \
        break;
        CASE(0) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8)
#undef CASE
    default:
        combine_terms(terms->count, to, from, terms, bytes, add, outer, inner);
    }
}

static void combine(float *to, const float *from, const Terms *terms, Places outer, Places inner)
{
    combine_numbers(to, from, terms, 4, 0, outer, inner);
}

static void add_combined(float *to, const float *from, const Terms *terms, Places outer, Places inner)
{
    combine_numbers(to, from, terms, 4, 1, outer, inner);
}

static void combine_bfloat16(float *to, const void *from, const Terms *terms, Places outer, Places inner)
{
    combine_numbers(to, from, terms, 2, 0, outer, inner);
}

/* Place of point p of phase f among the points of all phases. */
static int64_t row_of(const Axis *axis, int64_t phase, int64_t point)
{
    for (int64_t before = 0; before < phase; before++)
        point += axis->counts[before];
    return point;
}

/* How many phases have a point. */
static int64_t phases_at(const Axis *axis, int64_t point)
{
    int64_t phases = 0;
    while (phases < axis->phases && point < axis->counts[phases])
        phases++;
    return phases;
}

/* Write the rows of the horizontal axis that the pairs n have; how many they are. */
static int64_t find_pairs(const Plan *plan, int64_t *rows)
{
    int64_t pairs = 0;
    for (int64_t q = plan->first; q < plan->last; q++)
        for (int64_t g = 0; g < phases_at(&plan->horizontal, q); g++)
            rows[pairs++] = row_of(&plan->horizontal, g, q);
    return pairs;
}

/* Where a weight's windows lie, as seen by a product with rows k and columns j: window (k, j) begins at
   k * k_step + j * j_step; there are `count` rows. An item is a row of one panel of 32 columns. */
typedef struct {
    int64_t count, k_step, j_step;
} Order;

INLINE int64_t place_of(Order order, int64_t item)
{
    return item / order.count * PANEL * order.j_step + item % order.count * order.k_step;
}

/* Write the windows of an item as `taps 32`. */
static void lay_windows(const float *weight, float *laid, Order order, int64_t item, int64_t taps)
{
    transpose(weight + place_of(order, item), order.j_step, laid, PANEL, PANEL, taps);
}

/* The order in which a product with the windows reads them: its columns are the input channels, or the outputs. */
static Order order_of(const Plan *plan, int64_t by_channel)
{
    int64_t taps = plan->vertical.taps * plan->horizontal.taps, row = plan->channels * taps;
    return by_channel ? (Order){plan->outputs, row, taps} : (Order){plan->channels, taps, row};
}

/* Turn `o c/32 k 32` into `o c k` in the same place, for pairs (o, c / 32) from first to last. */
void turn_windows(const Plan *plan, float *weight, int64_t first, int64_t last)
{
    int64_t taps = plan->vertical.taps * plan->horizontal.taps;
    float laid[taps * PANEL];
    for (int64_t pair = first; pair < last; pair++) {
        memcpy(laid, weight + pair * taps * PANEL, sizeof laid);
        transpose(laid, PANEL, weight + pair * taps * PANEL, taps, taps, PANEL);
    }
}

/* Windows at the points, n fp matrices in panels [j / 32][k][j % 32], of items from first to last. Item `first` begins
   `windows`; from one matrix to the next there are `pitch` items. */
static void lay_points(const Plan *plan, const float *weight, float *windows, Order order, int64_t pitch, int64_t first,
                       int64_t last)
{
    const Axis *v = &plan->vertical, *h = &plan->horizontal;
    int64_t rows[MOST_PAIRS], pairs = find_pairs(plan, rows), taps = v->taps * h->taps;
    float laid[ITEMS * taps * PANEL], columns[ITEMS * v->taps * PANEL];
    Terms down[v->rows], across[pairs];
    for (int64_t fp = 0; fp < v->rows; fp++) {
        down[fp].count = 0;
        for (int64_t k = 0; k < v->taps; k++)
            add_term(&down[fp], v->window[fp * v->taps + k], k * PANEL);
    }
    for (int64_t n = 0; n < pairs; n++) {
        across[n].count = 0;
        for (int64_t k = 0; k < h->taps; k++)
            add_term(&across[n], h->window[rows[n] * h->taps + k], k * PANEL);
    }
    for (int64_t item = first; item < last; item += ITEMS) {
        int64_t items = last - item < ITEMS ? last - item : ITEMS;
        for (int64_t i = 0; i < items; i++)
            lay_windows(weight, laid + i * taps * PANEL, order, item + i, taps);
        for (int64_t n = 0; n < pairs; n++) {
            combine(columns, laid, &across[n], (Places){items, v->taps * PANEL, taps * PANEL},
                    (Places){v->taps, PANEL, h->taps * PANEL});
            for (int64_t fp = 0; fp < v->rows; fp++)
                combine(windows + ((n * v->rows + fp) * pitch + item - first) * PANEL, columns, &down[fp],
                        (Places){items, PANEL, v->taps * PANEL}, (Places){1, 0, 0});
        }
    }
}

/* Windows at the points of the items from first to last; `windows` has room for all items. */
void transform_windows(const Plan *plan, const float *weight, float *windows, int64_t by_channel, int64_t first,
                       int64_t last)
{
    int64_t count = plan->channels * plan->outputs / PANEL;
    lay_points(plan, weight, windows + first * PANEL, order_of(plan, by_channel), PITCH(count), first, last);
}

/* The transpose, from windows of one panel `n fp o(32) c(32)` to the taps of 32 outputs, `o c/32 k 32`, of which `laid` is
   the first of this panel. With `add` it adds to them. */
static void add_windows(const Plan *plan, const float *windows, float *laid, int add)
{
    int64_t output = plan->vertical.taps * plan->horizontal.taps * plan->channels;
    const Axis *v = &plan->vertical, *h = &plan->horizontal;
    int64_t rows[MOST_PAIRS], pairs = find_pairs(plan, rows);
    float columns[pairs * v->taps * ITEMS * PANEL];
    Terms down[v->taps], across[h->taps];
    for (int64_t k = 0; k < v->taps; k++) {
        down[k].count = 0;
        for (int64_t fp = 0; fp < v->rows; fp++)
            add_term(&down[k], v->window[fp * v->taps + k], fp * PANEL * PANEL);
    }
    for (int64_t k = 0; k < h->taps; k++) {
        across[k].count = 0;
        for (int64_t n = 0; n < pairs; n++)
            add_term(&across[k], h->window[rows[n] * h->taps + k], n * v->taps * ITEMS * PANEL);
    }
    Places outputs = {ITEMS, PANEL, PANEL}, one = {1, 0, 0};
    for (int64_t o = 0; o < PANEL; o += ITEMS) {
        for (int64_t n = 0; n < pairs; n++)
            for (int64_t k = 0; k < v->taps; k++)
                combine(columns + (n * v->taps + k) * ITEMS * PANEL, windows + (n * v->rows * PANEL + o) * PANEL, &down[k],
                        outputs, one);
        for (int64_t k = 0; k < h->taps; k++) {
            Places rows = {v->taps, h->taps * PANEL, ITEMS * PANEL}, taps = {ITEMS, output, PANEL};
            float *to = laid + o * output + k * PANEL;
            if (add)
                add_combined(to, columns, &across[k], rows, taps);
            else
                combine(to, columns, &across[k], rows, taps);
        }
    }
}

/* Images first to last at the points: n fp matrices of `rows` rows. `points` begins with image first; `columns` is room
   for n h s c numbers. */
static void transform_images(const Plan *plan, const void *images, int64_t bfloat16, int64_t first, int64_t last,
                             float *points, int64_t rows, float *columns)
{
    const Axis *v = &plan->vertical, *h = &plan->horizontal;
    int64_t of[MOST_PAIRS], pairs = find_pairs(plan, of), c = plan->channels;
    int64_t tiles = v->tiles * h->tiles, strip = v->size * h->tiles * PANEL, panels = c / PANEL;
    Terms down[v->rows * v->tiles], across[pairs * h->tiles];
    for (int64_t row = 0; row < v->rows * v->tiles; row++) {
        down[row].count = 0;
        for (int64_t y = 0; y < v->size; y++)
            add_term(&down[row], v->image[row * v->size + y], y * h->tiles * PANEL);
    }
    for (int64_t n = 0; n < pairs * h->tiles; n++) {
        across[n].count = 0;
        for (int64_t x = 0; x < h->size; x++)
            add_term(&across[n], h->image[(of[n / h->tiles] * h->tiles + n % h->tiles) * h->size + x], x * c);
    }
    for (int64_t b = first; b < last; b++) {
        for (int64_t y = 0; y < v->size; y++)
            for (int64_t n = 0; n < pairs; n++)
                for (int64_t s = 0; s < h->tiles; s++) {
                    int64_t at = (b * v->size + y) * h->size * c;
                    float *to = columns + n * panels * strip + (y * h->tiles + s) * PANEL;
                    Places each = {panels, strip, PANEL}, one = {1, 0, 0};
                    if (bfloat16)
                        combine_bfloat16(to, (const uint16_t *)images + at, &across[n * h->tiles + s], each, one);
                    else
                        combine(to, (const float *)images + at, &across[n * h->tiles + s], each, one);
                }
        for (int64_t n = 0; n < pairs; n++)
            for (int64_t panel = 0; panel < panels; panel += ITEMS)
                for (int64_t row = 0; row < v->rows * v->tiles; row++) {
                    int64_t fp = row / v->tiles, t = row % v->tiles, at = (b - first) * tiles + t * h->tiles;
                    Places each = {panels - panel < ITEMS ? panels - panel : ITEMS, PITCH(rows) * PANEL, strip};
                    combine(points + (((n * v->rows + fp) * panels + panel) * PITCH(rows) + at) * PANEL,
                            columns + (n * panels + panel) * strip, &down[row], each, (Places){h->tiles, PANEL, PANEL});
                }
    }
}

/* The transpose: add what n fp matrices of some panels give to the images, of which `images` is the first of these
   channels; at the first point the images begin with it. */
static void add_images(const Plan *plan, const float *points, int64_t rows, int64_t panels, float *images, int64_t first,
                       int64_t last, float *column)
{
    const Axis *v = &plan->vertical, *h = &plan->horizontal;
    int64_t of[MOST_PAIRS], pairs = find_pairs(plan, of), c = plan->channels;
    int64_t tiles = v->tiles * h->tiles;
    Terms down[v->size], across[h->size];
    for (int64_t y = 0; y < v->size; y++) {
        down[y].count = 0;
        for (int64_t row = 0; row < v->rows * v->tiles; row++)
            add_term(&down[y], v->image[row * v->size + y],
                     row / v->tiles * PITCH(rows) * panels * PANEL + row % v->tiles * h->tiles * PANEL);
    }
    for (int64_t x = 0; x < h->size; x++) {
        across[x].count = 0;
        for (int64_t n = 0; n < pairs * h->tiles; n++)
            add_term(&across[x], h->image[(of[n / h->tiles] * h->tiles + n % h->tiles) * h->size + x], n * PANEL);
    }
    for (int64_t b = first; b < last; b++)
        for (int64_t y = 0; y < v->size; y++) {
            for (int64_t n = 0; n < pairs; n++)
                combine(column + n * h->tiles * PANEL,
                        points + (n * v->rows * panels * PITCH(rows) + (b - first) * tiles) * PANEL, &down[y],
                        (Places){panels, pairs * h->tiles * PANEL, PITCH(rows) * PANEL}, (Places){h->tiles, PANEL, PANEL});
            for (int64_t x = 0; x < h->size; x++) {
                float *to = images + ((b * v->size + y) * h->size + x) * c;
                Places each = {panels, PANEL, pairs * h->tiles * PANEL}, one = {1, 0, 0};
                if (plan->first)
                    add_combined(to, column, &across[x], each, one);
                else
                    combine(to, column, &across[x], each, one);
            }
        }
}

/* The gradient of the products at point q, from the gradient in the result: p matrices of `rows` rows. */
static void transform_gradients(const Plan *plan, int64_t q, const float *gradient, int64_t first, int64_t last,
                                float *points, int64_t rows, float *column)
{
    const Axis *v = &plan->vertical, *h = &plan->horizontal;
    int64_t o = plan->outputs, tiles = v->tiles * h->tiles;
    Terms down[v->points * v->tiles], across[h->tiles];
    for (int64_t row = 0; row < v->points * v->tiles; row++) {
        down[row].count = 0;
        for (int64_t y = 0; y < v->outputs; y++)
            add_term(&down[row], v->result[row * v->outputs + y], y * h->tiles * PANEL);
    }
    for (int64_t s = 0; s < h->tiles; s++) {
        across[s].count = 0;
        for (int64_t x = 0; x < h->outputs; x++)
            add_term(&across[s], h->result[(q * h->tiles + s) * h->outputs + x], x * o);
    }
    for (int64_t b = first; b < last; b++) {
        for (int64_t s = 0; s < h->tiles; s++)
            combine(column + s * PANEL, gradient + b * v->outputs * h->outputs * o, &across[s],
                    (Places){v->outputs, h->tiles * PANEL, h->outputs * o},
                    (Places){o / PANEL, v->outputs * h->tiles * PANEL, PANEL});
        for (int64_t row = 0; row < v->points * v->tiles; row++) {
            int64_t p = row / v->tiles, t = row % v->tiles, at = (b - first) * tiles + t * h->tiles;
            combine(points + (p * o / PANEL * PITCH(rows) + at) * PANEL, column, &down[row],
                    (Places){o / PANEL, PITCH(rows) * PANEL, v->outputs * h->tiles * PANEL},
                    (Places){h->tiles, PANEL, PANEL});
        }
    }
}

/* Add what the products of some panels at point q give to the result, of which `result` is the first of these channels; at
   the first point the result begins with it. */
static void add_results(const Plan *plan, int64_t q, const float *products, int64_t rows, int64_t panels, float *result,
                        int64_t first, int64_t last, float *column)
{
    const Axis *v = &plan->vertical, *h = &plan->horizontal;
    int64_t o = plan->outputs, tiles = v->tiles * h->tiles;
    Terms down[v->outputs], across[h->outputs];
    for (int64_t y = 0; y < v->outputs; y++) {
        down[y].count = 0;
        for (int64_t row = 0; row < v->points * v->tiles; row++)
            add_term(&down[y], v->result[row * v->outputs + y],
                     row / v->tiles * PITCH(rows) * panels * PANEL + row % v->tiles * h->tiles * PANEL);
    }
    for (int64_t x = 0; x < h->outputs; x++) {
        across[x].count = 0;
        for (int64_t s = 0; s < h->tiles; s++)
            add_term(&across[x], h->result[(q * h->tiles + s) * h->outputs + x], s * PANEL);
    }
    for (int64_t b = first; b < last; b++)
        for (int64_t y = 0; y < v->outputs; y++) {
            combine(column, products + (b - first) * tiles * PANEL, &down[y],
                    (Places){panels, h->tiles * PANEL, PITCH(rows) * PANEL}, (Places){h->tiles, PANEL, PANEL});
            for (int64_t x = 0; x < h->outputs; x++) {
                float *to = result + ((b * v->outputs + y) * h->outputs + x) * o;
                Places each = {panels, PANEL, h->tiles * PANEL}, one = {1, 0, 0};
                if (q)
                    add_combined(to, column, &across[x], each, one);
                else
                    combine(to, column, &across[x], each, one);
            }
        }
}

/* Numbers of room that a thread needs for blocks of `images` images at the plan's points q. */
int64_t room_size(const Plan *plan, int64_t images)
{
    const Axis *v = &plan->vertical, *h = &plan->horizontal;
    int64_t rows = PITCH(images * v->tiles * h->tiles), pairs = (plan->last - plan->first) * h->phases;
    int64_t points = pairs * v->rows * plan->channels * rows, products = v->points * plan->outputs * rows;
    return points + products + (pairs * v->size * plan->channels + v->outputs * plan->outputs) * h->tiles;
}

/* The matrices of all phases (f, g) at the points (p, q), whose products are one sum; n is the first pair of q. From one
   matrix to the next there are `point_step` and `window_step` numbers. Returns how many they are. */
static int find_runs(const Plan *plan, int64_t q, int64_t n, int64_t p, const float *points, int64_t point_step,
                     const float *windows, int64_t window_step, Run *runs)
{
    const Axis *v = &plan->vertical;
    int count = 0;
    for (int64_t g = 0; g < phases_at(&plan->horizontal, q); g++)
        for (int64_t f = 0; f < phases_at(v, p); f++) {
            int64_t fp = (n + g) * v->rows + row_of(v, f, p);
            runs[count++] = (Run){points + fp * point_step, windows + fp * window_step};
        }
    return count;
}

/* Add the points' share to the results of images first to last, `block` of them at a time. */
void correlate(const Plan *plan, const void *images, int64_t bfloat16, const float *windows, float *result,
               int64_t first, int64_t last, int64_t block, float *room)
{
    const Axis *v = &plan->vertical, *h = &plan->horizontal;
    int64_t c = plan->channels, o = plan->outputs, tiles = v->tiles * h->tiles;
    int64_t of[MOST_PAIRS], pairs = find_pairs(plan, of);
    float *points = room, *products = points + pairs * v->rows * PITCH(block * tiles) * c;
    float *column = products + v->points * PITCH(block * tiles) * o;
    for (int64_t start = first; start < last; start += block) {
        int64_t end = start + block < last ? start + block : last, rows = (end - start) * tiles;
        transform_images(plan, images, bfloat16, start, end, points, rows, column);
        for (int64_t q = plan->first, n = 0; q < plan->last; n += phases_at(h, q), q++) {
            for (int64_t p = 0; p < v->points; p++)
                for (int64_t panel = 0; panel < o / PANEL; panel++) {
                    Run runs[MOST_RUNS];
                    int count = find_runs(plan, q, n, p, points, PITCH(rows) * c, windows + panel * c * PANEL,
                                          PITCH(o / PANEL * c) * PANEL, runs);
                    multiply_panel(rows, PANEL, 1, runs, count, c / PANEL, PANEL, PITCH(rows) * PANEL,
                                   products + (p * o / PANEL + panel) * PITCH(rows) * PANEL);
                }
            add_results(plan, q, products, rows, o / PANEL, result, start, end, column);
        }
    }
}

/* Add the points' share to the gradient in the images first to last, `block` of them at a time. */
void spread(const Plan *plan, const float *gradient, const float *windows, float *images, int64_t first, int64_t last,
            int64_t block, float *room)
{
    const Axis *v = &plan->vertical, *h = &plan->horizontal;
    int64_t c = plan->channels, o = plan->outputs, tiles = v->tiles * h->tiles;
    int64_t of[MOST_PAIRS], pairs = find_pairs(plan, of);
    float *points = room, *products = points + pairs * v->rows * PITCH(block * tiles) * c;
    float *column = products + v->points * PITCH(block * tiles) * o;
    for (int64_t start = first; start < last; start += block) {
        int64_t end = start + block < last ? start + block : last, rows = (end - start) * tiles;
        for (int64_t q = plan->first, n = 0; q < plan->last; n += phases_at(h, q), q++) {
            transform_gradients(plan, q, gradient, start, end, products, rows, column);
            for (int64_t g = 0; g < phases_at(h, q); g++)
                for (int64_t f = 0; f < v->phases; f++)
                    for (int64_t p = 0; p < v->counts[f]; p++)
                        for (int64_t panel = 0; panel < c / PANEL; panel++) {
                            int64_t fp = (n + g) * v->rows + row_of(v, f, p);
                            Run run = {products + p * PITCH(rows) * o,
                                       windows + (fp * PITCH(c / PANEL * o) + panel * o) * PANEL};
                            multiply_panel(rows, PANEL, 1, &run, 1, o / PANEL, PANEL, PITCH(rows) * PANEL,
                                           points + (fp * c / PANEL + panel) * PITCH(rows) * PANEL);
                        }
        }
        add_images(plan, points, rows, c / PANEL, images, start, end, column);
    }
}

/* Write images first to last at the points to n fp matrices of `rows` rows, which are those of all images. */
void find_image_points(const Plan *plan, const void *images, int64_t bfloat16, float *points, int64_t first, int64_t last,
                       int64_t rows, float *room)
{
    int64_t tiles = plan->vertical.tiles * plan->horizontal.tiles;
    transform_images(plan, images, bfloat16, first, last, points + first * tiles * PANEL, rows, room);
}

/* Write the gradient of the products of images first to last to q p matrices of `rows` rows. */
void find_gradient_points(const Plan *plan, const float *gradient, float *products, int64_t first, int64_t last,
                          int64_t rows, float *room)
{
    int64_t tiles = plan->vertical.tiles * plan->horizontal.tiles;
    for (int64_t q = plan->first; q < plan->last; q++) {
        float *to = products + (q - plan->first) * plan->vertical.points * PITCH(rows) * plan->outputs;
        transform_gradients(plan, q, gradient, first, last, to + first * tiles * PANEL, rows, room);
    }
}

/* For few images: all points' results of panels first to last of the output channels, from the points of all images.
   Each panel's windows are transformed where they are needed, and never stand in memory together. */
void correlate_panels(const Plan *plan, const float *points, const float *weight, float *result, int64_t images,
                      int64_t first, int64_t last, float *room)
{
    const Axis *v = &plan->vertical, *h = &plan->horizontal;
    int64_t c = plan->channels, rows = images * v->tiles * h->tiles, of[MOST_PAIRS], pairs = find_pairs(plan, of);
    float *windows = room, *products = windows + pairs * v->rows * PITCH(c) * PANEL;
    float *column = products + v->points * PITCH(rows) * PANEL;
    for (int64_t panel = first; panel < last; panel++) {
        lay_points(plan, weight, windows, order_of(plan, 0), PITCH(c), panel * c, panel * c + c);
        for (int64_t q = plan->first, n = 0; q < plan->last; n += phases_at(h, q), q++) {
            for (int64_t p = 0; p < v->points; p++) {
                Run runs[MOST_RUNS];
                int count = find_runs(plan, q, n, p, points, PITCH(rows) * c, windows, PITCH(c) * PANEL, runs);
                multiply_panel(rows, PANEL, 1, runs, count, c / PANEL, PANEL, PITCH(rows) * PANEL,
                               products + p * PITCH(rows) * PANEL);
            }
            add_results(plan, q, products, rows, 1, result + panel * PANEL, 0, images, column);
        }
    }
}

/* For few images: the gradient in panels first to last of the input channels. */
void spread_panels(const Plan *plan, const float *products, const float *weight, float *result, int64_t images,
                   int64_t first, int64_t last, float *room)
{
    const Axis *v = &plan->vertical, *h = &plan->horizontal;
    int64_t o = plan->outputs, rows = images * v->tiles * h->tiles, of[MOST_PAIRS], pairs = find_pairs(plan, of);
    float *windows = room, *points = windows + pairs * v->rows * PITCH(o) * PANEL;
    float *column = points + pairs * v->rows * PITCH(rows) * PANEL;
    for (int64_t panel = first; panel < last; panel++) {
        lay_points(plan, weight, windows, order_of(plan, 1), PITCH(o), panel * o, panel * o + o);
        for (int64_t q = plan->first, n = 0; q < plan->last; n += phases_at(h, q), q++)
            for (int64_t g = 0; g < phases_at(h, q); g++)
                for (int64_t f = 0; f < v->phases; f++)
                    for (int64_t p = 0; p < v->counts[f]; p++) {
                        int64_t fp = (n + g) * v->rows + row_of(v, f, p), qp = (q - plan->first) * v->points + p;
                        Run run = {products + qp * PITCH(rows) * o, windows + fp * PITCH(o) * PANEL};
                        multiply_panel(rows, PANEL, 1, &run, 1, o / PANEL, PANEL, PITCH(rows) * PANEL,
                                       points + fp * PITCH(rows) * PANEL);
                    }
        add_images(plan, points, rows, 1, result + panel * PANEL, 0, images, column);
    }
}

/* Numbers of room that a thread needs for one panel of each kind, for `images` images. */
int64_t panel_room_size(const Plan *plan, int64_t images)
{
    const Axis *v = &plan->vertical, *h = &plan->horizontal;
    int64_t of[MOST_PAIRS], points = find_pairs(plan, of) * v->rows, rows = PITCH(images * v->tiles * h->tiles);
    int64_t most = plan->channels > plan->outputs ? plan->channels : plan->outputs;
    return (points * (PITCH(most) + rows) + v->points * rows + find_pairs(plan, of) * h->tiles) * PANEL;
}

/* Add the points' share to the gradient in the taps, `o c/32 k 32`, for pairs (c / 32, o / 32) from first to last. */
void add_products(const Plan *plan, const float *points, const float *products, int64_t rows, float *laid, int64_t add,
                  int64_t first, int64_t last, float *room)
{
    const Axis *v = &plan->vertical, *h = &plan->horizontal;
    int64_t c = plan->channels, o = plan->outputs, taps = v->taps * h->taps;
    for (int64_t pair = first; pair < last; pair++) {
        int64_t panel = pair / (o / PANEL), outputs = pair % (o / PANEL);
        for (int64_t q = plan->first, n = 0; q < plan->last; n += phases_at(h, q), q++)
            for (int64_t g = 0; g < phases_at(h, q); g++)
                for (int64_t f = 0; f < v->phases; f++)
                    for (int64_t p = 0; p < v->counts[f]; p++) {
                        int64_t fp = (n + g) * v->rows + row_of(v, f, p);
                        int64_t qp = (q - plan->first) * v->points + p;
                        Run run = {products + (qp * o / PANEL + outputs) * PITCH(rows) * PANEL,
                                   points + (fp * c / PANEL + panel) * PITCH(rows) * PANEL};
                        multiply_panel(PANEL, 1, PANEL, &run, 1, 1, rows, 0, room + fp * PANEL * PANEL);
                    }
        add_windows(plan, room, laid + (outputs * c + panel) * taps * PANEL, (int)add);
    }
}
