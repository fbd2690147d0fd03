// CUPTI: hands Kineto a record of every call, kernel and copy, on Kineto's own clock.
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "state.h"

using namespace pretended;

struct External {
  CUpti_ExternalCorrelationKind kind;
  uint64_t id;
};
struct Point {  // one instant on all clocks
  Nanoseconds ours, real;
  uint64_t theirs;
};
struct Buffer {
  uint8_t* bytes = nullptr;
  size_t room = 0;
};

static CUpti_BuffersCallbackRequestFunc request;
static CUpti_BuffersCallbackCompleteFunc complete;
static CUpti_TimestampCallbackFunc their_clock;
static bool wanted[512], listening;
static uint64_t last_correlation;
static Point first;
static Buffer held;  // asked for early: Kineto flushes only where a buffer is out
static std::vector<Activity> activities;
static thread_local std::vector<External> external;

// Three clocks cannot be read at once: of some tries the one that took the shortest.
static Point read_clocks() {
  Point best{};
  Nanoseconds shortest = INT64_MAX;
  for (int i = 0; i < 50; i++) {
    timespec time;
    Nanoseconds before = now();
    clock_gettime(CLOCK_REALTIME, &time);
    Nanoseconds real = time.tv_sec * 1'000'000'000ll + time.tv_nsec;
    uint64_t theirs = their_clock ? their_clock() : (uint64_t)real;
    Nanoseconds after = now();
    if (after - before >= shortest) continue;
    shortest = after - before;
    best = {before + shortest / 2, real, theirs};
  }
  return best;
}

namespace pretended {

uint64_t next_correlation() {
  Lock lock(mutex());
  return ++last_correlation;
}

void tell(const Activity& activity) {
  Lock lock(mutex());
  if (listening && wanted[activity.kind]) activities.push_back(activity);
}

static void tell_external(uint64_t correlation) {
  int seen = 0;
  for (auto one = external.rbegin(); one != external.rend(); ++one) {
    if (seen >> one->kind & 1) continue;
    seen |= 1 << one->kind;
    Activity activity{CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION, correlation};
    activity.external_kind = one->kind;
    activity.external_id = one->id;
    tell(activity);
  }
}

void tell_call(const char* name, unsigned callback, uint64_t correlation, Nanoseconds start) {
  Lock lock(mutex());
  if (!listening) return;
  size_t records;
  if (!held.bytes && request) request(&held.bytes, &held.room, &records);
  Activity activity{CUPTI_ACTIVITY_KIND_RUNTIME, correlation, start, now()};
  activity.name = name;
  activity.callback = callback;
  activity.thread = (unsigned)(uint64_t)pthread_self();  // as CUPTI does
  tell(activity);
  tell_external(correlation);
}

}  // namespace pretended

static size_t size_of(int kind) {
  switch (kind) {
    case CUPTI_ACTIVITY_KIND_RUNTIME: return sizeof(CUpti_ActivityAPI);
    case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL: return sizeof(CUpti_ActivityKernel10);
    case CUPTI_ACTIVITY_KIND_MEMCPY: return sizeof(CUpti_ActivityMemcpy6);
    case CUPTI_ACTIVITY_KIND_MEMSET: return sizeof(CUpti_ActivityMemset4);
    default: return sizeof(CUpti_ActivityExternalCorrelation);
  }
}

template <typename Record>
static Record* begin(uint8_t* place, const Activity& activity) {
  auto* record = (Record*)place;
  record->kind = (CUpti_ActivityKind)activity.kind;
  record->correlationId = activity.correlation;
  return record;
}

template <typename Record>
static Record* begin_on_stream(uint8_t* place, const Activity& activity) {
  auto* record = begin<Record>(place, activity);
  record->start = activity.start;
  record->end = activity.end;
  record->contextId = 1;
  record->streamId = activity.stream + 7;  // the first that a real context numbers
  return record;
}

static void write_call(uint8_t* place, const Activity& activity) {
  auto* record = begin<CUpti_ActivityAPI>(place, activity);
  record->cbid = activity.callback;
  record->start = activity.start;
  record->end = activity.end;
  record->processId = getpid();
  record->threadId = activity.thread;
}

static void write_kernel(uint8_t* place, const Activity& activity) {
  auto* record = begin_on_stream<CUpti_ActivityKernel10>(place, activity);
  record->name = activity.name;
  record->gridX = activity.grid.x;
  record->gridY = activity.grid.y;
  record->gridZ = activity.grid.z;
  record->blockX = activity.block.x;
  record->blockY = activity.block.y;
  record->blockZ = activity.block.z;
  record->registersPerThread = 64;
}

static void write_copy(uint8_t* place, const Activity& activity) {
  auto* record = begin_on_stream<CUpti_ActivityMemcpy6>(place, activity);
  record->copyKind = activity.copy_kind;
  record->srcKind = activity.source_kind;
  record->dstKind = activity.target_kind;
  record->bytes = activity.bytes;
}

static void write_set(uint8_t* place, const Activity& activity) {
  auto* record = begin_on_stream<CUpti_ActivityMemset4>(place, activity);
  record->bytes = activity.bytes;
  record->memoryKind = CUPTI_ACTIVITY_MEMORY_KIND_DEVICE;
}

static void write_external(uint8_t* place, const Activity& activity) {
  auto* record = begin<CUpti_ActivityExternalCorrelation>(place, activity);
  record->externalKind = (CUpti_ExternalCorrelationKind)activity.external_kind;
  record->externalId = activity.external_id;
}

static void write(uint8_t* place, const Activity& activity) {
  memset(place, 0, size_of(activity.kind));
  switch (activity.kind) {
    case CUPTI_ACTIVITY_KIND_RUNTIME: return write_call(place, activity);
    case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL: return write_kernel(place, activity);
    case CUPTI_ACTIVITY_KIND_MEMCPY: return write_copy(place, activity);
    case CUPTI_ACTIVITY_KIND_MEMSET: return write_set(place, activity);
    default: return write_external(place, activity);
  }
}

// From the first instant that the clocks were read at, at the speed of theirs.
static Nanoseconds on_their_clock(Nanoseconds time, Point last) {
  double speed = last.real == first.real
                     ? 1
                     : (double)(last.theirs - first.theirs) / (double)(last.real - first.real);
  return (Nanoseconds)(first.theirs + (double)(time - first.ours) * speed);
}

static Buffer next_buffer() {
  Buffer buffer = held;
  held = {};
  size_t records;
  if (!buffer.bytes) request(&buffer.bytes, &buffer.room, &records);
  return buffer;
}

EXPORT CUptiResult cuptiActivityFlushAll(uint32_t) {
  std::vector<Activity> all;
  {
    Lock lock(mutex());
    all.swap(activities);
  }
  if (!request || !complete || all.empty()) return CUPTI_SUCCESS;
  Point last = read_clocks();
  std::stable_partition(all.begin(), all.end(), [](const Activity& one) {
    return one.kind == CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION;  // Kineto wants them first
  });
  for (size_t i = 0; i < all.size();) {
    Buffer buffer = next_buffer();
    size_t used = 0;
    for (; i < all.size() && used + size_of(all[i].kind) <= buffer.room; i++) {
      all[i].start = on_their_clock(all[i].start, last);
      all[i].end = on_their_clock(all[i].end, last);
      write(buffer.bytes + used, all[i]);
      used += size_of(all[i].kind);
    }
    complete((CUcontext)1, 0, buffer.bytes, buffer.room, used);
  }
  return CUPTI_SUCCESS;
}
EXPORT CUptiResult cuptiActivityGetNextRecord(uint8_t* buffer, size_t valid,
                                              CUpti_Activity** record) {
  uint8_t* next = *record ? (uint8_t*)*record + size_of((*record)->kind) : buffer;
  if (next >= buffer + valid) return CUPTI_ERROR_MAX_LIMIT_REACHED;
  *record = (CUpti_Activity*)next;
  return CUPTI_SUCCESS;
}
EXPORT CUptiResult cuptiActivityEnable(CUpti_ActivityKind kind) {
  Lock lock(mutex());
  wanted[kind] = listening = true;
  return CUPTI_SUCCESS;
}
EXPORT CUptiResult cuptiActivityDisable(CUpti_ActivityKind kind) {
  Lock lock(mutex());
  wanted[kind] = false;
  return CUPTI_SUCCESS;
}
EXPORT CUptiResult cuptiActivityRegisterCallbacks(CUpti_BuffersCallbackRequestFunc ask,
                                                  CUpti_BuffersCallbackCompleteFunc done) {
  request = ask;
  complete = done;
  first = read_clocks();
  return CUPTI_SUCCESS;
}
EXPORT CUptiResult cuptiActivityRegisterTimestampCallback(CUpti_TimestampCallbackFunc function) {
  their_clock = function;
  first = read_clocks();
  return CUPTI_SUCCESS;
}
EXPORT CUptiResult cuptiActivityPushExternalCorrelationId(CUpti_ExternalCorrelationKind kind,
                                                          uint64_t id) {
  external.push_back({kind, id});
  return CUPTI_SUCCESS;
}
EXPORT CUptiResult cuptiActivityPopExternalCorrelationId(CUpti_ExternalCorrelationKind kind,
                                                         uint64_t* id) {
  for (size_t i = external.size(); i-- > 0;)
    if (external[i].kind == kind) {
      if (id) *id = external[i].id;
      external.erase(external.begin() + i);
      break;
    }
  return CUPTI_SUCCESS;
}
EXPORT CUptiResult cuptiSubscribe(CUpti_SubscriberHandle* subscriber, CUpti_CallbackFunc, void*) {
  *subscriber = (CUpti_SubscriberHandle)1;
  return CUPTI_SUCCESS;
}
EXPORT CUptiResult cuptiUnsubscribe(CUpti_SubscriberHandle) { return CUPTI_SUCCESS; }
EXPORT CUptiResult cuptiEnableDomain(uint32_t, CUpti_SubscriberHandle, CUpti_CallbackDomain) {
  return CUPTI_SUCCESS;
}
EXPORT CUptiResult cuptiEnableCallback(uint32_t, CUpti_SubscriberHandle, CUpti_CallbackDomain,
                                       CUpti_CallbackId) {
  return CUPTI_SUCCESS;
}
EXPORT CUptiResult cuptiFinalize() { return CUPTI_SUCCESS; }
EXPORT CUptiResult cuptiGetVersion(uint32_t* version) {
  *version = CUPTI_API_VERSION;
  return CUPTI_SUCCESS;
}
EXPORT CUptiResult cuptiGetResultString(CUptiResult, const char** text) {
  *text = "pretended";
  return CUPTI_SUCCESS;
}
EXPORT CUptiResult cuptiActivityEnableRuntimeApi(CUpti_CallbackId, uint8_t) {
  return CUPTI_SUCCESS;
}
EXPORT CUptiResult cuptiActivityEnableDriverApi(CUpti_CallbackId, uint8_t) {
  return CUPTI_SUCCESS;
}
EXPORT CUptiResult cuptiActivityEnableCudaEventDeviceTimestamps(uint8_t) { return CUPTI_SUCCESS; }
EXPORT CUptiResult cuptiActivitySetAttribute(CUpti_ActivityAttribute, size_t*, void*) {
  return CUPTI_SUCCESS;
}
EXPORT CUptiResult cuptiActivityGetNumDroppedRecords(CUcontext, uint32_t, size_t* dropped) {
  *dropped = 0;
  return CUPTI_SUCCESS;
}
