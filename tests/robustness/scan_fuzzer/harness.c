/* Feeds libFuzzer's inputs to the compiled scanner, under its sanitizers.

   Beside what they find, it checks what the scanner promises: it never leaves the buffer, its rows
   name only texts, threads and streams that there are, and a scan that is cut in two finds what one
   scan finds. An input's first three bytes choose the place in the document and where to cut. */

#include "../../../dpprof/trace/read/_scan.c"

#include <assert.h>

enum { SEED = 7 };

static Scan *begin_scan(Text data, size_t size) {
    Scan *scan = calloc(1, sizeof *scan);
    assert(scan != NULL);
    scan->begin = data;
    scan->end = data + size;
    int failed = table_start(&scan->names, SEED) | table_start(&scan->texts, SEED) |
                 table_start(&scan->threads, SEED) | table_start(&scan->streams, SEED) |
                 table_start(&scan->collectives, SEED);
    assert(!failed);
    return scan;
}

static void end_scan(Scan *scan) {
    table_stop(&scan->names), table_stop(&scan->texts), table_stop(&scan->threads);
    table_stop(&scan->streams), table_stop(&scan->collectives);
    free(scan->spans.data), free(scan->memory.data), free(scan->thread_names.data);
    free(scan->process_names.data), free(scan->headers.data), free(scan);
}

static void check_code(int32_t code, const Table *table) {
    assert(code >= -1 && code < table->count);
}

static void check_rows(const Scan *scan, Text reached) {
    assert(scan->begin <= reached && reached <= scan->end);
    assert(scan->stop == FINE || (scan->begin <= scan->stop_at && scan->stop_at <= scan->end));
    const Span *spans = (const Span *)scan->spans.data;
    for (size_t i = 0; i < scan->spans.used / sizeof *spans; i++) {
        check_code(spans[i].name, &scan->names);
        check_code(spans[i].thread, &scan->threads);
        check_code(spans[i].stream, &scan->streams);
        check_code(spans[i].collective, &scan->collectives);
    }
    const ThreadName *names = (const ThreadName *)scan->thread_names.data;
    for (size_t i = 0; i < scan->thread_names.used / sizeof *names; i++) {
        check_code(names[i].thread, &scan->threads);
        check_code(names[i].name, &scan->texts);
    }
    const Header *headers = (const Header *)scan->headers.data;
    for (size_t i = 0; i < scan->headers.used / sizeof *headers; i++)
        assert(scan->begin <= headers[i].key && headers[i].value_end <= scan->end);
}

int LLVMFuzzerInitialize(int *count, char ***words) {
    (void)count, (void)words;
    prepare_keys();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    if (size < 3) return 0;
    int place = input[0] % (AT_END + 1), is_list = input[1] & 1;
    size_t cut = (size - 3) * input[2] / 255;
    uint8_t *data = malloc(size - 3 ? size - 3 : 1); /* just as large: one byte further is found */
    assert(data != NULL);
    memcpy(data, input + 3, size - 3);
    Text stop = data + (size - 3);

    int whole_place = place, whole_is_list = is_list;
    Scan *whole = begin_scan(data, size - 3);
    Text reached = read_document(whole, data, stop, &whole_place, &whole_is_list);
    check_rows(whole, reached);

    Scan *halves = begin_scan(data, size - 3);
    Text half = read_document(halves, data, data + cut, &place, &is_list);
    check_rows(halves, half);
    if (halves->stop == FINE) {
        half = read_document(halves, half, stop, &place, &is_list);
        check_rows(halves, half);
    }
    assert(halves->events == whole->events && halves->skipped == whole->skipped);
    assert(halves->spans.used == whole->spans.used);
    assert(skip_space(half, stop) == skip_space(reached, stop));
    assert(halves->stop == whole->stop && place == whole_place);
    end_scan(whole), end_scan(halves);
    free(data);
    return 0;
}
