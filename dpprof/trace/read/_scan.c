/* Scans the JSON of a trace in one pass: complete events of known categories become rows.

   Optional: dpprof.trace.read.engine_python does the same without a compiler, more slowly. What counts as
   which type is said in dpprof/trace/read/json_values.py; both follow it, and the tests hold them together.

   The JSON is checked in full (RFC 8259, UTF-8 included), so what passes here is what any other
   parser would have read. Nothing here recurses, and nothing is kept but rows and distinct texts. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { MAX_DEPTH = 480, MAX_TEXT = 1 << 20, MAX_HEADER = 64 << 20 };

/* Where a scan stands; the numbers are those of dpprof.trace.read.engines.Place. */
enum { AT_START = 0, FIRST_EVENT = 1, AFTER_EVENT = 2, AFTER_MEMBER = 3, AT_END = 4 };
/* How a scan stopped; the numbers are those of dpprof.trace.read.engines.Stop. */
enum { FINE = 0, NEEDS_MORE = 1, UNSOUND = 2, DECLINED = 3, NO_MEMORY = 4, NOT_A_TRACE = 5 };

typedef const uint8_t *Text;

/* ---- growing arrays and tables of distinct keys ------------------------------------------- */

typedef struct {
    uint8_t *data;
    size_t used, room;
} Bytes;

static void *extend(Bytes *bytes, size_t count) {
    if (bytes->used + count > bytes->room) {
        size_t room = (bytes->used + count) * 2 + 4096;
        uint8_t *data = realloc(bytes->data, room);
        if (data == NULL) return NULL;
        bytes->data = data;
        bytes->room = room;
    }
    void *place = bytes->data + bytes->used;
    bytes->used += count;
    return place;
}

typedef struct {
    uint64_t hash;
    size_t offset; /* into the keys */
    uint32_t length;
    int32_t code; /* -1 where the slot is free */
} Slot;

typedef struct {
    Bytes keys;
    Slot *slots;
    size_t mask; /* number of slots - 1 */
    int32_t count;
    uint64_t seed;
} Table;

static int table_start(Table *table, uint64_t seed) {
    memset(table, 0, sizeof *table);
    table->mask = 255;
    table->seed = seed;
    table->slots = malloc((table->mask + 1) * sizeof(Slot));
    if (table->slots == NULL) return -1;
    for (size_t i = 0; i <= table->mask; i++) table->slots[i].code = -1;
    return 0;
}

static void table_stop(Table *table) {
    free(table->slots);
    free(table->keys.data);
}

static uint64_t fold(uint64_t a, uint64_t b) {
    /* 64 x 64 -> 128 bits, folded, without needing a 128-bit type. */
    uint64_t a_high = a >> 32, a_low = (uint32_t)a, b_high = b >> 32, b_low = (uint32_t)b;
    uint64_t middle = a_high * b_low, other = a_low * b_high, low = a_low * b_low;
    uint64_t carry = (low >> 32) + (uint32_t)middle + (uint32_t)other;
    uint64_t high = a_high * b_high + (middle >> 32) + (other >> 32) + (carry >> 32);
    return high ^ (low + ((middle + other) << 32));
}

static uint64_t hash_of(Text key, size_t length, uint64_t seed) {
    uint64_t hash = seed ^ (length * UINT64_C(0x9E3779B97F4A7C15));
    while (length >= 8) {
        uint64_t word;
        memcpy(&word, key, 8);
        hash = fold(hash ^ word, UINT64_C(0xA0761D6478BD642F) ^ seed);
        key += 8;
        length -= 8;
    }
    uint64_t word = 0;
    memcpy(&word, key, length);
    return fold(hash ^ word, UINT64_C(0xE7037ED1A0B428DB) ^ seed);
}

static int table_grow(Table *table) {
    size_t mask = table->mask * 4 + 3;
    Slot *slots = malloc((mask + 1) * sizeof(Slot));
    if (slots == NULL) return -1;
    for (size_t i = 0; i <= mask; i++) slots[i].code = -1;
    for (size_t i = 0; i <= table->mask; i++) {
        if (table->slots[i].code < 0) continue;
        size_t at = table->slots[i].hash & mask;
        while (slots[at].code >= 0) at = (at + 1) & mask;
        slots[at] = table->slots[i];
    }
    free(table->slots);
    table->slots = slots;
    table->mask = mask;
    return 0;
}

/* The number of this key, in order of appearance; -1 without memory. */
static int32_t intern(Table *table, const void *key, size_t length) {
    uint64_t hash = hash_of(key, length, table->seed);
    size_t at = hash & table->mask;
    for (; table->slots[at].code >= 0; at = (at + 1) & table->mask) {
        Slot *slot = &table->slots[at];
        if (slot->hash == hash && slot->length == length &&
            memcmp(table->keys.data + slot->offset, key, length) == 0)
            return slot->code;
    }
    size_t offset = table->keys.used;
    void *place = extend(&table->keys, length);
    if (place == NULL) return -1;
    memcpy(place, key, length);
    table->slots[at] = (Slot){hash, offset, (uint32_t)length, table->count};
    int32_t code = table->count++;
    if ((size_t)table->count * 2 > table->mask && table_grow(table) < 0) return -1;
    return code;
}

/* ---- the state of a scan -------------------------------------------------------------------- */

typedef struct {
    int64_t start_ns, duration_ns, correlation, bytes;
    int32_t name, thread, stream, device, collective, category;
} Span;

typedef struct {
    int64_t at_ns, change, allocated, reserved, address;
    int32_t device_type, device;
} Memory;

typedef struct {
    int32_t thread, name;
} ThreadName;

typedef struct {
    int32_t process, name; /* texts */
} ProcessName;

enum { COLLECTIVE_TEXTS = 9, COLLECTIVE_NUMBERS = 5 };

typedef struct {
    int64_t numbers[COLLECTIVE_NUMBERS]; /* elements, source, destination, sequence, size */
    int32_t texts[COLLECTIVE_TEXTS];     /* name, group, description, ranks, dtype, id, and of
                                            messages their inputs: values, shapes, types */
    int32_t unused;
} Collective;

typedef struct {
    Text key, key_end, value, value_end;
} Header;

typedef struct {
    Text begin, end;
    int stop;
    Text stop_at;
    Bytes spans, memory, thread_names, process_names, headers;
    Table names, texts, threads, streams, collectives;
    int64_t skipped, skipped_work, skipped_memory, events, lists;
} Scan;

static Text give_up(Scan *scan, int stop, Text at) {
    scan->stop = stop;
    scan->stop_at = at;
    return NULL;
}

/* ---- JSON tokens ---------------------------------------------------------------------------- */

enum { STRING, INTEGER, DECIMAL, BOOLEAN, NOTHING, ARRAY, OBJECT, ABSENT };

typedef struct {
    Text begin, end; /* as written, quotes included */
    int type;
    int has_escape;
} Token;

static inline Text skip_space(Text p, Text end) {
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) p++;
    return p;
}

static Text check_utf8(Scan *scan, Text p) {
    size_t left = (size_t)(scan->end - p);
    uint8_t first = *p;
    size_t length = first >= 0xC2 && first < 0xE0 ? 2 : first >= 0xE0 && first < 0xF0 ? 3
                    : first >= 0xF0 && first < 0xF5 ? 4 : 0;
    if (length == 0) return give_up(scan, UNSOUND, p);
    uint8_t low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    uint8_t high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    for (size_t i = 1; i < length; i++) {
        if (i >= left) return give_up(scan, NEEDS_MORE, p);
        if (p[i] < low || p[i] > high) return give_up(scan, UNSOUND, p);
        low = 0x80, high = 0xBF;
    }
    return p + length;
}

static inline int is_digit(uint8_t c) { return (uint8_t)(c - '0') < 10; }

static int hex4(Text p) {
    int value = 0;
    for (int i = 0; i < 4; i++) {
        int letter = p[i] | 32;
        int digit = is_digit(p[i]) ? p[i] - '0' : letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* Past an escape; p is at the backslash. Surrogates come in pairs. */
static Text check_escape(Scan *scan, Text p) {
    if (scan->end - p < 2) return give_up(scan, NEEDS_MORE, p);
    if (p[1] != 'u') {
        if (p[1] == 0 || strchr("\"\\/bfnrt", p[1]) == NULL) return give_up(scan, UNSOUND, p);
        return p + 2;
    }
    if (scan->end - p < 6) return give_up(scan, NEEDS_MORE, p);
    int unit = hex4(p + 2);
    if (unit < 0 || (unit >= 0xDC00 && unit < 0xE000)) return give_up(scan, UNSOUND, p);
    if (unit < 0xD800 || unit >= 0xE000) return p + 6;
    if (scan->end - p < 12) {
        if (scan->end - p > 6 && p[6] != '\\') return give_up(scan, UNSOUND, p);
        return give_up(scan, NEEDS_MORE, p);
    }
    int second = p[6] == '\\' && p[7] == 'u' ? hex4(p + 8) : -1;
    if (second < 0xDC00 || second >= 0xE000) return give_up(scan, UNSOUND, p);
    return p + 12;
}

/* Past the closing quote; p is past the opening one. */
static inline Text skip_string(Scan *scan, Text p, int *has_escape) {
    Text end = scan->end;
    for (;;) {
#if defined(__SSE2__)
        while (end - p >= 16) {
            __m128i chunk = _mm_loadu_si128((const __m128i *)p);
            __m128i special = _mm_or_si128(_mm_cmpeq_epi8(chunk, _mm_set1_epi8('"')),
                                           _mm_cmpeq_epi8(chunk, _mm_set1_epi8('\\')));
            /* signed: below 0x20 are the control characters and all of 0x80 to 0xFF */
            special = _mm_or_si128(special, _mm_cmplt_epi8(chunk, _mm_set1_epi8(0x20)));
            int mask = _mm_movemask_epi8(special);
            if (mask != 0) {
                p += __builtin_ctz((unsigned)mask);
                goto found;
            }
            p += 16;
        }
#endif
        while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\') p++;
        if (p >= end) return give_up(scan, NEEDS_MORE, end);
#if defined(__SSE2__)
    found:
#endif
        if (*p == '"') return p + 1;
        if (*p == '\\') {
            *has_escape = 1;
            p = check_escape(scan, p);
        } else if (*p >= 0x80) {
            p = check_utf8(scan, p);
        } else {
            return give_up(scan, UNSOUND, p);
        }
        if (p == NULL) return NULL;
    }
}

static inline Text skip_number(Scan *scan, Text p, Token *token) {
    Text end = scan->end, begin = p;
    token->type = INTEGER;
    if (*p == '-') p++;
    if (p >= end) return give_up(scan, NEEDS_MORE, end);
    if (!is_digit(*p)) return give_up(scan, UNSOUND, begin);
    if (*p == '0') p++;
    else while (p < end && is_digit(*p)) p++;
    if (p < end && is_digit(*p)) return give_up(scan, UNSOUND, begin);
    if (p < end && *p == '.') {
        token->type = DECIMAL;
        Text fraction = ++p;
        while (p < end && is_digit(*p)) p++;
        if (p < end && p == fraction) return give_up(scan, UNSOUND, begin);
    }
    if (p < end && (*p | 32) == 'e') {
        token->type = DECIMAL;
        p++;
        if (p < end && (*p == '+' || *p == '-')) p++;
        Text exponent = p;
        while (p < end && is_digit(*p)) p++;
        if (p < end && p == exponent) return give_up(scan, UNSOUND, begin);
    }
    if (p >= end) return give_up(scan, NEEDS_MORE, end); /* more digits may follow */
    return p;
}

static Text skip_word(Scan *scan, Text p, const char *word) {
    Text begin = p;
    for (; *word; word++, p++) {
        if (p >= scan->end) return give_up(scan, NEEDS_MORE, p);
        if (*p != (uint8_t)*word) return give_up(scan, UNSOUND, begin);
    }
    return p;
}

static inline Text skip_scalar(Scan *scan, Text p, Token *token) {
    switch (*p) {
    case '"':
        token->type = STRING;
        return skip_string(scan, p + 1, &token->has_escape);
    case 't':
        token->type = BOOLEAN;
        return skip_word(scan, p, "true");
    case 'f':
        token->type = BOOLEAN;
        return skip_word(scan, p, "false");
    case 'n':
        token->type = NOTHING;
        return skip_word(scan, p, "null");
    default:
        if (*p == '-' || is_digit(*p)) return skip_number(scan, p, token);
        return give_up(scan, UNSOUND, p);
    }
}

/* Past a key and its colon, at the value; p is at the opening quote. */
static inline Text skip_key(Scan *scan, Text p, Token *key) {
    if (p >= scan->end) return give_up(scan, NEEDS_MORE, p);
    if (*p != '"') return give_up(scan, UNSOUND, p);
    key->has_escape = 0;
    key->begin = p + 1;
    p = skip_string(scan, p + 1, &key->has_escape);
    if (p == NULL) return NULL;
    key->end = p - 1;
    p = skip_space(p, scan->end);
    if (p >= scan->end) return give_up(scan, NEEDS_MORE, p);
    if (*p != ':') return give_up(scan, UNSOUND, p);
    p = skip_space(p + 1, scan->end);
    if (p >= scan->end) return give_up(scan, NEEDS_MORE, p);
    return p;
}

/* Past an array or object, checked in full; p is at its bracket. */
static Text skip_nested(Scan *scan, Text p) {
    uint64_t is_object[MAX_DEPTH / 64 + 1];
    int depth = 0;
    Text end = scan->end;
    Token token = {0};
open:
    if (depth == MAX_DEPTH) return give_up(scan, DECLINED, p);
    {
        uint64_t bit = UINT64_C(1) << (depth & 63);
        if (*p == '{') is_object[depth >> 6] |= bit;
        else is_object[depth >> 6] &= ~bit;
    }
    depth++;
    {
        uint8_t close = *p == '{' ? '}' : ']';
        p = skip_space(p + 1, end);
        if (p >= end) return give_up(scan, NEEDS_MORE, p);
        if (*p == close) goto closed;
    }
value:
    if (is_object[(depth - 1) >> 6] >> ((depth - 1) & 63) & 1) {
        p = skip_key(scan, p, &token);
        if (p == NULL) return NULL;
    }
    if (*p == '{' || *p == '[') goto open;
    p = skip_scalar(scan, p, &token);
    if (p == NULL) return NULL;
after:
    p = skip_space(p, end);
    if (p >= end) return give_up(scan, NEEDS_MORE, p);
    if (*p == ',') {
        p = skip_space(p + 1, end);
        if (p >= end) return give_up(scan, NEEDS_MORE, p);
        goto value;
    }
    if (*p != (is_object[(depth - 1) >> 6] >> ((depth - 1) & 63) & 1 ? '}' : ']'))
        return give_up(scan, UNSOUND, p);
closed:
    p++;
    if (--depth == 0) return p;
    goto after;
}

static inline Text skip_value(Scan *scan, Text p, Token *token) {
    token->begin = p;
    token->has_escape = 0;
    if (*p == '{' || *p == '[') {
        token->type = *p == '{' ? OBJECT : ARRAY;
        p = skip_nested(scan, p);
    } else {
        p = skip_scalar(scan, p, token);
    }
    token->end = p;
    return p;
}

/* ---- what a token is worth: see values.py ---------------------------------------------------- */

/* Is the token this text, as written? Texts are compared with their quotes and escapes. */
#define is_text(token, text) \
    ((token)->end - (token)->begin == sizeof(text) - 1 && memcmp((token)->begin, text, sizeof(text) - 1) == 0)

/* Whole nanoseconds of microseconds, cut off towards zero; 0 where this is no number or too big. */
static int to_nanoseconds(const Token *token, int64_t *nanoseconds) {
    Text p = token->begin, end = token->end;
    if (token->type == STRING) p++, end--;
    else if (token->type != INTEGER && token->type != DECIMAL) return 0;
    int negative = p < end && *p == '-';
    p += negative;
    Text whole = p;
    while (p < end && is_digit(*p)) p++;
    Text whole_end = p, fraction = p, fraction_end = p;
    if (whole_end == whole || (*whole == '0' && whole_end - whole > 1)) return 0;
    if (p < end && *p == '.') {
        fraction = ++p;
        while (p < end && is_digit(*p)) p++;
        fraction_end = p;
        if (fraction_end == fraction) return 0;
    }
    int64_t exponent = 0;
    if (p < end && (*p | 32) == 'e') {
        p++;
        int is_negative = p < end && *p == '-';
        if (p < end && (*p == '+' || *p == '-')) p++;
        if (p >= end) return 0;
        for (; p < end && is_digit(*p); p++)
            if (exponent < INT64_C(1) << 40) exponent = exponent * 10 + (*p - '0');
        if (is_negative) exponent = -exponent;
    }
    if (p != end) return 0;
    const uint64_t limit = UINT64_C(1) << 62;
    uint64_t value = 0;
    int64_t shift = exponent + 3, count = (whole_end - whole) + (fraction_end - fraction);
    int64_t wanted = (whole_end - whole) + shift; /* digits before the point of the nanoseconds */
    for (int64_t i = 0; i < wanted; i++) {
        int digit = 0;
        if (i < whole_end - whole) digit = whole[i] - '0';
        else if (i < count) digit = fraction[i - (whole_end - whole)] - '0';
        else if (value == 0) break; /* zeros to the end */
        if (value > limit / 10) return 0;
        value = value * 10 + (uint64_t)digit;
        if (value >= limit) return 0;
    }
    *nanoseconds = negative ? -(int64_t)value : (int64_t)value;
    return 1;
}

/* The integer, -1 where there is none or it does not fit; 0 is returned for a wrong type. */
static int to_integer(const Token *token, int64_t *value) {
    Text p = token->begin, end = token->end;
    *value = -1;
    if (token->type == NOTHING || token->type == ABSENT) return 1;
    int is_string = token->type == STRING;
    if (is_string) p++, end--;
    else if (token->type != INTEGER) return 0;
    int negative = !is_string && *p == '-';
    p += negative;
    if (p == end || end - p > 19) return 1;
    uint64_t sum = 0;
    for (; p < end; p++) {
        if (!is_digit(*p)) return 1;
        sum = sum * 10 + (uint64_t)(*p - '0');
    }
    if (sum > (uint64_t)INT64_MAX) return 1;
    *value = negative ? -(int64_t)sum : (int64_t)sum;
    return 1;
}

static int to_small(const Token *token, int32_t *value) {
    int64_t wide;
    if (!to_integer(token, &wide)) return 0;
    *value = wide == (int32_t)wide ? (int32_t)wide : -1;
    return 1;
}

/* Is this a name of something: text, or a whole number, or none? */
static inline int is_label(const Token *token) {
    return (token->type == STRING || token->type == INTEGER || token->type == NOTHING ||
            token->type == ABSENT) && token->end - token->begin <= MAX_TEXT;
}

static inline int is_wording(const Token *token) {
    return (token->type <= DECIMAL || token->type == ARRAY || token->type == NOTHING ||
            token->type == ABSENT) && token->end - token->begin <= MAX_TEXT;
}

static const struct {
    const char *text; /* with its quotes */
    int length, category;
} CATEGORIES[] = {
#define CATEGORY(text, category) {"\"" text "\"", sizeof(text) + 1, category},
#include "_categories.h"
};

/* Does the text, quotes included, end with this (and its closing quote)? */
#define ends_with(token, text) \
    ((token)->end - (token)->begin > (long)sizeof(text) && \
     memcmp((token)->end - sizeof(text), text "\"", sizeof(text)) == 0)

/* Is it a call of Megatron's schedule, as call stacks have it? See columns.py, SCHEDULE_CALLS. */
static int is_schedule_call(const Token *name) {
    if (name->type != STRING) return 0;
#define CALL(text) if (ends_with(name, text)) goto of_schedule;
    CALL("): forward_step")
    CALL("): backward_step")
    return 0;
of_schedule:
    for (Text p = name->begin; name->end - p > 13; p++)
        if (memcmp(p, "schedules.py(", 13) == 0) return 1;
    return 0;
}

/* columns.py: Category.MEMSET, ANNOTATION, SYNC; engines.py: OTHER */
enum { LAST_OF_DEVICE = 2, KEPT_CALL = 4, SYNC = 6, NO_CATEGORY = 255 };

static int category_of(const Token *token) {
    long length = token->end - token->begin;
    for (size_t i = 0; i < sizeof CATEGORIES / sizeof *CATEGORIES; i++)
        if (length == CATEGORIES[i].length && memcmp(token->begin, CATEGORIES[i].text, (size_t)length) == 0)
            return CATEGORIES[i].category;
    return -1;
}

/* ---- one event ------------------------------------------------------------------------------- */

enum {
    STREAM, DEVICE, CORRELATION, BYTES, DTYPE, COLLECTIVE, GROUP, DESCRIPTION, RANKS, ELEMENTS,
    SOURCE, DESTINATION, SEQUENCE, SIZE, ID, INPUTS, SHAPES, TYPES, CHANGE, ALLOCATED, RESERVED,
    DEVICE_TYPE, DEVICE_ID, ADDRESS, NAME, CORRELATION_ID, WAIT_STREAM, WAIT_RECORD, ARGUMENTS
};

static const struct {
    const char *text;
    int argument;
} KEYS[] = {
    {"stream", STREAM}, {"device", DEVICE}, {"correlation", CORRELATION}, {"bytes", BYTES},
    {"dtype", DTYPE}, {"Collective name", COLLECTIVE}, {"Process Group Name", GROUP},
    {"Process Group Description", DESCRIPTION}, {"Process Group Ranks", RANKS},
    {"In msg nelems", ELEMENTS}, {"Src Rank", SOURCE}, {"Dst Rank", DESTINATION},
    {"Seq", SEQUENCE}, {"Group size", SIZE}, {"Comms Id", ID}, {"Concrete Inputs", INPUTS},
    {"Input Dims", SHAPES}, {"Input type", TYPES}, {"Bytes", CHANGE}, {"Total Allocated", ALLOCATED},
    {"Total Reserved", RESERVED}, {"Device Type", DEVICE_TYPE}, {"Device Id", DEVICE_ID},
    {"Addr", ADDRESS}, {"name", NAME}, {"wait_on_stream", WAIT_STREAM},
    {"wait_on_cuda_event_record_corr_id", WAIT_RECORD},
    {"correlation id", CORRELATION_ID}, /* Paddle's */
};

enum { LONGEST_KEY = 34 };
/* Arguments whose key has this length and first letter; there are at most two of them. */
static int8_t KEYS_BY_SHAPE[LONGEST_KEY][128][2];

static void prepare_keys(void) {
    memset(KEYS_BY_SHAPE, -1, sizeof KEYS_BY_SHAPE);
    for (size_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++) {
        int8_t *shape = KEYS_BY_SHAPE[strlen(KEYS[i].text)][(uint8_t)KEYS[i].text[0]];
        shape[shape[0] >= 0] = (int8_t)i;
    }
}

static inline int argument_of(const Token *key) {
    size_t length = (size_t)(key->end - key->begin);
    if (length >= LONGEST_KEY || length == 0 || *key->begin >= 128) return -1;
    const int8_t *shape = KEYS_BY_SHAPE[length][*key->begin];
    for (int i = 0; i < 2 && shape[i] >= 0; i++)
        if (memcmp(KEYS[shape[i]].text, key->begin, length) == 0) return KEYS[shape[i]].argument;
    return -1;
}

typedef struct {
    Token ph, cat, name, pid, tid, ts, dur, args;
    Token arguments[ARGUMENTS];
    int skipped_arguments; /* taken for an event that is not read */
} Event;

static const Token ABSENT_TOKEN = {NULL, NULL, ABSENT, 0};

static void clear(Event *event) {
    event->ph = event->cat = event->name = event->pid = event->tid = ABSENT_TOKEN;
    event->ts = event->dur = event->args = ABSENT_TOKEN;
    event->skipped_arguments = 0;
}

static void clear_arguments(Event *event) {
    for (int i = 0; i < ARGUMENTS; i++) event->arguments[i] = ABSENT_TOKEN;
}

/* The category, or -1 for an event that is not read. */
static int kept_category(const Event *event) {
    if (event->cat.type != STRING) return -1;
    if (is_text(&event->cat, "\"python_function\""))
        return is_schedule_call(&event->name) ? KEPT_CALL : -1;
    return category_of(&event->cat);
}

/* Is it certain, from what came before the arguments, that the event is not read? */
static int is_unwanted(const Event *event) {
    if (event->ph.type != STRING) return 0;
    if (is_text(&event->ph, "\"B\"") || is_text(&event->ph, "\"E\"")) return 0;
    if (is_text(&event->ph, "\"X\"")) return event->cat.type == STRING && event->name.type == STRING
                                             && kept_category(event) < 0 && !is_text(&event->name, "\"[memory]\"");
    if (is_text(&event->ph, "\"i\"")) return event->name.type == STRING && !is_text(&event->name, "\"[memory]\"")
                                             && event->cat.type == STRING && category_of(&event->cat) < 0;
    if (is_text(&event->ph, "\"M\"")) return event->name.type == STRING && !is_text(&event->name, "\"thread_name\"")
                                             && !is_text(&event->name, "\"process_name\"");
    return 1;
}

static Text read_arguments(Scan *scan, Text p, Event *event) {
    event->args = (Token){p, p, OBJECT, 0};
    clear_arguments(event);
    p = skip_space(p + 1, scan->end);
    if (p >= scan->end) return give_up(scan, NEEDS_MORE, p);
    if (*p == '}') return p + 1;
    for (;;) {
        Token key, value;
        p = skip_key(scan, p, &key);
        if (p == NULL) return NULL;
        if (key.has_escape) return give_up(scan, DECLINED, key.begin);
        p = skip_value(scan, p, &value);
        if (p == NULL) return NULL;
        int argument = argument_of(&key);
        if (argument >= 0) event->arguments[argument] = value;
        p = skip_space(p, scan->end);
        if (p >= scan->end) return give_up(scan, NEEDS_MORE, p);
        if (*p == '}') return p + 1;
        if (*p != ',') return give_up(scan, UNSOUND, p);
        p = skip_space(p + 1, scan->end);
    }
}

static inline Token *field_of(Event *event, const Token *key) {
    Text p = key->begin;
    switch (key->end - key->begin) {
    case 2:
        if (p[0] == 'p' && p[1] == 'h') return &event->ph;
        if (p[0] == 't' && p[1] == 's') return &event->ts;
        return NULL;
    case 3:
        if (memcmp(p, "cat", 3) == 0) return &event->cat;
        if (memcmp(p, "pid", 3) == 0) return &event->pid;
        if (memcmp(p, "tid", 3) == 0) return &event->tid;
        if (memcmp(p, "dur", 3) == 0) return &event->dur;
        return NULL;
    case 4:
        if (memcmp(p, "name", 4) == 0) return &event->name;
        if (memcmp(p, "args", 4) == 0) return &event->args;
        return NULL;
    default:
        return NULL;
    }
}

/* Past the event, with its fields in `event`; p is at its brace. */
static Text read_event(Scan *scan, Text p, Event *event) {
    clear(event);
    p = skip_space(p + 1, scan->end);
    if (p >= scan->end) return give_up(scan, NEEDS_MORE, p);
    if (*p == '}') return p + 1;
    for (;;) {
        Token key;
        p = skip_key(scan, p, &key);
        if (p == NULL) return NULL;
        if (key.has_escape) return give_up(scan, DECLINED, key.begin);
        Token *field = field_of(event, &key), unread;
        if (field == NULL) {
            p = skip_value(scan, p, &unread);
        } else if (field != &event->args) {
            /* A key given twice after the arguments were skipped: the last one counts. */
            if (event->skipped_arguments) return give_up(scan, DECLINED, key.begin);
            p = skip_value(scan, p, field);
        } else if (*p != '{') {
            p = skip_value(scan, p, field);
        } else if (is_unwanted(event)) {
            event->skipped_arguments = 1;
            p = skip_value(scan, p, field);
        } else {
            p = read_arguments(scan, p, event);
        }
        if (p == NULL) return NULL;
        p = skip_space(p, scan->end);
        if (p >= scan->end) return give_up(scan, NEEDS_MORE, p);
        if (*p == '}') return p + 1;
        if (*p != ',') return give_up(scan, UNSOUND, p);
        p = skip_space(p + 1, scan->end);
    }
}

static int32_t token_code(Table *table, const Token *token) {
    return intern(table, token->begin, (size_t)(token->end - token->begin));
}

static int32_t label_code(Table *table, const Token *token) {
    static const uint8_t none[] = "null";
    if (token->type == ABSENT || token->type == NOTHING) return intern(table, none, 4);
    return token_code(table, token);
}

static int32_t thread_code(Scan *scan, const Event *event) {
    int32_t pair[2] = {label_code(&scan->texts, &event->pid), label_code(&scan->texts, &event->tid)};
    return pair[0] < 0 || pair[1] < 0 ? -1 : intern(&scan->threads, pair, sizeof pair);
}

/* Is it a message of which the inputs say with whom and how much it is? */
static int is_message(const Event *event) {
    const Token *name = &event->name;
    if (event->arguments[INPUTS].type != ARRAY || event->arguments[COLLECTIVE].type != ABSENT) return 0;
    return is_text(name, "\"c10d::send\"") || is_text(name, "\"c10d::recv_\"") ||
           is_text(name, "\"gloo:send\"") || is_text(name, "\"gloo:recv\"");
}

/* -1 without a collective, -2 without memory, -3 where a value has the wrong type. */
static int32_t collective_code(Scan *scan, const Event *event) {
    const Token *arguments = event->arguments;
    static const int texts[] = {COLLECTIVE, GROUP, DESCRIPTION, RANKS, DTYPE, ID, INPUTS, SHAPES, TYPES};
    static const int numbers[] = {ELEMENTS, SOURCE, DESTINATION, SEQUENCE, SIZE};
    const int message = is_message(event), count = message ? COLLECTIVE_TEXTS : COLLECTIVE_TEXTS - 3;
    Collective key;
    memset(&key, 0, sizeof key);
    for (int i = 0; i < count; i++)
        if (!is_wording(&arguments[texts[i]])) return -3;
    for (int i = 0; i < COLLECTIVE_NUMBERS; i++)
        if (!to_integer(&arguments[numbers[i]], &key.numbers[i])) return -3;
    int type = arguments[COLLECTIVE].type;
    if ((type == ABSENT || type == NOTHING) && !message) return -1;
    for (int i = 0; i < COLLECTIVE_TEXTS; i++) {
        const Token *text = i < count ? &arguments[texts[i]] : &ABSENT_TOKEN;
        key.texts[i] = label_code(&scan->texts, i == 0 && message ? &event->name : text);
        if (key.texts[i] < 0) return -2;
    }
    int32_t code = intern(&scan->collectives, &key, sizeof key);
    return code < 0 ? -2 : code;
}

enum { OUT_OF_MEMORY = -1, WRONG = 0, GOOD = 1 };

/* The durations of rows that only begin or only end; the collector puts them together. */
enum { BEGINS = -1, ENDS = -2 };

/* What a stream waits for, as columns.py packs it; -1 where it is not told. */
static int64_t packed_wait(const Token *arguments) {
    int64_t stream, record;
    if (!to_integer(&arguments[WAIT_STREAM], &stream) || !to_integer(&arguments[WAIT_RECORD], &record) ||
        stream < 0 || stream >= 1LL << 22 || record <= 0 || record >= 1LL << 32)
        return -1;
    return stream << 32 | record;
}

static int add_span(Scan *scan, const Event *event, int category, int half) {
    const Token *arguments = event->arguments;
    Span span = {0};
    span.duration_ns = half;
    if (!to_nanoseconds(&event->ts, &span.start_ns) ||
        (!half && (!to_nanoseconds(&event->dur, &span.duration_ns) || span.duration_ns < 0)) ||
        !to_integer(&arguments[arguments[CORRELATION].type == ABSENT ? CORRELATION_ID : CORRELATION],
                    &span.correlation) ||
        !to_integer(&arguments[BYTES], &span.bytes) ||
        !to_small(&arguments[DEVICE], &span.device) || !is_label(&arguments[STREAM]))
        return WRONG;
    if (category == SYNC) span.bytes = packed_wait(arguments);
    span.collective = collective_code(scan, event);
    if (span.collective < -1) return span.collective == -2 ? OUT_OF_MEMORY : WRONG;
    int type = arguments[STREAM].type;
    span.stream = type == ABSENT || type == NOTHING ? -1 : token_code(&scan->streams, &arguments[STREAM]);
    span.category = category;
    span.thread = thread_code(scan, event);
    static const uint8_t no_name[] = "\"\"";
    span.name = event->name.type == ABSENT ? intern(&scan->names, no_name, 2)
                                           : token_code(&scan->names, &event->name);
    if (span.thread < 0 || span.name < 0) return OUT_OF_MEMORY;
    Span *place = extend(&scan->spans, sizeof span);
    if (place == NULL) return OUT_OF_MEMORY;
    *place = span;
    return GOOD;
}

static int add_memory(Scan *scan, const Event *event) {
    const Token *arguments = event->arguments;
    Memory memory;
    if (!to_nanoseconds(&event->ts, &memory.at_ns) ||
        !to_integer(&arguments[CHANGE], &memory.change) ||
        !to_integer(&arguments[ALLOCATED], &memory.allocated) ||
        !to_integer(&arguments[RESERVED], &memory.reserved) ||
        !to_small(&arguments[DEVICE_TYPE], &memory.device_type) ||
        !to_small(&arguments[DEVICE_ID], &memory.device))
        return WRONG;
    if (!to_integer(&arguments[ADDRESS], &memory.address)) memory.address = -1;
    Memory *place = extend(&scan->memory, sizeof memory);
    if (place == NULL) return OUT_OF_MEMORY;
    *place = memory;
    return GOOD;
}

static int add_thread_name(Scan *scan, const Event *event) {
    const Token *name = &event->arguments[NAME];
    if (name->type != STRING || name->end - name->begin > MAX_TEXT || name->end - name->begin == 2)
        return GOOD;
    ThreadName pair = {thread_code(scan, event), token_code(&scan->texts, name)};
    ThreadName *place = extend(&scan->thread_names, sizeof pair);
    if (pair.thread < 0 || pair.name < 0 || place == NULL) return OUT_OF_MEMORY;
    *place = pair;
    return GOOD;
}

static int add_process_name(Scan *scan, const Event *event) {
    const Token *name = &event->arguments[NAME];
    if (name->type != STRING || name->end - name->begin > MAX_TEXT || name->end - name->begin == 2)
        return GOOD;
    ProcessName pair = {label_code(&scan->texts, &event->pid), token_code(&scan->texts, name)};
    ProcessName *place = extend(&scan->process_names, sizeof pair);
    if (pair.process < 0 || pair.name < 0 || place == NULL) return OUT_OF_MEMORY;
    *place = pair;
    return GOOD;
}

/* Keeps an event that is read; OUT_OF_MEMORY or GOOD. Wrong ones that matter are counted. */
static int keep(Scan *scan, Event *event) {
    scan->events++;
    if (event->args.type != OBJECT) clear_arguments(event);
    int is_span = is_text(&event->ph, "\"X\""), is_instant = is_text(&event->ph, "\"i\"");
    int half = is_text(&event->ph, "\"B\"") ? BEGINS : is_text(&event->ph, "\"E\"") ? ENDS : 0;
    int has_kind = event->ph.type == STRING || event->ph.type == ABSENT;
    if (has_kind && !is_span && !is_instant && !half && !is_text(&event->ph, "\"M\"")) return GOOD;
    int category = kept_category(event);
    int is_memory = 0;
    if (event->name.type == STRING) is_memory = is_text(&event->name, "\"[memory]\"");
    int is_sound = has_kind && (event->cat.type == STRING || event->cat.type == ABSENT) &&
                   (event->name.type == STRING || event->name.type == ABSENT) &&
                   event->name.end - event->name.begin <= MAX_TEXT && is_label(&event->pid) &&
                   is_label(&event->tid) &&
                   (event->args.type == OBJECT || event->args.type == NOTHING ||
                    event->args.type == ABSENT);
    if (has_kind && is_text(&event->ph, "\"M\"")) {
        if (is_sound && event->name.type == STRING && is_text(&event->name, "\"thread_name\""))
            return add_thread_name(scan, event);
        if (is_sound && event->name.type == STRING && is_text(&event->name, "\"process_name\""))
            return add_process_name(scan, event);
        return GOOD;
    }
    if (category < 0 && !is_memory && !half) return GOOD;
    int result = WRONG;
    if (is_sound) {
        if (half) result = add_span(scan, event, category < 0 ? NO_CATEGORY : category, half);
        else if (is_span && category >= 0) result = add_span(scan, event, category, 0);
        else if (is_instant && is_memory) result = add_memory(scan, event);
        else result = GOOD;
    }
    if (result == OUT_OF_MEMORY) return OUT_OF_MEMORY;
    scan->skipped += result == WRONG;
    scan->skipped_work += result == WRONG && category >= 0 && category <= LAST_OF_DEVICE;
    scan->skipped_memory += result == WRONG && category < 0 && is_memory;
    return GOOD;
}

/* ---- the document ---------------------------------------------------------------------------- */

/* Past all events up to `stop`; *place says what comes next. On trouble the place and the
   returned position are those after the last whole event. */
static Text read_events(Scan *scan, Text p, Text stop, int *place) {
    Event event;
    for (;;) {
        Text good = p;
        p = skip_space(p, scan->end);
        if (p >= scan->end) {
            give_up(scan, NEEDS_MORE, p);
            return good;
        }
        if (*place == AFTER_EVENT) {
            if (p >= stop) return p;
            if (*p == ']') {
                *place = AFTER_MEMBER;
                return p + 1;
            }
            if (*p != ',') {
                give_up(scan, UNSOUND, p);
                return good;
            }
            p = skip_space(p + 1, scan->end);
            if (p >= scan->end) {
                give_up(scan, NEEDS_MORE, p);
                return good;
            }
        } else if (*p == ']') {
            *place = AFTER_MEMBER;
            return p + 1;
        }
        if (*p == '{') {
            p = read_event(scan, p, &event);
            if (p != NULL && keep(scan, &event) != GOOD) {
                if (scan->stop == FINE) give_up(scan, NO_MEMORY, good);
                return good;
            }
        } else {
            Token no_event;
            p = skip_value(scan, p, &no_event);
        }
        if (p == NULL) return good;
        *place = AFTER_EVENT;
    }
}

static int is_kept(const Token *key) {
    return is_text(key, "baseTimeNanoseconds") || is_text(key, "distributedInfo") ||
           is_text(key, "deviceProperties") ||
           is_text(key, "host_name") || is_text(key, "dpprof");
}

/* Past one member of the top object that is not the events, or at the first event. */
static Text read_member(Scan *scan, Text p, int *place) {
    Token key;
    Header header;
    p = skip_key(scan, p, &key);
    if (p == NULL) return NULL;
    if (key.has_escape) return give_up(scan, DECLINED, key.begin);
    Token value;
    if (key.end - key.begin == 11 && memcmp(key.begin, "traceEvents", 11) == 0) {
        if (*p != '[') return give_up(scan, NOT_A_TRACE, p);
        *place = FIRST_EVENT;
        scan->lists++;
        return p + 1;
    }
    header.key = key.begin;
    header.key_end = key.end;
    p = skip_value(scan, p, &value);
    if (p == NULL) return NULL;
    header.value = value.begin;
    header.value_end = value.end;
    if (is_kept(&key) && value.end - value.begin <= MAX_HEADER) {
        Header *kept = extend(&scan->headers, sizeof header);
        if (kept == NULL) return give_up(scan, NO_MEMORY, p);
        *kept = header;
    }
    *place = AFTER_MEMBER;
    return p;
}

/* From `place` at p as far as this goes, to `stop` between two events or to the end.

   A bare list of events is scanned like an object's, but its end is the document's. */
static Text read_document(Scan *scan, Text p, Text stop, int *place, int *is_list) {
    for (;;) {
        if (*place == FIRST_EVENT || *place == AFTER_EVENT) {
            p = read_events(scan, p, stop, place);
            if (scan->stop != FINE || *place != AFTER_MEMBER) return p;
            if (*is_list) *place = AT_END;
            continue;
        }
        Text good = p, next = skip_space(p, scan->end);
        if (*place == AT_END) {
            if (next < scan->end) give_up(scan, UNSOUND, next);
            return next;
        }
        if (next >= scan->end) {
            give_up(scan, NEEDS_MORE, next);
            return good;
        }
        if (*place == AT_START) {
            if (*next == '[') {
                *is_list = 1;
                scan->lists++;
                *place = FIRST_EVENT;
                p = next + 1;
                continue;
            }
            if (*next != '{') {
                give_up(scan, NOT_A_TRACE, next);
                return good;
            }
            Text inside = skip_space(next + 1, scan->end);
            if (inside < scan->end && *inside == '}') {
                *place = AT_END;
                p = inside + 1;
                continue;
            }
        } else if (*next == '}') {
            *place = AT_END;
            p = next + 1;
            continue;
        } else if (*next != ',') {
            give_up(scan, UNSOUND, next);
            return good;
        }
        int reached = *place;
        p = read_member(scan, skip_space(next + 1, scan->end), &reached);
        if (p == NULL) return good;
        *place = reached;
    }
}

/* ---- Python ---------------------------------------------------------------------------------- */

static PyObject *as_bytes(const Bytes *bytes) {
    return PyBytes_FromStringAndSize((const char *)bytes->data, (Py_ssize_t)bytes->used);
}

static PyObject *as_list(const Table *table) {
    PyObject *list = PyList_New(table->count);
    for (size_t i = 0; list != NULL && i <= table->mask; i++) {
        const Slot *slot = &table->slots[i];
        if (slot->code < 0) continue;
        PyObject *key = PyBytes_FromStringAndSize((const char *)table->keys.data + slot->offset,
                                                  (Py_ssize_t)slot->length);
        if (key == NULL || PyList_SetItem(list, slot->code, key) < 0) Py_CLEAR(list);
    }
    return list;
}

static PyObject *headers_of(const Scan *scan) {
    size_t count = scan->headers.used / sizeof(Header);
    const Header *headers = (const Header *)scan->headers.data;
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list != NULL && i < count; i++) {
        const Header *one = &headers[i];
        PyObject *item = Py_BuildValue(
            "y#y#", (const char *)one->key, (Py_ssize_t)(one->key_end - one->key),
            (const char *)one->value, (Py_ssize_t)(one->value_end - one->value));
        if (item == NULL || PyList_SetItem(list, (Py_ssize_t)i, item) < 0) Py_CLEAR(list);
    }
    return list;
}

static PyObject *result_of(const Scan *scan, Text p, int place, int is_list) {
    Text stop_at = scan->stop == FINE ? p : scan->stop_at;
    return Py_BuildValue(
        "{s:n,s:i,s:i,s:i,s:n,s:L,s:L,s:L,s:L,s:L,s:N,s:N,s:N,s:N,s:N,s:N,s:N,s:N,s:N,s:N}", "position",
        (Py_ssize_t)(p - scan->begin), "place", place, "is_list", is_list, "stop", scan->stop,
        "stop_at", (Py_ssize_t)(stop_at - scan->begin), "skipped", (long long)scan->skipped,
        "skipped_work", (long long)scan->skipped_work, "skipped_memory",
        (long long)scan->skipped_memory, "events", (long long)scan->events, "lists", (long long)scan->lists, "spans", as_bytes(&scan->spans), "memory",
        as_bytes(&scan->memory), "thread_names", as_bytes(&scan->thread_names), "process_names",
        as_bytes(&scan->process_names), "headers",
        headers_of(scan), "names", as_list(&scan->names), "texts", as_list(&scan->texts),
        "streams", as_list(&scan->streams), "threads", as_bytes(&scan->threads.keys),
        "collectives", as_bytes(&scan->collectives.keys));
}

PyDoc_STRVAR(scan_doc, "scan(data, start, stop, place, is_list, seed) -> dict\n\n"
                       "Scan the bytes of `data` from `start`; see dpprof.trace.read.engines.");

static PyObject *scan_trace(PyObject *module, PyObject *arguments) {
    (void)module;
    Py_buffer data;
    Py_ssize_t start, stop;
    int place, is_list;
    unsigned long long seed;
    if (!PyArg_ParseTuple(arguments, "y*nnipK", &data, &start, &stop, &place, &is_list, &seed))
        return NULL;
    if (start < 0 || start > data.len || place < AT_START || place > AT_END) {
        PyBuffer_Release(&data);
        PyErr_SetString(PyExc_ValueError, "start or place out of range");
        return NULL;
    }
    if (stop > data.len) stop = data.len;
    Scan *scan = calloc(1, sizeof *scan);
    PyObject *result = NULL;
    int failed = scan == NULL;
    if (!failed) {
        scan->begin = data.buf;
        scan->end = scan->begin + data.len;
        failed = table_start(&scan->names, seed) | table_start(&scan->texts, seed) |
                 table_start(&scan->threads, seed) | table_start(&scan->streams, seed) |
                 table_start(&scan->collectives, seed);
    }
    if (!failed) {
        Text p = scan->begin + start;
        Py_BEGIN_ALLOW_THREADS
        p = read_document(scan, p, scan->begin + stop, &place, &is_list);
        Py_END_ALLOW_THREADS
        failed = scan->stop == NO_MEMORY;
        if (!failed) result = result_of(scan, p, place, is_list);
    }
    if (failed) PyErr_NoMemory();
    if (scan != NULL) {
        table_stop(&scan->names), table_stop(&scan->texts), table_stop(&scan->threads);
        table_stop(&scan->streams), table_stop(&scan->collectives);
        free(scan->spans.data), free(scan->memory.data);
        free(scan->thread_names.data), free(scan->process_names.data);
        free(scan->headers.data);
        free(scan);
    }
    PyBuffer_Release(&data);
    return result;
}

static PyMethodDef METHODS[] = {
    {"scan", scan_trace, METH_VARARGS, scan_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT, "_scan", "One-pass scanner of traces.", 0, METHODS, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__scan(void) {
    prepare_keys();
    return PyModule_Create(&MODULE);
}
