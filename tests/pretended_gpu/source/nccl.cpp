// NCCL: kernels that take the time of a wire. What is small is really told to the other ranks, by
// shared memory, for which the host waits; large messages carry nothing and wait for nobody.
#include <fcntl.h>
#include <nccl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>

#include "state.h"

using namespace pretended;

constexpr size_t SMALL = 64 << 10;
constexpr Nanoseconds LATENCY = 8000, PATIENCE = 60'000'000'000;
constexpr int BLOCKS = 32;  // NCCL's, where nobody bounds them

// One for each rank: how many exchanges it has begun, and what it told in the last two.
struct Told {
  std::atomic<uint64_t> begun;
  char payload[2][SMALL];
};

struct ncclComm {
  int size, rank, blocks;
  uint64_t exchanges = 0;
  Told* ranks = nullptr;
};

static thread_local int depth = 0;  // of ncclGroupStart
static thread_local double group_bytes = 0;
static thread_local ncclComm* group_communicator = nullptr;
static thread_local cudaStream_t group_stream = nullptr;

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

static ncclResult_t run(const char* name, double bytes, ncclComm* comm, cudaStream_t stream) {
  Call call("cudaLaunchKernelExC", CUPTI_RUNTIME_TRACE_CBID_cudaLaunchKernelExC_v11060, true);
  Activity activity{CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL};
  activity.name = name;
  activity.grid = dim3(comm->blocks);
  activity.block = dim3(544);
  enqueue(stream_of(stream), LATENCY + bytes / settings().wire_rate * 1e9, call, activity);
  return ncclSuccess;
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
EXPORT ncclResult_t ncclCommAbort(ncclComm_t) { return ncclSuccess; }
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
  if (--depth || !group_communicator) return ncclSuccess;
  ncclComm* comm = group_communicator;
  group_communicator = nullptr;
  double bytes = group_bytes;
  group_bytes = 0;
  return run(SEND_RECEIVE, bytes, comm, group_stream);
}
static ncclResult_t send_or_receive(double bytes, ncclComm* comm, cudaStream_t stream) {
  if (!depth) return run(SEND_RECEIVE, bytes, comm, stream);
  group_bytes += bytes;
  group_communicator = comm;
  group_stream = stream;
  return ncclSuccess;
}
EXPORT ncclResult_t ncclSend(const void*, size_t values, ncclDataType_t type, int, ncclComm_t comm,
                             cudaStream_t stream) {
  return send_or_receive(values * size_of(type), comm, stream);
}
EXPORT ncclResult_t ncclRecv(void*, size_t, ncclDataType_t, int, ncclComm_t comm,
                             cudaStream_t stream) {
  return send_or_receive(0, comm, stream);  // what is sent takes the time
}
EXPORT ncclResult_t ncclAllReduce(const void* from, void*, size_t values, ncclDataType_t type,
                                  ncclRedOp_t, ncclComm_t comm, cudaStream_t stream) {
  size_t bytes = values * size_of(type);
  if (bytes <= SMALL && !exchange(comm, from, 0)) return ncclInternalError;
  return run(NCCL_KERNEL("AllReduce_Sum_f32_RING_LL"), bytes, comm, stream);
}
EXPORT ncclResult_t ncclAllGather(const void* from, void* to, size_t values, ncclDataType_t type,
                                  ncclComm_t comm, cudaStream_t stream) {
  size_t bytes = values * size_of(type);
  if (bytes <= SMALL) {
    if (!exchange(comm, from, bytes)) return ncclInternalError;
    for (int rank = 0; rank < comm->size; rank++)
      memcpy((char*)to + rank * bytes, told(comm, rank), bytes);
  }
  return run(NCCL_KERNEL("AllGather_RING_LL"), bytes, comm, stream);
}
EXPORT ncclResult_t ncclBroadcast(const void* from, void* to, size_t values, ncclDataType_t type,
                                  int root, ncclComm_t comm, cudaStream_t stream) {
  size_t bytes = values * size_of(type);
  if (bytes <= SMALL) {
    if (!exchange(comm, from, bytes)) return ncclInternalError;
    memcpy(to, told(comm, root), bytes);
  }
  return run(NCCL_KERNEL("Broadcast_RING_LL"), bytes, comm, stream);
}
EXPORT ncclResult_t ncclBcast(void* buffer, size_t values, ncclDataType_t type, int root,
                              ncclComm_t comm, cudaStream_t stream) {
  return ncclBroadcast(buffer, buffer, values, type, root, comm, stream);
}
EXPORT ncclResult_t ncclAlltoAll(const void*, void*, size_t values, ncclDataType_t type,
                                 ncclComm_t comm, cudaStream_t stream) {
  return run(SEND_RECEIVE, (double)values * size_of(type) * comm->size, comm, stream);
}
EXPORT ncclResult_t ncclReduceScatter(const void*, void*, size_t values, ncclDataType_t type,
                                      ncclRedOp_t, ncclComm_t comm, cudaStream_t stream) {
  return run(NCCL_KERNEL("ReduceScatter_Sum_f32_RING_LL"), values * size_of(type), comm, stream);
}
