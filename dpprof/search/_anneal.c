/* Anneals the slot orders of a pipeline: the compiled twin of dpprof.search.anneal_python.

   Both make the same moves from the same random numbers, so that the same call gives the same
   result; the tests hold them together. What the arrays mean is said in dpprof/search/problem.py.
   The micro-batches of a direction are alike and pass every stage in order, so a slot is only a
   token (operation and direction), and the k-th forward of a direction is micro-batch k. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DIRECTIONS = 4, MOST_TOKENS = 4 * MOST_DIRECTIONS + MOST_DIRECTIONS * MOST_DIRECTIONS };
enum { F = 0, B = 1, I = 2, W = 3, PAIR = 4 };
/* Positions in `state`, which is read and written. */
enum { SEED = 0, CURRENT = 1, BEST = 2 };

static const int64_t NEVER = INT64_MAX;

/* What a rank has done before a slot. */
typedef struct {
    int forwards[MOST_DIRECTIONS], backwards[MOST_DIRECTIONS], pending[MOST_DIRECTIONS];
    int64_t held, work;
} Before;

typedef struct {
    int ranks, directions, micro_batches, edges, tokens, room;
    const int64_t *lengths, *weights, *limits; /* [rank][token], [rank][direction], [rank] */
    const int32_t *links; /* [rank][direction]: next of F and of B or -1, their edges or -1 */
    int64_t transfer, duration;
    int mean_permille;
    int operation[MOST_TOKENS], forward[MOST_TOKENS], backward[MOST_TOKENS], weight[MOST_TOKENS];
    /* Of the step that is looked at, and of the current one, which every trial begins like. */
    int64_t *forward_ready, *backward_ready, *forward_known, *backward_known; /* [rank][direction][micro-batch] */
    int64_t *starts, *known_starts;                                           /* [rank][room] */
    Before *before;                                                           /* [rank][room + 1] */
    int *forwards, *backwards, *position, *awake, *waiting, *cut;
    int64_t *free_at, *left, *edge_free;
} Problem;

typedef struct {
    int16_t *tokens; /* [rank][room] */
    int32_t *counts;
    int64_t *work;
} Orders;

/* ---- random numbers -------------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed * UINT64_C(2685821657736338717);
}

static int below(uint64_t *seed, int count) {
    return (int)(((next_random(seed) >> 32) * (uint64_t)count) >> 32);
}

static int coin(uint64_t *seed) { return (int)(next_random(seed) >> 63); }

static int quarter(uint64_t *seed) { return (next_random(seed) >> 62) == 0; }

static int distance(uint64_t *seed) { /* 4 on average */
    int far = 1;
    while (far < 40 && !quarter(seed)) far++;
    return far;
}

static int signed_distance(uint64_t *seed) {
    int ahead = coin(seed);
    return ahead ? distance(seed) : -distance(seed);
}

/* ---- how long a step takes ------------------------------------------------------------------- */

static int single(const Problem *p, int operation, int direction) {
    return operation * p->directions + direction;
}

static int pair(const Problem *p, int forward, int backward) {
    return 4 * p->directions + forward * p->directions + backward;
}

static void publish(Problem *p, int at, int is_backward, int64_t end, int *top) {
    const int32_t *link = p->links + 4 * at;
    int next = link[is_backward], edge = link[2 + is_backward];
    int *count = (is_backward ? p->backwards : p->forwards) + at;
    int number = (*count)++;
    if (next < 0) return;
    int64_t arrival = end;
    if (edge >= 0) {
        int64_t sent = end > p->edge_free[edge] ? end : p->edge_free[edge];
        p->edge_free[edge] = sent + p->transfer;
        arrival = sent + p->duration;
    }
    (is_backward ? p->backward_ready : p->forward_ready)[next * p->micro_batches + number] = arrival;
    int rank = next / p->directions;
    if (p->waiting[rank]) {
        p->waiting[rank] = 0;
        p->awake[(*top)++] = rank;
    }
}

static int64_t later(int64_t one, int64_t other) { return one > other ? one : other; }

/* Results of a place that were there before the cut are kept; those after it are not yet known.
   The edge is free when the last of them has left. */
static void keep_results(Problem *p, int at, int is_backward) {
    const int32_t *link = p->links + 4 * at;
    int next = link[is_backward], edge = link[2 + is_backward];
    if (next < 0) return;
    int sent = (is_backward ? p->backwards : p->forwards)[at];
    int taken = (is_backward ? p->backwards : p->forwards)[next];
    int64_t *ready = (is_backward ? p->backward_ready : p->forward_ready) + next * p->micro_batches;
    int64_t *known = (is_backward ? p->backward_known : p->forward_known) + next * p->micro_batches;
    for (int number = taken; number < sent; number++) ready[number] = known[number];
    for (int number = sent; number < p->micro_batches; number++) ready[number] = -1;
    if (edge >= 0 && sent > 0)
        p->edge_free[edge] =
            later(p->edge_free[edge], known[sent - 1] - p->duration + p->transfer);
}

static int64_t known_end(const Problem *p, int rank, int position) {
    if (position == 0) return 0;
    const Before *before = p->before + rank * (p->room + 1) + position;
    return p->known_starts[rank * p->room + position - 1] + before[0].work - before[-1].work;
}

/* Every rank begins at its cut, with what the current step has there. */
static void start_at_cut(Problem *p, const Orders *orders) {
    int d = p->directions, places = p->ranks * d;
    for (int rank = 0; rank < p->ranks; rank++) {
        const Before *before = p->before + rank * (p->room + 1) + p->cut[rank];
        for (int way = 0; way < d; way++) {
            p->forwards[rank * d + way] = before->forwards[way];
            p->backwards[rank * d + way] = before->backwards[way];
        }
        p->position[rank] = p->cut[rank];
        p->waiting[rank] = 0;
        p->free_at[rank] = known_end(p, rank, p->cut[rank]);
        p->left[rank] = orders->work[rank] - before->work;
        p->awake[rank] = p->ranks - 1 - rank;
    }
    memset(p->edge_free, 0, sizeof(int64_t) * (size_t)(p->edges + 1));
    for (int at = 0; at < places; at++) {
        keep_results(p, at, 0);
        keep_results(p, at, 1);
    }
}

/* Inputs of a token are there at the time that is given back; -1: not yet known. */
static int64_t inputs_ready(const Problem *p, int rank, int token, int64_t at) {
    int forward = p->forward[token], backward = p->backward[token];
    if (forward >= 0) {
        int place = rank * p->directions + forward;
        int64_t ready = p->forward_ready[place * p->micro_batches + p->forwards[place]];
        if (ready < 0) return -1;
        if (ready > at) at = ready;
    }
    if (backward >= 0) {
        int place = rank * p->directions + backward;
        int64_t ready = p->backward_ready[place * p->micro_batches + p->backwards[place]];
        if (ready < 0) return -1;
        if (ready > at) at = ready;
    }
    return at;
}

static int64_t value_of(const Problem *p, int64_t worst, int64_t sum) {
    return worst + sum / p->ranks * p->mean_permille / 1000;
}

/* The step's length and a share of the mean end of the ranks; NEVER where it would exceed the
   limit, or where ranks wait for each other. Slots before the cut are those of the current step. */
static int64_t evaluate(Problem *p, const Orders *orders, int64_t limit) {
    int top = p->ranks, done = 0;
    int64_t worst = 0, sum = 0; /* of ends that no rank can be before */
    start_at_cut(p, orders);
    for (int rank = 0; rank < p->ranks; rank++) {
        int64_t end = p->free_at[rank] + p->left[rank];
        sum += end;
        worst = later(worst, end);
    }
    if (value_of(p, worst, sum) > limit) return NEVER;
    while (top) {
        int rank = p->awake[--top], position = p->position[rank], count = orders->counts[rank];
        int64_t now = p->free_at[rank];
        const int16_t *tokens = orders->tokens + rank * p->room;
        for (; position < count; position++) {
            int token = tokens[position];
            int64_t start = inputs_ready(p, rank, token, now);
            if (start < 0) {
                p->waiting[rank] = 1;
                break;
            }
            if (start > now) {
                sum += start - now;
                if (start + p->left[rank] > worst) worst = start + p->left[rank];
                if (value_of(p, worst, sum) > limit) return NEVER;
            }
            p->starts[rank * p->room + position] = start;
            int64_t length = p->lengths[rank * p->tokens + token];
            now = start + length;
            p->left[rank] -= length;
            int forward = p->forward[token], backward = p->backward[token];
            if (forward >= 0) publish(p, rank * p->directions + forward, 0, now, &top);
            if (backward >= 0) publish(p, rank * p->directions + backward, 1, now, &top);
        }
        p->position[rank] = position;
        p->free_at[rank] = now;
        if (position == count) done++;
    }
    return done < p->ranks ? NEVER : value_of(p, worst, sum);
}

/* Adds a slot to what a rank has done; 0 where that is no order: a backward before its forward, W
   before I, too much memory. */
static int add_slot(const Problem *p, Before *done, int rank, int token) {
    int forward = p->forward[token], backward = p->backward[token], weight = p->weight[token];
    const int64_t *weights = p->weights + rank * p->directions;
    done->work += p->lengths[rank * p->tokens + token];
    if (backward >= 0 && ++done->backwards[backward] > done->forwards[backward]) return 0;
    if (forward >= 0) {
        done->forwards[forward]++;
        done->held += weights[forward];
        if (done->held > p->limits[rank]) return 0;
    }
    if (p->operation[token] == I) done->pending[backward]++;
    if (weight >= 0 && --done->pending[weight] < 0) return 0;
    if (p->operation[token] == B || p->operation[token] == PAIR) done->held -= weights[backward];
    if (weight >= 0) done->held -= weights[weight];
    return 1;
}

/* Whether a rank's order is one from a position on, before which it is the current one; if so,
   its work is set. */
static int is_sound(const Problem *p, Orders *orders, int rank, int first) {
    Before done = p->before[rank * (p->room + 1) + first];
    const int16_t *tokens = orders->tokens + rank * p->room;
    for (int position = first; position < orders->counts[rank]; position++)
        if (!add_slot(p, &done, rank, tokens[position])) return 0;
    orders->work[rank] = done.work;
    return 1;
}

/* What the current order of a rank has done before each of its slots; 0 where it is no order. */
static int note(Problem *p, const Orders *current, int rank, int first) {
    Before *before = p->before + rank * (p->room + 1);
    const int16_t *tokens = current->tokens + rank * p->room;
    for (int position = first; position < current->counts[rank]; position++) {
        before[position + 1] = before[position];
        if (!add_slot(p, before + position + 1, rank, tokens[position])) return 0;
    }
    return 1;
}

/* ---- moves ----------------------------------------------------------------------------------- */

static void take_out(const Problem *p, Orders *orders, int rank, int position) {
    int16_t *tokens = orders->tokens + rank * p->room;
    size_t after = (size_t)(--orders->counts[rank] - position);
    memmove(tokens + position, tokens + position + 1, after * sizeof(int16_t));
}

static void put_in(const Problem *p, Orders *orders, int rank, int position, int token) {
    int16_t *tokens = orders->tokens + rank * p->room;
    size_t after = (size_t)(orders->counts[rank]++ - position);
    memmove(tokens + position + 1, tokens + position, after * sizeof(int16_t));
    tokens[position] = (int16_t)token;
}

static int clamp(int value, int highest) {
    return value < 0 ? 0 : value > highest ? highest : value;
}

static int shift(const Problem *p, Orders *orders, int rank, int position, int far) {
    int token = orders->tokens[rank * p->room + position];
    int target = clamp(position + far, orders->counts[rank] - 1);
    if (target == position) return 0;
    take_out(p, orders, rank, position);
    put_in(p, orders, rank, target, token);
    return 1;
}

/* The nearest slot of an operation (and direction, if not -1) in a way from a position; or -1. */
static int nearest(const Problem *p, const Orders *orders, int rank, int position, int operation,
                   int direction, int way) {
    const int16_t *tokens = orders->tokens + rank * p->room;
    for (int at = position + way; at >= 0 && at < orders->counts[rank]; at += way) {
        int token = tokens[at];
        if (p->operation[token] != operation) continue;
        if (direction < 0 || token == single(p, operation, direction)) return at;
    }
    return -1;
}

static int token_of(const Problem *p, int forward, int backward) {
    if (backward < 0) return single(p, F, forward);
    return forward < 0 ? single(p, B, backward) : pair(p, forward, backward);
}

/* Two slots exchange their forwards, or their backwards. */
static int exchange(const Problem *p, Orders *orders, int rank, int position, uint64_t *seed) {
    int other = position + signed_distance(seed), forwards = coin(seed);
    if (other < 0 || other >= orders->counts[rank]) return 0;
    int16_t *tokens = orders->tokens + rank * p->room;
    int one = tokens[position], two = tokens[other];
    if (p->operation[one] == I || p->operation[two] == I) return 0;
    int f1 = p->forward[one], f2 = p->forward[two], b1 = p->backward[one], b2 = p->backward[two];
    if (forwards) {
        if (f1 < 0 || f2 < 0 || f1 == f2) return 0;
        tokens[position] = (int16_t)token_of(p, f2, b1);
        tokens[other] = (int16_t)token_of(p, f1, b2);
        return 1;
    }
    if (b1 < 0 || b2 < 0 || b1 == b2) return 0;
    tokens[position] = (int16_t)token_of(p, f1, b2);
    tokens[other] = (int16_t)token_of(p, f2, b1);
    return 1;
}

/* A forward and a backward become an overlapped pair in the place of either. */
static int join(const Problem *p, Orders *orders, int rank, int forward, int backward,
                int at_forward) {
    int16_t *tokens = orders->tokens + rank * p->room;
    int token = tokens[backward], direction = p->backward[token];
    int joined = pair(p, p->forward[tokens[forward]], direction);
    if (p->operation[token] == I) {
        int weight = nearest(p, orders, rank, backward, W, direction, 1);
        if (weight < 0) return 0;
        take_out(p, orders, rank, weight);
        if (weight < forward) forward--;
    }
    tokens[at_forward ? forward : backward] = (int16_t)joined;
    take_out(p, orders, rank, at_forward ? backward : forward);
    return 1;
}

static int part(const Problem *p, Orders *orders, int rank, int position, uint64_t *seed) {
    int16_t *tokens = orders->tokens + rank * p->room;
    int token = tokens[position], direction = p->backward[token];
    int split = quarter(seed), far = below(seed, 3) ? 1 : distance(seed), forward_first = coin(seed);
    int forward = single(p, F, p->forward[token]);
    int backward = single(p, split ? I : B, direction);
    int second = clamp(position + far, orders->counts[rank]);
    tokens[position] = (int16_t)(forward_first ? forward : backward);
    put_in(p, orders, rank, second, forward_first ? backward : forward);
    if (split) {
        int from = (forward_first ? second : position) + 1;
        int weight = from + below(seed, orders->counts[rank] - from + 1);
        put_in(p, orders, rank, weight, single(p, W, direction));
    }
    return 1;
}

static int split(const Problem *p, Orders *orders, int rank, int position, uint64_t *seed) {
    int direction = p->backward[orders->tokens[rank * p->room + position]];
    int near = coin(seed);
    int far = near ? distance(seed) : 1 + below(seed, orders->counts[rank] - position);
    orders->tokens[rank * p->room + position] = (int16_t)single(p, I, direction);
    put_in(p, orders, rank, clamp(position + far, orders->counts[rank]), single(p, W, direction));
    return 1;
}

static int merge(const Problem *p, Orders *orders, int rank, int position) {
    int direction = p->backward[orders->tokens[rank * p->room + position]];
    int weight = nearest(p, orders, rank, position, W, direction, 1);
    if (weight < 0) return 0;
    orders->tokens[rank * p->room + position] = (int16_t)single(p, B, direction);
    take_out(p, orders, rank, weight);
    return 1;
}

static int move(const Problem *p, Orders *orders, int rank, int position, uint64_t *seed) {
    int token = orders->tokens[rank * p->room + position], kind = below(seed, 100);
    if (kind < 40) return shift(p, orders, rank, position, signed_distance(seed));
    if (kind < 50) return exchange(p, orders, rank, position, seed);
    switch (p->operation[token]) {
    case F: {
        int operation = quarter(seed) ? I : B, way = coin(seed) ? 1 : -1, keep = coin(seed);
        int other = nearest(p, orders, rank, position, operation, -1, way);
        return other < 0 ? 0 : join(p, orders, rank, position, other, keep);
    }
    case B: {
        if (coin(seed)) return split(p, orders, rank, position, seed);
        int way = coin(seed) ? 1 : -1, keep = coin(seed);
        int other = nearest(p, orders, rank, position, F, -1, way);
        return other < 0 ? 0 : join(p, orders, rank, other, position, keep);
    }
    case I: return merge(p, orders, rank, position);
    case W: return shift(p, orders, rank, position, 2 * signed_distance(seed));
    default: return part(p, orders, rank, position, seed);
    }
}

/* ---- the same move on several ranks ---------------------------------------------------------- */

static int locate(const Orders *orders, const Problem *p, int rank, const int *table, int direction,
                  int number) {
    const int16_t *tokens = orders->tokens + rank * p->room;
    for (int position = 0; position < orders->counts[rank]; position++)
        if (table[tokens[position]] == direction && number-- == 0) return position;
    return -1;
}

/* Moves what a slot does on all ranks round its own; gives the ranks it touched, 0 if none moved. */
static int move_together(const Problem *p, Orders *orders, int rank, int position, int *touched,
                         uint64_t *seed) {
    const int16_t *tokens = orders->tokens + rank * p->room;
    int token = tokens[position], as_forward = coin(seed), number = 0;
    const int *table = p->forward[token] >= 0 && (p->backward[token] < 0 || as_forward) ? p->forward
                       : p->backward[token] >= 0                                       ? p->backward
                                                                                       : p->weight;
    int direction = table[token];
    for (int before = 0; before < position; before++) number += table[tokens[before]] == direction;
    int first = rank - below(seed, rank + 1), last = rank + below(seed, p->ranks - rank);
    if (quarter(seed)) first = 0;
    if (quarter(seed)) last = p->ranks - 1;
    uint64_t same = next_random(seed);
    int count = 0, moved = 0;
    for (int one = first; one <= last; one++) {
        int place = locate(orders, p, one, table, direction, number);
        if (place < 0) continue;
        uint64_t again = same | 1;
        touched[count++] = one;
        moved |= move(p, orders, one, place, &again);
    }
    return moved ? count : -count;
}

/* One to four moves near each other; gives the ranks it touched, negative if nothing moved. */
static int move_some(const Problem *p, Orders *orders, int *touched, uint64_t *seed) {
    int rank = below(seed, p->ranks), count = 1;
    if (orders->counts[rank] == 0) return 0;
    int position = below(seed, orders->counts[rank]);
    if (below(seed, 10) < 3) return move_together(p, orders, rank, position, touched, seed);
    touched[0] = rank;
    if (!move(p, orders, rank, position, seed)) return -1;
    while (count < 4 && below(seed, 3) == 0) {
        int next = rank + (coin(seed) ? 1 : -1);
        if (next >= 0 && next < p->ranks && below(seed, 3)) rank = next;
        touched[count++] = rank;
        move(p, orders, rank, below(seed, orders->counts[rank]), seed);
    }
    return count;
}

/* ---- annealing ------------------------------------------------------------------------------- */

static void copy_rank(const Problem *p, Orders *to, const Orders *from, int rank) {
    to->counts[rank] = from->counts[rank];
    to->work[rank] = from->work[rank];
    memcpy(to->tokens + rank * p->room, from->tokens + rank * p->room,
           sizeof(int16_t) * (size_t)from->counts[rank]);
}

/* The first slot of a rank in which two orders differ. */
static int first_change(const Problem *p, const Orders *one, const Orders *other, int rank) {
    const int16_t *a = one->tokens + rank * p->room, *b = other->tokens + rank * p->room;
    int count = one->counts[rank] < other->counts[rank] ? one->counts[rank] : other->counts[rank];
    int at = 0;
    while (at < count && a[at] == b[at]) at++;
    return at;
}

/* Whether the trial is sound. If so, finds the slots of every rank that end up the same in it: all
   that start before a changed one can. */
static int find_cut(Problem *p, const Orders *current, Orders *trial, const int *touched, int count) {
    int64_t same = NEVER;
    for (int one = 0; one < count; one++) {
        int rank = touched[one], first = first_change(p, current, trial, rank);
        if (!is_sound(p, trial, rank, first)) return 0;
        int64_t end = known_end(p, rank, first);
        if (end < same) same = end;
    }
    for (int rank = 0; rank < p->ranks; rank++) {
        const int64_t *starts = p->known_starts + rank * p->room;
        int low = 0, high = current->counts[rank];
        while (low < high) {
            int middle = (low + high) / 2;
            if (starts[middle] < same) low = middle + 1;
            else high = middle;
        }
        p->cut[rank] = low;
    }
    return 1;
}

static void keep_ready(const Problem *p, int64_t *known, const int64_t *ready, int at, int first) {
    int chunk = at * p->micro_batches + first;
    memcpy(known + chunk, ready + chunk, sizeof(int64_t) * (size_t)(p->micro_batches - first));
}

/* The step that was looked at last becomes the current one. */
static void keep_step(Problem *p, const Orders *current) {
    for (int rank = 0; rank < p->ranks; rank++) {
        int cut = p->cut[rank], at = rank * p->room + cut;
        note(p, current, rank, cut);
        memcpy(p->known_starts + at, p->starts + at,
               sizeof(int64_t) * (size_t)(current->counts[rank] - cut));
    }
    for (int at = 0; at < p->ranks * p->directions; at++) {
        int rank = at / p->directions, direction = at % p->directions;
        const Before *before = p->before + rank * (p->room + 1) + p->cut[rank];
        keep_ready(p, p->forward_known, p->forward_ready, at, before->forwards[direction]);
        keep_ready(p, p->backward_known, p->backward_ready, at, before->backwards[direction]);
    }
}

typedef struct {
    int64_t steps;
    double first, last; /* temperatures, in nanoseconds */
} Cooling;

static void anneal(Problem *p, Orders *current, Orders *best, Orders *trial, int *touched,
                   int64_t *state, Cooling cooling) {
    uint64_t seed = (uint64_t)state[SEED];
    double temperature = cooling.first;
    for (int64_t step = 0; step < cooling.steps; step++) {
        if (step % 256 == 0)
            temperature = cooling.first *
                          pow(cooling.last / cooling.first, (double)step / (double)cooling.steps);
        int count = move_some(p, trial, touched, &seed), good = count > 0;
        if (count < 0) count = -count;
        if (good) good = find_cut(p, current, trial, touched, count);
        if (good) {
            double chance = (double)((next_random(&seed) >> 11) + 1) * (1.0 / 9007199254740992.0);
            int64_t limit = state[CURRENT] + (int64_t)(-temperature * log(chance));
            int64_t value = evaluate(p, trial, limit);
            good = value <= limit;
            if (good) state[CURRENT] = value;
        }
        for (int one = 0; one < count; one++)
            copy_rank(p, good ? current : trial, good ? trial : current, touched[one]);
        if (good) keep_step(p, current);
        if (good && state[CURRENT] < state[BEST]) {
            state[BEST] = state[CURRENT];
            for (int rank = 0; rank < p->ranks; rank++) copy_rank(p, best, current, rank);
        }
    }
    state[SEED] = (int64_t)seed;
}

/* ---- Python ---------------------------------------------------------------------------------- */

static void name_tokens(Problem *p) {
    for (int token = 0; token < p->tokens; token++) {
        int d = p->directions, operation = token < 4 * d ? token / d : PAIR, rest = token - 4 * d;
        int own = token % d;
        p->operation[token] = operation;
        p->forward[token] = operation == PAIR ? rest / d : operation == F ? own : -1;
        p->backward[token] = operation == PAIR ? rest % d : operation == B || operation == I ? own : -1;
        p->weight[token] = operation == W ? own : -1;
    }
}

static int is_fit(const Problem *p, const int16_t *tokens, const int32_t *counts) {
    int places = p->ranks * p->directions;
    for (int at = 0; at < places; at++)
        for (int way = 0; way < 2; way++) {
            int next = p->links[4 * at + way], edge = p->links[4 * at + 2 + way];
            if (next < -1 || next >= places || edge < -1 || edge >= p->edges) return 0;
        }
    for (int rank = 0; rank < p->ranks; rank++) {
        int forwards[MOST_DIRECTIONS] = {0}, backwards[MOST_DIRECTIONS] = {0};
        if (counts[rank] < 0 || counts[rank] > p->room) return 0;
        for (int position = 0; position < counts[rank]; position++) {
            int token = tokens[rank * p->room + position];
            if (token < 0 || token >= p->tokens) return 0;
            if (p->forward[token] >= 0) forwards[p->forward[token]]++;
            if (p->backward[token] >= 0) backwards[p->backward[token]]++;
        }
        for (int d = 0; d < p->directions; d++)
            if (forwards[d] != p->micro_batches || backwards[d] != p->micro_batches) return 0;
    }
    return 1;
}

static void *zeroed(size_t count, size_t size) { return calloc(count ? count : 1, size); }

static int make_room(Problem *p) {
    size_t ranks = (size_t)p->ranks, places = ranks * (size_t)p->directions;
    size_t chunks = places * (size_t)p->micro_batches;
    p->forward_ready = zeroed(chunks, sizeof(int64_t));
    p->backward_ready = zeroed(chunks, sizeof(int64_t));
    p->forward_known = zeroed(chunks, sizeof(int64_t));
    p->backward_known = zeroed(chunks, sizeof(int64_t));
    p->starts = zeroed(ranks * (size_t)p->room, sizeof(int64_t));
    p->known_starts = zeroed(ranks * (size_t)p->room, sizeof(int64_t));
    p->before = zeroed(ranks * ((size_t)p->room + 1), sizeof(Before));
    p->cut = zeroed(ranks, sizeof(int));
    p->forwards = zeroed(places, sizeof(int));
    p->backwards = zeroed(places, sizeof(int));
    p->position = zeroed(ranks, sizeof(int));
    p->awake = zeroed(ranks + 1, sizeof(int));
    p->waiting = zeroed(ranks, sizeof(int));
    p->free_at = zeroed(ranks, sizeof(int64_t));
    p->left = zeroed(ranks, sizeof(int64_t));
    p->edge_free = zeroed((size_t)p->edges + 1, sizeof(int64_t));
    return p->forward_ready && p->backward_ready && p->forward_known && p->backward_known &&
           p->starts && p->known_starts && p->before && p->cut && p->forwards && p->backwards &&
           p->position && p->awake && p->waiting && p->free_at && p->left && p->edge_free;
}

static void give_up_room(Problem *p) {
    void *all[] = {p->forward_ready, p->backward_ready, p->forward_known, p->backward_known,
                   p->starts,        p->known_starts,   p->before,        p->cut,
                   p->forwards,      p->backwards,      p->position,      p->awake,
                   p->waiting,       p->free_at,        p->left,          p->edge_free};
    for (size_t one = 0; one < sizeof all / sizeof *all; one++) free(all[one]);
}

/* The value of an order from its begin; `current` is what later trials are compared with. */
static int64_t look_at(Problem *p, Orders *orders) {
    memset(p->cut, 0, sizeof(int) * (size_t)p->ranks);
    for (int rank = 0; rank < p->ranks; rank++) {
        if (!note(p, orders, rank, 0)) return NEVER;
        orders->work[rank] = p->before[rank * (p->room + 1) + orders->counts[rank]].work;
    }
    int64_t value = evaluate(p, orders, NEVER / 2);
    if (value != NEVER) keep_step(p, orders);
    return value;
}

static int run(Problem *p, Orders *current, Orders *best, int64_t *state, Cooling cooling) {
    size_t ranks = (size_t)p->ranks, room = ranks * (size_t)p->room;
    Orders trial = {malloc(room * sizeof(int16_t) + 1), malloc(ranks * sizeof(int32_t)),
                    malloc(ranks * sizeof(int64_t))};
    current->work = malloc(ranks * sizeof(int64_t));
    best->work = malloc(ranks * sizeof(int64_t));
    int *touched = malloc((ranks + 4) * sizeof(int));
    int fine = trial.tokens && trial.counts && trial.work && current->work && best->work && touched;
    if (fine && make_room(p)) {
        state[BEST] = look_at(p, best);
        state[CURRENT] = look_at(p, current);
        for (int rank = 0; rank < p->ranks; rank++) copy_rank(p, &trial, current, rank);
        if (state[CURRENT] != NEVER) anneal(p, current, best, &trial, touched, state, cooling);
    } else {
        fine = 0;
    }
    give_up_room(p);
    free(trial.tokens);
    free(trial.counts);
    free(trial.work);
    free(current->work);
    free(best->work);
    free(touched);
    return fine;
}

enum { SIZES, LENGTHS, LINKS, WEIGHTS, LIMITS, MESSAGE, TOKENS, COUNTS, BEST_TOKENS, BEST_COUNTS, STATE, ARRAYS };

static int sizes_agree(const Problem *p, Py_buffer *array) {
    Py_ssize_t ranks = p->ranks, places = ranks * p->directions;
    Py_ssize_t asked[ARRAYS] = {5 * 4,      ranks * p->tokens * 8, places * 4 * 4,
                                places * 8, ranks * 8,             2 * 8,
                                ranks * p->room * 2, ranks * 4,    ranks * p->room * 2,
                                ranks * 4,  3 * 8};
    for (int one = 0; one < ARRAYS; one++)
        if (array[one].len != asked[one]) return 0;
    return 1;
}

static int read_problem(Problem *p, Py_buffer *array) {
    memset(p, 0, sizeof *p);
    if (array[SIZES].len != 5 * 4) return 0;
    const int32_t *sizes = array[SIZES].buf;
    p->ranks = sizes[0];
    p->directions = sizes[1];
    p->micro_batches = sizes[2];
    p->edges = sizes[3];
    p->mean_permille = sizes[4];
    if (p->ranks < 1 || p->ranks > 4096 || p->directions < 1 || p->directions > MOST_DIRECTIONS ||
        p->micro_batches < 1 || p->micro_batches > 1 << 20 || p->edges < 0 || p->edges > 1 << 16)
        return 0;
    p->tokens = 4 * p->directions + p->directions * p->directions;
    p->room = 3 * p->micro_batches * p->directions;
    if (!sizes_agree(p, array)) return 0;
    p->lengths = array[LENGTHS].buf;
    p->links = array[LINKS].buf;
    p->weights = array[WEIGHTS].buf;
    p->limits = array[LIMITS].buf;
    p->transfer = ((const int64_t *)array[MESSAGE].buf)[0];
    p->duration = ((const int64_t *)array[MESSAGE].buf)[1];
    name_tokens(p);
    return is_fit(p, array[TOKENS].buf, array[COUNTS].buf) &&
           is_fit(p, array[BEST_TOKENS].buf, array[BEST_COUNTS].buf);
}

static PyObject *anneal_call(PyObject *module, PyObject *args) {
    Py_buffer array[ARRAYS];
    long long steps;
    Cooling cooling;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*y*y*y*y*w*w*w*w*w*Ldd", &array[SIZES], &array[LENGTHS],
                          &array[LINKS], &array[WEIGHTS], &array[LIMITS], &array[MESSAGE],
                          &array[TOKENS], &array[COUNTS], &array[BEST_TOKENS], &array[BEST_COUNTS],
                          &array[STATE], &steps, &cooling.first, &cooling.last))
        return NULL;
    cooling.steps = steps;
    Problem problem;
    int sound = read_problem(&problem, array), fine = 1;
    if (sound) {
        Orders current = {array[TOKENS].buf, array[COUNTS].buf, NULL};
        Orders best = {array[BEST_TOKENS].buf, array[BEST_COUNTS].buf, NULL};
        Py_BEGIN_ALLOW_THREADS
        fine = run(&problem, &current, &best, array[STATE].buf, cooling);
        Py_END_ALLOW_THREADS
    }
    for (int one = 0; one < ARRAYS; one++) PyBuffer_Release(&array[one]);
    if (!sound) {
        PyErr_SetString(PyExc_ValueError, "arrays that are no annealing problem");
        return NULL;
    }
    if (!fine) return PyErr_NoMemory();
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"anneal", anneal_call, METH_VARARGS, "Anneals orders in place; see dpprof.search.problem."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_anneal", NULL, -1, methods,
                                        NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__anneal(void) { return PyModule_Create(&definition); }
