/* The figures of a simulated step, and schedules laid out greedily: compiled twins of
   dpprof.simulate.engine (eager communication) and of dpprof.schedules.greedy.

   The tests hold them together. What is not a complete schedule in a sane order is not judged
   here: the call gives None, and the Python twin says what is wrong with it. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { F = 0, B = 1, I = 2, W = 3, OPERATIONS = 4, MOST_DIRECTIONS = 64 };

typedef struct {
    int8_t operation;
    int16_t direction;
    int32_t micro_batch;
} Action;

typedef struct {
    Action action[2];
    int count;
} Slot;

typedef struct {
    int ranks, directions, micro_batches, stages; /* micro-batches of each stream */
    const int32_t *stage, *stream;                /* [rank][direction], [direction] */
    const int64_t *lengths, *sizes;               /* [rank][token], [rank][direction] */
    int64_t transfer, duration;
    Slot *slots;
    int *first, *position; /* [rank + 1], [rank] */
    int *place;            /* [stream][stage]: rank * directions + direction */
    int64_t *ready[2];     /* of forwards and backwards: [stream][stage][micro-batch], -1: not yet */
    char *done[4];         /* by operation, the same */
    int64_t *edge_free, *free_at, *busy, *chunks, *bytes;
    int *awake;
    char *waiting;
} Step;

static void *zeroed(size_t count, size_t size) { return calloc(count ? count : 1, size); }

/* ---- reading a schedule ---------------------------------------------------------------------- */

static int read_action(PyObject *item, PyObject *codes, Action *action) {
    if (!PyTuple_Check(item) || PyTuple_Size(item) != 3) return 0;
    PyObject *operation = PyTuple_GetItem(item, 0);
    int code = 0;
    while (code < OPERATIONS && PyTuple_GetItem(codes, code) != operation) code++;
    if (code == OPERATIONS) return 0;
    long direction = PyLong_AsLong(PyTuple_GetItem(item, 1));
    long micro_batch = PyLong_AsLong(PyTuple_GetItem(item, 2));
    if (PyErr_Occurred()) {
        PyErr_Clear();
        return 0;
    }
    if (direction < 0 || direction >= MOST_DIRECTIONS || micro_batch < 0 || micro_batch > 1 << 24)
        return 0;
    action->operation = (int8_t)code;
    action->direction = (int16_t)direction;
    action->micro_batch = (int32_t)micro_batch;
    return 1;
}

static int read_slot(PyObject *item, PyObject *codes, Slot *slot) {
    if (!PyTuple_Check(item)) return 0;
    slot->count = (int)PyTuple_Size(item);
    if (slot->count != 1 && slot->count != 2) return 0;
    for (int member = 0; member < slot->count; member++)
        if (!read_action(PyTuple_GetItem(item, member), codes, &slot->action[member])) return 0;
    return slot->count == 1 ||
           (slot->action[0].operation == F && slot->action[1].operation == B);
}

/* Slots read last, by the address of their objects: the ranks share most of them. */
enum { REMEMBERED = 1024 };

typedef struct {
    PyObject *item[REMEMBERED];
    Slot slot[REMEMBERED];
} Remembered;

static int recall_slot(Remembered *seen, PyObject *item, PyObject *codes, Slot *slot) {
    size_t at = ((size_t)item >> 4 ^ (size_t)item >> 14) % REMEMBERED;
    if (seen->item[at] != item) {
        if (!read_slot(item, codes, &seen->slot[at])) return 0;
        seen->item[at] = item;
    }
    *slot = seen->slot[at];
    return 1;
}

/* Reads the slots of all ranks into `first` and `slots`; 0 where they are none. */
static int read_ranks(Step *step, PyObject *ranks, PyObject *codes) {
    size_t total = 0;
    for (int rank = 0; rank < step->ranks; rank++) {
        PyObject *slots = PyTuple_GetItem(ranks, rank);
        if (!PyTuple_Check(slots)) return 0;
        total += (size_t)PyTuple_Size(slots);
    }
    step->slots = zeroed(total, sizeof(Slot));
    if (!step->slots || total > 1 << 28) return 0;
    int number = 0;
    Remembered seen;
    memset(seen.item, 0, sizeof seen.item);
    for (int rank = 0; rank < step->ranks; rank++) {
        PyObject *slots = PyTuple_GetItem(ranks, rank);
        Py_ssize_t count = PyTuple_Size(slots);
        step->first[rank] = number;
        for (Py_ssize_t one = 0; one < count; one++)
            if (!recall_slot(&seen, PyTuple_GetItem(slots, one), codes, &step->slots[number++]))
                return 0;
    }
    step->first[step->ranks] = number;
    return 1;
}

/* Every micro-batch once forwards and once backwards in each direction of each rank. */
static int is_complete(const Step *step) {
    int d = step->directions;
    for (int rank = 0; rank < step->ranks; rank++) {
        int counts[OPERATIONS][MOST_DIRECTIONS] = {{0}};
        for (int number = step->first[rank]; number < step->first[rank + 1]; number++)
            for (int member = 0; member < step->slots[number].count; member++) {
                const Action *action = &step->slots[number].action[member];
                if (action->direction >= d || action->micro_batch >= step->micro_batches) return 0;
                counts[action->operation][action->direction]++;
            }
        for (int way = 0; way < d; way++)
            if (counts[F][way] != step->micro_batches || counts[I][way] != counts[W][way] ||
                counts[B][way] + counts[I][way] != step->micro_batches)
                return 0;
    }
    return 1;
}

static int find_places(Step *step) {
    for (int at = 0; at < step->ranks * step->directions; at++) {
        int stage = step->stage[at], stream = step->stream[at % step->directions];
        if (stage < 0 || stage >= step->stages || stream < 0 || stream >= step->directions) return 0;
        if (step->place[stream * step->stages + stage] != -1) return 0;
        step->place[stream * step->stages + stage] = at;
    }
    for (int at = 0; at < step->ranks * step->directions; at++) {
        int stream = step->stream[at % step->directions];
        for (int stage = 0; stage < step->stages; stage++)
            if (step->place[stream * step->stages + stage] == -1) return 0;
    }
    return 1;
}

/* ---- running it ------------------------------------------------------------------------------ */

static size_t chunk_of(const Step *step, int rank, const Action *action) {
    int stream = step->stream[action->direction];
    int stage = step->stage[rank * step->directions + action->direction];
    return ((size_t)stream * (size_t)step->stages + (size_t)stage) * (size_t)step->micro_batches +
           (size_t)action->micro_batch;
}

/* When the inputs of an action are there; -1: not yet, -2: they can never be. */
static int64_t inputs_of(const Step *step, int rank, const Action *action) {
    size_t chunk = chunk_of(step, rank, action);
    if (step->done[action->operation][chunk]) return -2;
    switch (action->operation) {
    case F: return step->ready[0][chunk];
    case W: return step->done[I][chunk] ? 0 : -2;
    default:
        if (!step->done[F][chunk] || step->done[B][chunk] || step->done[I][chunk]) return -2;
        return step->ready[1][chunk];
    }
}

static int64_t token_length(const Step *step, int rank, const Slot *slot) {
    int d = step->directions, first = slot->action[0].direction;
    int token = slot->count == 1 ? slot->action[0].operation * d + first
                                 : 4 * d + first * d + slot->action[1].direction;
    return step->lengths[rank * (4 * d + d * d) + token];
}

static int64_t latest(int64_t one, int64_t other) { return one > other ? one : other; }

/* Hands a result on; gives when it arrives, and the rank that it wakes in `awake`. */
static int64_t hand_on(Step *step, int rank, const Action *action, int64_t end, int *awake) {
    int way = action->operation == F ? 0 : 1;
    int stage = step->stage[rank * step->directions + action->direction] + (way ? -1 : 1);
    if (action->operation == W || stage < 0 || stage >= step->stages) return end;
    int place = step->place[step->stream[action->direction] * step->stages + stage];
    int target = place / step->directions;
    int64_t arrival = end;
    if (target != rank) {
        int64_t *edge = &step->edge_free[rank * step->ranks + target];
        int64_t sent = latest(end, *edge);
        *edge = sent + step->transfer;
        arrival = sent + step->duration;
    }
    Action next = {F, (int16_t)(place % step->directions), action->micro_batch};
    step->ready[way][chunk_of(step, target, &next)] = arrival;
    if (step->waiting[target]) {
        step->waiting[target] = 0;
        step->awake[(*awake)++] = target;
    }
    return arrival;
}

/* The step's length, or -1 where the ranks wait for each other or an order is wrong. */
static int64_t run(Step *step) {
    int awake = 0, finished = 0;
    int64_t makespan = 0;
    for (int rank = step->ranks - 1; rank >= 0; rank--) step->awake[awake++] = rank;
    while (awake) {
        int rank = step->awake[--awake];
        int *position = &step->position[rank];
        for (; *position < step->first[rank + 1]; (*position)++) {
            const Slot *slot = &step->slots[*position];
            int64_t start = step->free_at[rank], length = token_length(step, rank, slot);
            int waits = 0;
            for (int member = 0; member < slot->count; member++) {
                int64_t ready = inputs_of(step, rank, &slot->action[member]);
                if (ready == -2 || length < 0) return -1;
                if (ready == -1) waits = 1;
                start = latest(start, ready);
            }
            if (waits) {
                step->waiting[rank] = 1;
                break;
            }
            int64_t end = start + length;
            step->free_at[rank] = end;
            step->busy[rank] += length;
            makespan = latest(makespan, end);
            for (int member = 0; member < slot->count; member++) {
                const Action *action = &slot->action[member];
                step->done[action->operation][chunk_of(step, rank, action)] = 1;
                makespan = latest(makespan, hand_on(step, rank, action, end, &awake));
            }
        }
        finished += *position == step->first[rank + 1];
    }
    return finished == step->ranks ? makespan : -1;
}

/* The most chunks, and bytes of them, that each rank holds. */
static void measure_peaks(Step *step) {
    for (int rank = 0; rank < step->ranks; rank++) {
        int64_t chunks = 0, bytes = 0;
        for (int number = step->first[rank]; number < step->first[rank + 1]; number++) {
            const Slot *slot = &step->slots[number];
            for (int member = 0; member < slot->count; member++)
                if (slot->action[member].operation == F) {
                    chunks++;
                    bytes += step->sizes[rank * step->directions + slot->action[member].direction];
                }
            step->chunks[rank] = latest(step->chunks[rank], chunks);
            step->bytes[rank] = latest(step->bytes[rank], bytes);
            for (int member = 0; member < slot->count; member++) {
                int operation = slot->action[member].operation;
                if (operation != B && operation != W) continue;
                chunks--;
                bytes -= step->sizes[rank * step->directions + slot->action[member].direction];
            }
        }
    }
}

static int make_room(Step *step) {
    size_t ranks = (size_t)step->ranks, places = (size_t)step->directions * (size_t)step->stages;
    size_t chunks = places * (size_t)step->micro_batches;
    for (int way = 0; way < 2; way++) step->ready[way] = zeroed(chunks, sizeof(int64_t));
    for (int one = 0; one < OPERATIONS; one++) step->done[one] = zeroed(chunks, 1);
    step->edge_free = zeroed(ranks * ranks, sizeof(int64_t));
    step->free_at = zeroed(ranks, sizeof(int64_t));
    step->awake = zeroed(ranks + 1, sizeof(int));
    step->waiting = zeroed(ranks, 1);
    step->first = zeroed(ranks + 1, sizeof(int));
    step->position = zeroed(ranks, sizeof(int));
    step->place = zeroed(places, sizeof(int));
    int fine = step->ready[0] && step->ready[1] && step->edge_free && step->free_at &&
               step->awake && step->waiting && step->first && step->position && step->place;
    for (int one = 0; one < OPERATIONS; one++) fine = fine && step->done[one];
    if (!fine) return 0;
    for (size_t place = 0; place < places; place++) step->place[place] = -1;
    for (size_t chunk = 0; chunk < chunks; chunk++) {
        size_t stage = chunk / (size_t)step->micro_batches % (size_t)step->stages;
        step->ready[0][chunk] = stage == 0 ? 0 : -1;
        step->ready[1][chunk] = stage + 1 == (size_t)step->stages ? 0 : -1;
    }
    return 1;
}

static void give_up_room(Step *step) {
    void *all[] = {step->ready[0], step->ready[1], step->done[0],  step->done[1],
                   step->done[2],  step->done[3],  step->edge_free, step->free_at,
                   step->awake,    step->waiting,  step->first,    step->position,
                   step->place,    step->slots};
    for (size_t one = 0; one < sizeof all / sizeof *all; one++) free(all[one]);
}

enum { SIZES, STAGE, STREAM, LENGTHS, BYTES, MESSAGE, FIGURES, ARRAYS };

/* Whether the arrays have the sizes that they ought to, which are then set in `step`. */
static int read_arrays(Step *step, Py_buffer *array, PyObject *ranks) {
    if (array[SIZES].len != 4 * 4) return 0;
    const int32_t *sizes = array[SIZES].buf;
    step->ranks = sizes[0];
    step->directions = sizes[1];
    step->micro_batches = sizes[2];
    step->stages = sizes[3];
    Py_ssize_t pp = step->ranks, d = step->directions;
    if (pp < 1 || pp > 4096 || d < 1 || d > MOST_DIRECTIONS || step->micro_batches < 1 ||
        step->micro_batches > 1 << 24 || step->stages < 1 || step->stages > pp * d ||
        PyTuple_Size(ranks) != pp || (int64_t)step->micro_batches * pp * d > 1 << 26)
        return 0;
    Py_ssize_t asked[ARRAYS] = {16, pp * d * 4, d * 4, pp * (4 * d + d * d) * 8, pp * d * 8,
                                16, (1 + 3 * pp) * 8};
    for (int one = 0; one < ARRAYS; one++)
        if (array[one].len != asked[one]) return 0;
    step->stage = array[STAGE].buf;
    step->stream = array[STREAM].buf;
    step->lengths = array[LENGTHS].buf;
    step->sizes = array[BYTES].buf;
    step->transfer = ((const int64_t *)array[MESSAGE].buf)[0];
    step->duration = ((const int64_t *)array[MESSAGE].buf)[1];
    int64_t *figures = array[FIGURES].buf;
    step->busy = figures + 1;
    step->chunks = step->busy + pp;
    step->bytes = step->chunks + pp;
    memset(figures, 0, (size_t)(1 + 3 * pp) * sizeof(int64_t));
    return 1;
}

static PyObject *step_call(PyObject *module, PyObject *args) {
    PyObject *ranks, *codes;
    Py_buffer array[ARRAYS];
    (void)module;
    if (!PyArg_ParseTuple(args, "O!O!y*y*y*y*y*y*w*", &PyTuple_Type, &ranks, &PyTuple_Type, &codes,
                          &array[SIZES], &array[STAGE], &array[STREAM], &array[LENGTHS],
                          &array[BYTES], &array[MESSAGE], &array[FIGURES]))
        return NULL;
    Step step;
    memset(&step, 0, sizeof step);
    int64_t length = -1;
    int sound = PyTuple_Size(codes) == OPERATIONS && read_arrays(&step, array, ranks);
    if (sound && make_room(&step) && find_places(&step) && read_ranks(&step, ranks, codes) &&
        is_complete(&step)) {
        for (int rank = 0; rank < step.ranks; rank++) step.position[rank] = step.first[rank];
        length = run(&step);
        measure_peaks(&step);
        ((int64_t *)array[FIGURES].buf)[0] = length;
    }
    give_up_room(&step);
    for (int one = 0; one < ARRAYS; one++) PyBuffer_Release(&array[one]);
    if (!sound) {
        PyErr_SetString(PyExc_ValueError, "arrays that are no step");
        return NULL;
    }
    return PyBool_FromLong(length >= 0);
}

/* ---- greedy orders --------------------------------------------------------------------------- */

typedef struct {
    int ranks, directions, micro_batches, stages, streams, entered, held_most, split;
    const int32_t *stage, *stream;
    int64_t *free_at;
    int *held, *done[2];    /* done: [stream][stage], how many */
    int64_t *ends[2];       /* [stream][stage][micro-batch] */
    int *pending, *pending_from, *pending_to; /* [rank][...]: direction of the I whose W is to come */
} Greedy;

typedef struct {
    int class, far, number, operation, direction;
} Choice;

static int is_before(const Choice *one, const Choice *other) {
    int keys[4][2] = {{one->class, other->class},
                      {one->far, other->far},
                      {one->number, other->number},
                      {one->direction, other->direction}};
    for (int key = 0; key < 4; key++)
        if (keys[key][0] != keys[key][1]) return keys[key][0] < keys[key][1];
    return 0;
}

static int has_ended(const Greedy *g, int way, int place, int number, int64_t now) {
    return number < g->done[way][place] &&
           g->ends[way][(size_t)place * (size_t)g->micro_batches + (size_t)number] <= now;
}

/* Whether one more micro-batch of the stream may enter at its first stage. */
static int may_enter(const Greedy *g, int place, int number, int64_t now) {
    int back = g->done[1][place], old = back > g->entered ? back - g->entered : 0, ended = old;
    for (int one = old; one < back; one++) ended += has_ended(g, 1, place, one, now);
    return number - ended < g->entered;
}

static int can_go_back(const Greedy *g, int place, int stage, int64_t now) {
    int number = g->done[1][place];
    return has_ended(g, 0, place, number, now) &&
           (stage == g->stages - 1 || has_ended(g, 1, place + 1, number, now));
}

static int can_go_on(const Greedy *g, int rank, int place, int stage, int64_t now) {
    int number = g->done[0][place];
    if (number >= g->micro_batches || g->held[rank] >= g->held_most) return 0;
    return stage ? has_ended(g, 0, place - 1, number, now) : may_enter(g, place, number, now);
}

static void take_if_before(Choice *best, int *any, Choice one) {
    if (!*any || is_before(&one, best)) *best = one;
    *any = 1;
}

static int choose(const Greedy *g, int rank, int64_t now, Choice *best) {
    int any = 0;
    for (int way = 0; way < g->directions; way++) {
        int stage = g->stage[rank * g->directions + way];
        int place = g->stream[way] * g->stages + stage;
        if (can_go_back(g, place, stage, now)) {
            Choice back = {0, stage, g->done[1][place], g->split ? I : B, way};
            take_if_before(best, &any, back);
        }
        if (can_go_on(g, rank, place, stage, now)) {
            Choice on = {1, -stage, g->done[0][place], F, way};
            take_if_before(best, &any, on);
        }
    }
    if (!any && g->pending_from[rank] < g->pending_to[rank]) {
        const int *first = g->pending + 2 * ((size_t)rank * (size_t)g->directions *
                                                 (size_t)g->micro_batches +
                                             (size_t)g->pending_from[rank]);
        Choice weight = {2, 0, first[1], W, first[0]};
        *best = weight;
        any = 1;
    }
    return any;
}

static void take(Greedy *g, int rank, int64_t now, const Choice *choice) {
    int place = g->stream[choice->direction] * g->stages +
                g->stage[rank * g->directions + choice->direction];
    g->free_at[rank] = now + (choice->operation == B ? 2 : 1);
    if (choice->operation == W) {
        g->held[rank]--;
        g->pending_from[rank]++;
        return;
    }
    int way = choice->operation == F ? 0 : 1;
    g->ends[way][(size_t)place * (size_t)g->micro_batches + (size_t)g->done[way][place]++] =
        g->free_at[rank];
    if (choice->operation == F) g->held[rank]++;
    if (choice->operation == B) g->held[rank]--;
    if (choice->operation == I) {
        int *last = g->pending + 2 * ((size_t)rank * (size_t)g->directions *
                                          (size_t)g->micro_batches +
                                      (size_t)g->pending_to[rank]++);
        last[0] = choice->direction;
        last[1] = choice->number;
    }
}

/* Writes (rank, operation, direction, micro-batch) of every slot; gives how many, -1: stuck. */
static int64_t lay_out(Greedy *g, int32_t *rows, int64_t most) {
    int64_t written = 0, now = 0, idle = 0;
    while (written < most) {
        int moved = 0;
        for (int rank = 0; rank < g->ranks; rank++) {
            Choice choice = {0, 0, 0, 0, 0};
            if (g->free_at[rank] > now) {
                moved = 1;
                continue;
            }
            if (!choose(g, rank, now, &choice)) continue;
            take(g, rank, now, &choice);
            moved = 1;
            int32_t *row = rows + 4 * written++;
            row[0] = rank;
            row[1] = choice.operation;
            row[2] = choice.direction;
            row[3] = choice.number;
        }
        idle = moved ? 0 : idle + 1;
        if (idle > 2) return -1;
        now++;
    }
    return written;
}

static int greedy_room(Greedy *g) {
    size_t ranks = (size_t)g->ranks, places = (size_t)g->streams * (size_t)g->stages;
    size_t chunks = places * (size_t)g->micro_batches;
    g->free_at = zeroed(ranks, sizeof(int64_t));
    g->held = zeroed(ranks, sizeof(int));
    g->pending = zeroed(2 * ranks * (size_t)g->directions * (size_t)g->micro_batches, sizeof(int));
    g->pending_from = zeroed(ranks, sizeof(int));
    g->pending_to = zeroed(ranks, sizeof(int));
    for (int way = 0; way < 2; way++) {
        g->done[way] = zeroed(places, sizeof(int));
        g->ends[way] = zeroed(chunks, sizeof(int64_t));
    }
    return g->free_at && g->held && g->pending && g->pending_from && g->pending_to && g->done[0] &&
           g->done[1] && g->ends[0] && g->ends[1];
}

static int greedy_sizes(Greedy *g, const Py_buffer *sizes, const Py_buffer *stage,
                        const Py_buffer *stream, const Py_buffer *rows) {
    if (sizes->len != 8 * 4) return 0;
    const int32_t *number = sizes->buf;
    g->ranks = number[0];
    g->directions = number[1];
    g->micro_batches = number[2];
    g->stages = number[3];
    g->streams = number[4];
    g->entered = number[5];
    g->held_most = number[6];
    g->split = number[7];
    g->stage = stage->buf;
    g->stream = stream->buf;
    Py_ssize_t pp = g->ranks, d = g->directions, m = g->micro_batches;
    if (pp < 1 || pp > 4096 || d < 1 || d > MOST_DIRECTIONS || m < 1 || m > 1 << 24 ||
        g->stages < 1 || g->streams < 1 || g->streams > d || pp * d != g->stages * g->streams ||
        m * pp * d > 1 << 26 || g->entered < 1 || stage->len != pp * d * 4 || stream->len != d * 4 ||
        rows->len != pp * d * m * (g->split ? 3 : 2) * 16)
        return 0;
    for (Py_ssize_t at = 0; at < pp * d; at++)
        if (g->stage[at] < 0 || g->stage[at] >= g->stages) return 0;
    for (Py_ssize_t way = 0; way < d; way++)
        if (g->stream[way] < 0 || g->stream[way] >= g->streams) return 0;
    return 1;
}

static PyObject *greedy_call(PyObject *module, PyObject *args) {
    Py_buffer sizes, stage, stream, rows;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*y*w*", &sizes, &stage, &stream, &rows)) return NULL;
    Greedy g;
    memset(&g, 0, sizeof g);
    int64_t written = -1;
    int sound = greedy_sizes(&g, &sizes, &stage, &stream, &rows);
    if (sound && greedy_room(&g)) written = lay_out(&g, rows.buf, rows.len / 16);
    void *all[] = {g.free_at, g.held,       g.pending, g.pending_from, g.pending_to,
                   g.done[0], g.done[1], g.ends[0], g.ends[1]};
    for (size_t one = 0; one < sizeof all / sizeof *all; one++) free(all[one]);
    PyBuffer_Release(&sizes);
    PyBuffer_Release(&stage);
    PyBuffer_Release(&stream);
    PyBuffer_Release(&rows);
    if (!sound) {
        PyErr_SetString(PyExc_ValueError, "arrays that are no greedy layout");
        return NULL;
    }
    return PyBool_FromLong(written >= 0);
}

static PyMethodDef methods[] = {
    {"step", step_call, METH_VARARGS, "Figures of a step; False where Python is to say why not."},
    {"greedy", greedy_call, METH_VARARGS, "Lays out a schedule; False where nothing can go on."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_step", NULL, -1, methods,
                                        NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__step(void) { return PyModule_Create(&definition); }
