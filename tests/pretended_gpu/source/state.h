// What the parts of the pretended GPU share: its clock, its settings, its streams, what it counts.
#pragma once

#include <cuda_runtime_api.h>
#include <cupti.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace pretended {

using Nanoseconds = int64_t;
using Clock = std::vector<int>;  // by number of the stream: what is known of its time

struct Settings {
  double memory_rate;   // bytes per second
  double wire_rate;     // bytes per second of what NCCL copies within a GPU
  double link_rate;     // bytes per second of what NCCL sends to another, each way
  double product_rate;  // operations per second of a matrix product
  Nanoseconds launch;   // what a launch costs the host
  Nanoseconds kernel;   // the shortest kernel
  size_t memory;        // bytes
  int devices;
  bool contention;  // kernels take multiprocessors from each other (contention.cpp)
  bool dealt_out;   // and a product's tiles are dealt out before it begins
};
const Settings& settings();

struct Stream;
// Something that a stream was given; false where its time cannot be known yet.
using Task = std::function<bool(Stream&)>;

struct Stream {
  int number;
  int priority;
  Nanoseconds free_at = 0;          // when everything whose time is known has run
  Clock clock;                      // vector clock: ticks with each thing enqueued
  std::deque<Nanoseconds> pending;  // ends of what is still in the launch queue
  std::deque<Task> waiting;         // behind a message that another rank has not come to
  size_t launched = 0;              // of those, launches
};

struct Moment {  // on a stream; not known while the stream waits for another rank
  bool known = false;
  Nanoseconds at = 0;
};
using Shared = std::shared_ptr<Moment>;

struct Event {
  Shared moment;  // none: never recorded
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
void give(Stream* stream, Task task);   // behind all else on the stream
void advance();                         // as far as all streams can go now
void go_on();                           // as far as they can without time passing
Shared mark(Stream* stream);            // the moment when all that it has now is done
bool is_past(const Shared& moment);
void wait_until(const Shared& moment);  // of the host, for the streams
void wait_for_all();
bool clocks_agree();  // those of several processes
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

// How a kernel or copy uses multiprocessors: `blocks` of them for as long as it runs, whatever runs
// beside it; as a product, with a block for each; as any other kernel; or not at all.
enum class Use { HOLDS, PRODUCT, COMPUTES, NONE };
struct Needs {
  Use use = Use::NONE;
  int blocks = 0;
};

// Run `activity` for `duration` behind all else on the stream; the host waits if its queue is full.
void enqueue(Stream* stream, Nanoseconds duration, const Call& call, Activity activity,
             Needs needs = {});

// Its three parts, for what is longer than the host can know: NCCL's.
void take_place(Stream* stream);
Nanoseconds start_of(const Stream& stream, Nanoseconds given);
void finish(Stream& stream, Activity& activity);

// Where kernels take multiprocessors from each other: a task that runs `activity` for `duration` if
// it has what it needs, and longer if not; and the whole device, up to a moment.
Task contend(Nanoseconds duration, Activity activity, Needs needs, Nanoseconds given);
void pass_time(Nanoseconds until);
Nanoseconds next_change();  // when something next begins or ends, if nothing is launched until then

void tell(const Activity& activity);  // to CUPTI, if anyone listens
void tell_call(const char* name, unsigned callback, uint64_t correlation, Nanoseconds start);
uint64_t next_correlation();

bool on_device(const void* pointer);

constexpr int MULTIPROCESSORS = 132;

struct Size {
  double m, n, k;
  int blocks = MULTIPROCESSORS;  // of a persistent kernel: one for each that it may take
};
int run_product(const char* name, Size size, double value_bytes, cudaStream_t stream);

}  // namespace pretended
