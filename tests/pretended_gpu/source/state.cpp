// The clock, the settings and the launch queue.
#include "state.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace pretended {

constexpr size_t QUEUE = 1024;           // launches that a stream takes before the host waits
constexpr Nanoseconds START = 1500;      // from a launch to an idle stream's start
constexpr Nanoseconds BETWEEN = 300;     // between two kernels of a busy stream
constexpr Nanoseconds POLL = 50'000;     // how often it is looked whether other ranks came

static double setting(const char* name, double otherwise) {
  const char* text = getenv(name);
  return text ? atof(text) : otherwise;
}

const Settings& settings() {
  static const Settings read{
      setting("PRETENDED_MEMORY_GBS", 3300) * 1e9,
      setting("PRETENDED_WIRE_GBS", 1500) * 1e9,
      setting("PRETENDED_LINK_GBS", 160) * 1e9,
      setting("PRETENDED_TFLOPS", 680) * 1e12,
      (Nanoseconds)setting("PRETENDED_LAUNCH_NS", 2000),
      (Nanoseconds)setting("PRETENDED_KERNEL_NS", 2500),
      (size_t)(setting("PRETENDED_GIB", 139.8) * (1ull << 30)),
      (int)setting("PRETENDED_GPUS", 1),
      setting("PRETENDED_CONTENTION", 0) > 0,
      setting("PRETENDED_TILES_DEALT_OUT", 1) > 0,
  };
  return read;
}

std::recursive_mutex& mutex() {
  static auto* one = new std::recursive_mutex;  // outlives whatever runs at exit
  return *one;
}

// With PRETENDED_CLOCK=cpu time goes on only while the process computes, and sleep is skipped: what
// is timed is then the same on a busy machine. Traces need the real clock, which Kineto reads too.
static bool by_work() {
  static const char* text = getenv("PRETENDED_CLOCK");
  return text && std::string(text) == "cpu";
}
static std::atomic<Nanoseconds> skipped{0};

bool clocks_agree() { return !by_work(); }

Nanoseconds now() {
  timespec time;
  clock_gettime(by_work() ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000'000ll + time.tv_nsec + skipped;
}

void sleep_until(Nanoseconds when) {
  if (by_work()) {
    Nanoseconds left = when - now();
    if (left > 0) skipped += left;
    return;
  }
  for (Nanoseconds left; (left = when - now()) > 0;) {
    timespec time{left / 1'000'000'000, left % 1'000'000'000};
    nanosleep(&time, nullptr);
  }
}

std::map<std::string, uint64_t>& counts() {
  static auto* all = new std::map<std::string, uint64_t>;
  return *all;
}

void count(const std::string& what) {
  Lock lock(mutex());
  counts()[what]++;
}

Call::Call(const char* name, unsigned callback, bool launches)
    : correlation(next_correlation()), name_(name), callback_(callback), start_(now()) {
  if (!launches) return;
  while (now() < start_ + settings().launch) {
  }
}

Call::~Call() {
  count(name_);
  tell_call(name_, callback_, correlation, start_);
}

static void wait_for_room(Stream* stream) {
  for (;;) {
    Nanoseconds first;
    {
      Lock lock(mutex());
      advance();
      auto& pending = stream->pending;
      while (!pending.empty() && pending.front() <= now()) pending.pop_front();
      if (pending.size() + stream->launched < QUEUE) return;
      first = pending.empty() ? now() + POLL : pending.front();
      counts()["host waits for the launch queue"]++;
    }
    sleep_until(first);
  }
}

// Whatever the host does meanwhile: what waits for other ranks goes on when they come.
static void keep_advancing() {
  static std::once_flag once;
  std::call_once(once, [] {
    std::thread([] {
      for (;; std::this_thread::sleep_for(std::chrono::nanoseconds(4 * POLL))) {
        Lock lock(mutex());
        advance();
      }
    }).detach();
  });
}

void advance() {
  if (settings().contention)
    pass_time(now());
  else
    go_on();
}

void go_on() {
  for (bool went = true; went;) {
    went = false;
    for (auto* stream : streams())
      for (auto& waiting = stream->waiting; !waiting.empty() && waiting.front()(*stream);
           went = true)
        waiting.pop_front();
  }
}

void give(Stream* stream, Task task) {
  Lock lock(mutex());
  stream->waiting.push_back(std::move(task));
  advance();
  if (!stream->waiting.empty() && !settings().contention) keep_advancing();
}

Shared mark(Stream* stream) {
  auto moment = std::make_shared<Moment>();
  give(stream, [moment, given = now()](Stream& own) {
    *moment = {true, std::max(own.free_at, given)};
    return true;
  });
  return moment;
}

bool is_past(const Shared& moment) {
  Lock lock(mutex());
  advance();
  return moment->known && moment->at <= now();
}

void wait_until(const Shared& moment) {
  for (;;) {
    Nanoseconds next;
    {
      Lock lock(mutex());
      advance();
      if (moment->known) break;
      next = settings().contention ? next_change() : 0;
    }
    if (next)
      sleep_until(next);
    else
      usleep(POLL / 1000);
  }
  sleep_until(moment->at);
}

void wait_for_all() {
  std::vector<Shared> moments;
  {
    Lock lock(mutex());
    for (auto* stream : streams()) moments.push_back(mark(stream));
  }
  for (auto& moment : moments) wait_until(moment);
}

Nanoseconds start_of(const Stream& stream, Nanoseconds given) {
  return std::max(given, stream.free_at) + (stream.free_at > given ? BETWEEN : START);
}

void finish(Stream& stream, Activity& activity) {
  activity.stream = stream.number;
  stream.free_at = activity.end;
  stream.launched--;
  stream.pending.push_back(activity.end);
  tell(activity);
}

void take_place(Stream* stream) {
  wait_for_room(stream);
  Lock lock(mutex());
  stream->clock[stream->number]++;
  stream->launched++;
  counts()["launches"]++;
}

void enqueue(Stream* stream, Nanoseconds duration, const Call& call, Activity activity,
             Needs needs) {
  take_place(stream);
  activity.correlation = call.correlation;
  if (settings().contention) {
    give(stream, contend(duration, activity, needs, now()));
    return;
  }
  give(stream, [=, given = now()](Stream& own) mutable {
    activity.start = start_of(own, given);
    activity.end = activity.start + duration;
    finish(own, activity);
    return true;
  });
}

// For tests, by ctypes.

EXPORT int pretended_stream(void* handle) { return stream_of((cudaStream_t)handle)->number; }

EXPORT int pretended_clock(void* handle, int* clock, int room) {
  Lock lock(mutex());
  const Clock& own = stream_of((cudaStream_t)handle)->clock;
  int size = std::min(room, (int)own.size());
  std::copy(own.begin(), own.begin() + size, clock);
  return size;
}

EXPORT void pretended_tick(void* handle) {
  Lock lock(mutex());
  Stream* stream = stream_of((cudaStream_t)handle);
  stream->clock[stream->number]++;
}

EXPORT uint64_t pretended_count(const char* what) {
  Lock lock(mutex());
  auto found = counts().find(what);
  return found == counts().end() ? 0 : found->second;
}

}  // namespace pretended
