// Streams and events of the runtime: an order in time, and vector clocks that prove one.
#include <algorithm>

#include "state.h"

using namespace pretended;

namespace pretended {

std::vector<Stream*>& streams() {
  static auto* all = new std::vector<Stream*>;
  return *all;
}

static Stream* make_stream(int priority) {
  Lock lock(mutex());
  auto* stream = new Stream{(int)streams().size(), priority};
  stream->clock.resize(stream->number + 1);
  stream->clock[stream->number] = 1;
  streams().push_back(stream);
  return stream;
}

Stream* stream_of(cudaStream_t handle) {
  Lock lock(mutex());
  static Stream* usual = make_stream(0);
  bool is_usual = !handle || handle == cudaStreamLegacy || handle == cudaStreamPerThread;
  return is_usual ? usual : (Stream*)handle;
}

void join(Clock& clock, const Clock& other) {
  if (clock.size() < other.size()) clock.resize(other.size());
  for (size_t i = 0; i < other.size(); i++) clock[i] = std::max(clock[i], other[i]);
}

}  // namespace pretended

#define CALLBACK(name) CUPTI_RUNTIME_TRACE_CBID_##name

EXPORT cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned, int priority) {
  stream_of(nullptr);  // the usual one comes first
  *stream = (cudaStream_t)make_stream(priority);
  return cudaSuccess;
}
EXPORT cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithPriority(stream, 0, 0);
}
EXPORT cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
EXPORT cudaError_t cudaStreamGetPriority(cudaStream_t stream, int* priority) {
  *priority = stream_of(stream)->priority;
  return cudaSuccess;
}
EXPORT cudaError_t cudaStreamQuery(cudaStream_t stream) {
  Lock lock(mutex());
  advance();
  auto* asked = stream_of(stream);
  bool done = asked->waiting.empty() && asked->free_at <= now();
  return done ? cudaSuccess : cudaErrorNotReady;
}
EXPORT cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  Call call("cudaStreamSynchronize", CALLBACK(cudaStreamSynchronize_v3020));
  wait_until(mark(stream_of(stream)));
  return cudaSuccess;
}
EXPORT cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned) {
  Call call("cudaStreamWaitEvent", CALLBACK(cudaStreamWaitEvent_v3020));
  Lock lock(mutex());
  auto* stream = stream_of(handle);
  auto* point = (Event*)event;
  if (!point->moment) return cudaSuccess;
  join(stream->clock, point->clock);
  give(stream, [moment = point->moment](Stream& own) {
    if (moment->known) own.free_at = std::max(own.free_at, moment->at);
    return moment->known;
  });
  return cudaSuccess;
}
EXPORT cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = (cudaEvent_t) new Event;
  return cudaSuccess;
}
EXPORT cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, 0);
}
EXPORT cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete (Event*)event;
  return cudaSuccess;
}
EXPORT cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
  Call call("cudaEventRecord", CALLBACK(cudaEventRecord_v3020));
  Lock lock(mutex());
  auto* stream = stream_of(handle);
  auto* point = (Event*)event;
  point->moment = mark(stream);
  point->clock = stream->clock;
  stream->clock[stream->number]++;
  return cudaSuccess;
}
EXPORT cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned) {
  return cudaEventRecord(event, stream);
}
EXPORT cudaError_t cudaEventQuery(cudaEvent_t event) {
  auto* point = (Event*)event;
  return !point->moment || is_past(point->moment) ? cudaSuccess : cudaErrorNotReady;
}
EXPORT cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  Call call("cudaEventSynchronize", CALLBACK(cudaEventSynchronize_v3020));
  if (auto moment = ((Event*)event)->moment) wait_until(moment);
  return cudaSuccess;
}
EXPORT cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  *milliseconds = (((Event*)to)->moment->at - ((Event*)from)->moment->at) / 1e6f;
  return cudaSuccess;
}
EXPORT cudaError_t cudaDeviceSynchronize() {
  Call call("cudaDeviceSynchronize", CALLBACK(cudaDeviceSynchronize_v3020));
  wait_for_all();
  return cudaSuccess;
}
EXPORT cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus* status) {
  *status = cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
EXPORT cudaError_t cudaStreamGetCaptureInfo(cudaStream_t, cudaStreamCaptureStatus* status,
                                            unsigned long long* id, cudaGraph_t*,
                                            const cudaGraphNode_t**, const cudaGraphEdgeData**,
                                            size_t* dependencies) {
  *status = cudaStreamCaptureStatusNone;
  if (id) *id = 0;
  if (dependencies) *dependencies = 0;
  return cudaSuccess;
}
EXPORT cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode*) {
  return cudaSuccess;
}
EXPORT cudaError_t cudaLaunchHostFunc(cudaStream_t, cudaHostFn_t function, void* data) {
  function(data);
  return cudaSuccess;
}
EXPORT cudaError_t cudaStreamAddCallback(cudaStream_t stream, cudaStreamCallback_t function,
                                         void* data, unsigned) {
  function(stream, cudaSuccess, data);
  return cudaSuccess;
}
