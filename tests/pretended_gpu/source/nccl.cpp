// NCCL: kernels that take the time of a link. A kernel begins when its stream comes to it and holds
// the stream until those of its peers have begun too and the bytes have crossed. What is small is
// really told to the other ranks, by shared memory, for which the host waits; the rest carries no
// values.
#include <fcntl.h>
#include <nccl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <utility>

#include "state.h"

using namespace pretended;

constexpr size_t SMALL = 64 << 10, MADE = 1 << 20;
constexpr Nanoseconds LATENCY = 8000, PATIENCE = 60'000'000'000;
constexpr int BLOCKS = 32;  // NCCL's, where nobody bounds them

constexpr int MOST_RANKS = 16;
constexpr int KEPT = 64;  // arrivals of a kind; a rank is never more than one ahead of its peer

enum Kind { SEND, RECEIVE, COLLECTIVE, KINDS };

struct Arrival {  // the device comes to the kernel of a message: which one, and when
  std::atomic<uint64_t> number;
  Nanoseconds at;
};

// One for each rank: how many exchanges it has begun, and what it told in the last two; when it
// came to each message with each peer.
struct Told {
  std::atomic<uint64_t> begun;
  char payload[2][SMALL];
  Arrival arrivals[MOST_RANKS][KINDS][KEPT];
};

struct ncclComm {
  int size, rank, blocks;
  uint64_t exchanges = 0;
  uint64_t numbers[MOST_RANKS][KINDS] = {};
  Told* ranks = nullptr;
  Shared last;  // when the last kernel ends: those of a communicator run one after the other
  std::atomic<bool> aborted{false};
};

struct Meeting {
  int peer;
  Kind kind;
  uint64_t number;
};

// What one kernel does: bytes within the GPU, to others and from others, and whom it must meet.
struct Messages {
  ncclComm* comm;
  cudaStream_t stream;
  double within = 0, out = 0, in = 0;
  std::vector<Meeting> meetings;
};

static thread_local int depth = 0;  // of ncclGroupStart
static thread_local std::vector<Messages> group;

static size_t size_of(ncclDataType_t type) {
  switch (type) {
    case ncclInt8: case ncclUint8: case ncclFloat8e4m3: case ncclFloat8e5m2: return 1;
    case ncclFloat16: case ncclBfloat16: return 2;
    case ncclInt64: case ncclUint64: case ncclFloat64: return 8;
    default: return 4;
  }
}

static Told* shared_memory(const ncclUniqueId& id, int size) {
  char name[40];
  snprintf(name, sizeof name, "/pretended-%.16s", id.internal);
  int file = shm_open(name, O_RDWR | O_CREAT, 0600);
  size_t bytes = sizeof(Told) * size;
  if (file < 0 || ftruncate(file, bytes)) return nullptr;
  void* found = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  return found == MAP_FAILED ? nullptr : (Told*)found;
}

// Tell the others `bytes` of `own`, wait for theirs; what rank r told is then at `told(r)`.
static bool exchange(ncclComm* comm, const void* own, size_t bytes) {
  uint64_t number = ++comm->exchanges;
  Told& mine = comm->ranks[comm->rank];
  memcpy(mine.payload[number % 2], own, bytes);
  mine.begun.store(number, std::memory_order_release);
  Nanoseconds end = now() + PATIENCE;
  for (int rank = 0; rank < comm->size; rank++)
    while (comm->ranks[rank].begun.load(std::memory_order_acquire) < number) {
      if (now() > end) return false;
      usleep(20);
    }
  return true;
}

static const char* told(ncclComm* comm, int rank) {
  return comm->ranks[rank].payload[comm->exchanges % 2];
}

static void meet(Messages& messages, int peer, Kind kind) {
  ncclComm* comm = messages.comm;
  if (peer != comm->rank && clocks_agree())
    messages.meetings.push_back({peer, kind, ++comm->numbers[peer][kind]});
}

static void arrive(const Messages& messages, Nanoseconds at) {
  Told& own = messages.comm->ranks[messages.comm->rank];
  for (auto& one : messages.meetings) {
    Arrival& arrival = own.arrivals[one.peer][one.kind][one.number % KEPT];
    arrival.at = at;
    arrival.number.store(one.number, std::memory_order_release);
  }
}

// When the last of the peers has come, or -1 where one is still to come.
static Nanoseconds all_there(const Messages& messages, Nanoseconds own) {
  ncclComm* comm = messages.comm;
  if (comm->aborted) return own;
  for (auto& one : messages.meetings) {
    Kind theirs = one.kind == SEND ? RECEIVE : one.kind == RECEIVE ? SEND : COLLECTIVE;
    Arrival& other = comm->ranks[one.peer].arrivals[comm->rank][theirs][one.number % KEPT];
    if (other.number.load(std::memory_order_acquire) < one.number) return -1;
    own = std::max(own, other.at);
  }
  return own;
}

static Nanoseconds time_to_cross(const Messages& messages) {
  double link = std::max(messages.in, messages.out) / settings().link_rate;
  return LATENCY + (messages.within / settings().wire_rate + link) * 1e9;
}

static ncclResult_t run(const char* name, const Messages& messages) {
  Call call("cudaLaunchKernelExC", CUPTI_RUNTIME_TRACE_CBID_cudaLaunchKernelExC_v11060, true);
  Activity activity{CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, call.correlation};
  activity.name = name;
  activity.grid = dim3(messages.comm->blocks);
  activity.block = dim3(544);
  Stream* stream = stream_of(messages.stream);
  take_place(stream);
  Lock lock(mutex());
  Shared before = messages.comm->last, done = std::make_shared<Moment>();
  messages.comm->last = done;
  if (settings().contention) {  // one rank alone: nobody is waited for
    Needs needs{Use::HOLDS, messages.comm->blocks};
    Task task = contend(time_to_cross(messages), activity, needs, now());
    give(stream, [=](Stream& own) {
      if ((before && !before->known) || !task(own)) return false;
      *done = {true, own.free_at};
      return true;
    });
    return ncclSuccess;
  }
  give(stream, [=, given = now()](Stream& own) mutable {
    if (before && !before->known) return false;
    if (!activity.start) {
      activity.start = std::max(start_of(own, given), before ? before->at : 0);
      arrive(messages, activity.start);
    }
    Nanoseconds there = all_there(messages, activity.start);
    if (there < 0) return false;
    activity.end = there + time_to_cross(messages);
    *done = {true, activity.end};
    finish(own, activity);
    return true;
  });
  return ncclSuccess;
}

// What all ranks do together; `bytes` is what one GPU takes part with, `others` how many times that
// crosses its link.
static ncclResult_t run_together(const char* name, double bytes, double others, ncclComm* comm,
                                 cudaStream_t stream) {
  Messages messages{comm, stream};
  (comm->size > 1 ? messages.out : messages.within) = bytes * (comm->size > 1 ? others : 1);
  for (int peer = 0; peer < comm->size; peer++) meet(messages, peer, COLLECTIVE);
  return run(name, messages);
}

#define NCCL_KERNEL(operation) \
  "ncclDevKernel_" operation "(ncclDevKernelArgsStorage<4096ul>)"
static const char* const SEND_RECEIVE = NCCL_KERNEL("SendRecv");

EXPORT ncclResult_t ncclGetVersion(int* version) {
  *version = 22809;
  return ncclSuccess;
}
EXPORT ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  uint64_t number;
  if (getrandom(&number, sizeof number, 0) != sizeof number) return ncclSystemError;
  memset(id, 0, sizeof *id);
  snprintf(id->internal, sizeof id->internal, "%016llx", (unsigned long long)number);
  return ncclSuccess;
}
static ncclResult_t start(ncclComm_t* comm, int size, const ncclUniqueId& id, int rank, int most) {
  const char* broken = getenv("PRETENDED_BROKEN");
  if (broken && !strcmp(broken, "nccl")) return ncclSystemError;
  if (size > MOST_RANKS || (size > 1 && settings().contention)) return ncclInvalidUsage;
  int blocks = most > 0 && most < BLOCKS ? most : BLOCKS;
  *comm = new ncclComm{size, rank, blocks};
  count("NCCL communicators of at most " + std::to_string(blocks) + " blocks");
  (*comm)->ranks = shared_memory(id, size);
  if (!(*comm)->ranks || !exchange(*comm, "", 1)) return ncclSystemError;
  char name[40];
  snprintf(name, sizeof name, "/pretended-%.16s", id.internal);
  if (rank == 0) shm_unlink(name);  // everyone has it
  return ncclSuccess;
}
EXPORT ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int size, ncclUniqueId id, int rank,
                                           ncclConfig_t* config) {
  return start(comm, size, id, rank, config ? config->maxCTAs : 0);
}
EXPORT ncclResult_t ncclCommInitRank(ncclComm_t* comm, int size, ncclUniqueId id, int rank) {
  return start(comm, size, id, rank, 0);
}
EXPORT ncclResult_t ncclCommDestroy(ncclComm_t) { return ncclSuccess; }
EXPORT ncclResult_t ncclCommAbort(ncclComm_t comm) {
  comm->aborted = true;
  return ncclSuccess;
}
EXPORT ncclResult_t ncclCommFinalize(ncclComm_t) { return ncclSuccess; }
EXPORT ncclResult_t ncclCommCount(const ncclComm_t comm, int* size) {
  *size = comm->size;
  return ncclSuccess;
}
EXPORT ncclResult_t ncclCommUserRank(const ncclComm_t comm, int* rank) {
  *rank = comm->rank;
  return ncclSuccess;
}
EXPORT ncclResult_t ncclCommGetAsyncError(ncclComm_t, ncclResult_t* error) {
  *error = ncclSuccess;
  return ncclSuccess;
}
EXPORT const char* ncclGetErrorString(ncclResult_t) { return "pretended"; }
EXPORT const char* ncclGetLastError(ncclComm_t) { return "pretended"; }
EXPORT ncclResult_t ncclCommRegister(const ncclComm_t, void*, size_t, void** handle) {
  *handle = nullptr;
  return ncclSuccess;
}
EXPORT ncclResult_t ncclCommDeregister(const ncclComm_t, void*) { return ncclSuccess; }
EXPORT ncclResult_t ncclRedOpDestroy(ncclRedOp_t, ncclComm_t) { return ncclSuccess; }

EXPORT ncclResult_t ncclGroupStart() {
  depth++;
  return ncclSuccess;
}
EXPORT ncclResult_t ncclGroupEnd() {
  if (--depth) return ncclSuccess;
  for (auto& messages : std::exchange(group, {})) run(SEND_RECEIVE, messages);
  return ncclSuccess;
}
static void add(Messages& messages, double bytes, int peer, Kind kind) {
  bool own = peer == messages.comm->rank;
  if (own) messages.within += kind == SEND ? bytes : 0;  // what is sent takes the time
  else (kind == SEND ? messages.out : messages.in) += bytes;
  meet(messages, peer, kind);
}
// What a rank sends to itself, and is small, is really copied: each send to the next receive.
static void copy_own(void* buffer, double bytes, int peer, Kind kind, const ncclComm* comm) {
  static thread_local std::deque<const void*> sent;
  if (peer != comm->rank || bytes > MADE) return;
  if (kind == SEND) {
    sent.push_back(buffer);
  } else if (!sent.empty()) {
    memmove(buffer, sent.front(), bytes);
    sent.pop_front();
  }
}
static ncclResult_t send_or_receive(double bytes, int peer, Kind kind, ncclComm* comm,
                                    cudaStream_t stream) {
  if (!depth) {
    Messages alone{comm, stream};
    add(alone, bytes, peer, kind);
    return run(SEND_RECEIVE, alone);
  }
  auto same = [&](const Messages& one) { return one.comm == comm; };
  auto found = std::find_if(group.begin(), group.end(), same);
  if (found == group.end()) found = group.insert(found, Messages{comm, stream});
  add(*found, bytes, peer, kind);
  return ncclSuccess;
}
EXPORT ncclResult_t ncclSend(const void* from, size_t values, ncclDataType_t type, int peer,
                             ncclComm_t comm, cudaStream_t stream) {
  copy_own((void*)from, values * size_of(type), peer, SEND, comm);
  return send_or_receive(values * size_of(type), peer, SEND, comm, stream);
}
EXPORT ncclResult_t ncclRecv(void* to, size_t values, ncclDataType_t type, int peer,
                             ncclComm_t comm, cudaStream_t stream) {
  copy_own(to, values * size_of(type), peer, RECEIVE, comm);
  return send_or_receive(values * size_of(type), peer, RECEIVE, comm, stream);
}
EXPORT ncclResult_t ncclAllReduce(const void* from, void*, size_t values, ncclDataType_t type,
                                  ncclRedOp_t, ncclComm_t comm, cudaStream_t stream) {
  size_t bytes = values * size_of(type);
  if (bytes <= SMALL && !exchange(comm, from, 0)) return ncclInternalError;
  double others = 2.0 * (comm->size - 1) / comm->size;
  return run_together(NCCL_KERNEL("AllReduce_Sum_f32_RING_LL"), bytes, others, comm, stream);
}
EXPORT ncclResult_t ncclAllGather(const void* from, void* to, size_t values, ncclDataType_t type,
                                  ncclComm_t comm, cudaStream_t stream) {
  size_t bytes = values * size_of(type);
  if (bytes <= SMALL) {
    if (!exchange(comm, from, bytes)) return ncclInternalError;
    for (int rank = 0; rank < comm->size; rank++)
      memcpy((char*)to + rank * bytes, told(comm, rank), bytes);
  }
  return run_together(NCCL_KERNEL("AllGather_RING_LL"), bytes, comm->size - 1, comm, stream);
}
EXPORT ncclResult_t ncclBroadcast(const void* from, void* to, size_t values, ncclDataType_t type,
                                  int root, ncclComm_t comm, cudaStream_t stream) {
  size_t bytes = values * size_of(type);
  if (bytes <= SMALL) {
    if (!exchange(comm, from, bytes)) return ncclInternalError;
    memcpy(to, told(comm, root), bytes);
  }
  return run_together(NCCL_KERNEL("Broadcast_RING_LL"), bytes, 1, comm, stream);
}
EXPORT ncclResult_t ncclBcast(void* buffer, size_t values, ncclDataType_t type, int root,
                              ncclComm_t comm, cudaStream_t stream) {
  return ncclBroadcast(buffer, buffer, values, type, root, comm, stream);
}
EXPORT ncclResult_t ncclAlltoAll(const void*, void*, size_t values, ncclDataType_t type,
                                 ncclComm_t comm, cudaStream_t stream) {
  return run_together(SEND_RECEIVE, values * size_of(type), comm->size - 1, comm, stream);
}
EXPORT ncclResult_t ncclReduceScatter(const void*, void*, size_t values, ncclDataType_t type,
                                      ncclRedOp_t, ncclComm_t comm, cudaStream_t stream) {
  size_t bytes = values * size_of(type);
  const char* name = NCCL_KERNEL("ReduceScatter_Sum_f32_RING_LL");
  return run_together(name, bytes, comm->size - 1, comm, stream);
}
