// What the parts of the pretended GPU share: its clock, its settings, its streams, what it counts.
#pragma once

#include <cuda_runtime_api.h>
#include <cupti.h>

#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace pretended {

using Nanoseconds = int64_t;
using Clock = std::vector<int>;  // by number of the stream: what is known of its time

struct Settings {
  double memory_rate;   // bytes per second
  double wire_rate;     // bytes per second of what NCCL sends
  double product_rate;  // operations per second of a matrix product
  Nanoseconds launch;   // what a launch costs the host
  Nanoseconds kernel;   // the shortest kernel
  size_t memory;        // bytes
  int devices;
};
const Settings& settings();

struct Stream {
  int number;
  int priority;
  Nanoseconds free_at = 0;          // when everything enqueued so far has run
  Clock clock;                      // vector clock: ticks with each thing enqueued
  std::deque<Nanoseconds> pending;  // ends of what is still in the launch queue
};

struct Event {
  bool recorded = false;
  Nanoseconds at = 0;
  Clock clock;
};

// One activity as CUPTI would tell of it; which fields count depends on the kind.
struct Activity {
  int kind;
  uint64_t correlation = 0;
  Nanoseconds start = 0, end = 0;
  int stream = 0;
  const char* name = nullptr;
  unsigned callback = 0, thread = 0;
  uint64_t bytes = 0;
  int copy_kind = 0, source_kind = 0, target_kind = 0;
  int external_kind = 0;
  uint64_t external_id = 0;
  dim3 grid, block;
};

using Lock = std::lock_guard<std::recursive_mutex>;
std::recursive_mutex& mutex();

Nanoseconds now();
void sleep_until(Nanoseconds when);
void count(const std::string& what);
std::map<std::string, uint64_t>& counts();

std::vector<Stream*>& streams();
Stream* stream_of(cudaStream_t handle);
Nanoseconds all_done();
void join(Clock& clock, const Clock& other);

// A call of the runtime, from its construction to its end; takes the host's time for a launch.
class Call {
 public:
  Call(const char* name, unsigned callback, bool launches = false);
  ~Call();
  uint64_t correlation;

 private:
  const char* name_;
  unsigned callback_;
  Nanoseconds start_;
};

// Run `activity` for `duration` behind all else on the stream; the host waits if its queue is full.
void enqueue(Stream* stream, Nanoseconds duration, const Call& call, Activity activity);

void tell(const Activity& activity);  // to CUPTI, if anyone listens
void tell_call(const char* name, unsigned callback, uint64_t correlation, Nanoseconds start);
uint64_t next_correlation();

bool on_device(const void* pointer);

struct Size {
  double m, n, k;
};
int run_product(const char* name, Size size, double value_bytes, cudaStream_t stream);

}  // namespace pretended
