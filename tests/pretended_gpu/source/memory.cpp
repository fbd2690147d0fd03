// Memory that only costs address space, and copies; small ones are really made, the rest is zero.
#include <sys/mman.h>

#include <cstring>

#include "state.h"

using namespace pretended;

#define CALLBACK(name) CUPTI_RUNTIME_TRACE_CBID_##name

constexpr uint64_t ALIGNED = 2 << 20;
constexpr size_t MADE = 1 << 20;          // copies up to this size are really made
constexpr size_t STAGED = 64 << 10;       // pageable copies to the GPU up to this size return early
constexpr double HOST_RATE = 50e9;        // bytes per second over PCIe
constexpr Nanoseconds COPY = 1500;

static std::map<uint64_t, size_t> device_blocks, pinned_blocks;
static size_t used = 0;

static bool inside(const std::map<uint64_t, size_t>& blocks, const void* pointer) {
  Lock lock(mutex());
  auto after = blocks.upper_bound((uint64_t)pointer);
  if (after == blocks.begin()) return false;
  --after;
  return (uint64_t)pointer < after->first + after->second;
}

bool pretended::on_device(const void* pointer) { return inside(device_blocks, pointer); }

static void* reserve(size_t bytes) {
  return mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
              -1, 0);
}

EXPORT cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  Call call("cudaMalloc", CALLBACK(cudaMalloc_v3020));
  Lock lock(mutex());
  if (used + bytes > settings().memory) return cudaErrorMemoryAllocation;
  void* found = reserve(bytes + ALIGNED);
  if (found == MAP_FAILED) return cudaErrorMemoryAllocation;
  uint64_t start = ((uint64_t)found + ALIGNED - 1) & ~(ALIGNED - 1);
  device_blocks[start] = bytes;
  used += bytes;
  *pointer = (void*)start;
  return cudaSuccess;
}
EXPORT cudaError_t cudaFree(void* pointer) {
  if (!pointer) return cudaSuccess;
  Call call("cudaFree", CALLBACK(cudaFree_v3020));
  wait_for_all();
  Lock lock(mutex());
  auto block = device_blocks.find((uint64_t)pointer);
  if (block == device_blocks.end()) return cudaErrorInvalidValue;
  munmap(pointer, block->second);
  used -= block->second;
  device_blocks.erase(block);
  return cudaSuccess;
}
EXPORT cudaError_t cudaMallocAsync(void** pointer, size_t bytes, cudaStream_t) {
  return cudaMalloc(pointer, bytes);
}
EXPORT cudaError_t cudaFreeAsync(void* pointer, cudaStream_t) { return cudaFree(pointer); }
EXPORT cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned) {
  Call call("cudaHostAlloc", CALLBACK(cudaHostAlloc_v3020));
  Lock lock(mutex());
  *pointer = reserve(bytes);
  pinned_blocks[(uint64_t)*pointer] = bytes;
  return cudaSuccess;
}
EXPORT cudaError_t cudaFreeHost(void* pointer) {
  Lock lock(mutex());
  auto block = pinned_blocks.find((uint64_t)pointer);
  if (block == pinned_blocks.end()) return cudaErrorInvalidValue;
  munmap(pointer, block->second);
  pinned_blocks.erase(block);
  return cudaSuccess;
}
EXPORT cudaError_t cudaHostRegister(void* pointer, size_t bytes, unsigned) {
  Lock lock(mutex());
  pinned_blocks[(uint64_t)pointer] = bytes;
  return cudaSuccess;
}
EXPORT cudaError_t cudaHostUnregister(void* pointer) {
  Lock lock(mutex());
  pinned_blocks.erase((uint64_t)pointer);
  return cudaSuccess;
}
EXPORT cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *total = settings().memory;
  *free = settings().memory - used;
  return cudaSuccess;
}
EXPORT cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* found, const void* pointer) {
  memset(found, 0, sizeof *found);
  if (on_device(pointer)) {
    found->type = cudaMemoryTypeDevice;
    cudaGetDevice(&found->device);
    found->devicePointer = (void*)pointer;
  } else if (inside(pinned_blocks, pointer)) {
    found->type = cudaMemoryTypeHost;
    found->hostPointer = found->devicePointer = (void*)pointer;
  } else {
    found->type = cudaMemoryTypeUnregistered;
    found->device = -2;
  }
  return cudaSuccess;
}

static int memory_kind(bool device, const void* pointer) {
  if (device) return CUPTI_ACTIVITY_MEMORY_KIND_DEVICE;
  return inside(pinned_blocks, pointer) ? CUPTI_ACTIVITY_MEMORY_KIND_PINNED
                                        : CUPTI_ACTIVITY_MEMORY_KIND_PAGEABLE;
}

static int copy_kind(bool to_device, bool from_device) {
  if (to_device && from_device) return CUPTI_ACTIVITY_MEMCPY_KIND_DTOD;
  if (to_device) return CUPTI_ACTIVITY_MEMCPY_KIND_HTOD;
  return from_device ? CUPTI_ACTIVITY_MEMCPY_KIND_DTOH : CUPTI_ACTIVITY_MEMCPY_KIND_HTOH;
}

static cudaError_t copy(const Call& call, void* to, const void* from, size_t bytes,
                        cudaStream_t handle, bool waits) {
  bool to_device = on_device(to), from_device = on_device(from);
  Activity activity{CUPTI_ACTIVITY_KIND_MEMCPY};
  activity.bytes = bytes;
  activity.copy_kind = copy_kind(to_device, from_device);
  activity.source_kind = memory_kind(from_device, from);
  activity.target_kind = memory_kind(to_device, to);
  if ((to_device || from_device) && bytes <= MADE) memmove(to, from, bytes);
  bool within = to_device && from_device;
  double rate = within ? settings().memory_rate / 2 : HOST_RATE;
  Stream* stream = stream_of(handle);
  enqueue(stream, COPY + bytes / rate * 1e9, call, activity);
  bool pageable = activity.source_kind == CUPTI_ACTIVITY_MEMORY_KIND_PAGEABLE ||
                  activity.target_kind == CUPTI_ACTIVITY_MEMORY_KIND_PAGEABLE;
  if (waits || (pageable && (from_device || bytes > STAGED))) wait_until(mark(stream));
  return cudaSuccess;
}

EXPORT cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind,
                                   cudaStream_t stream) {
  Call call("cudaMemcpyAsync", CALLBACK(cudaMemcpyAsync_v3020), true);
  return copy(call, to, from, bytes, stream, false);
}
EXPORT cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind) {
  Call call("cudaMemcpy", CALLBACK(cudaMemcpy_v3020), true);
  return copy(call, to, from, bytes, nullptr, true);
}
EXPORT cudaError_t cudaMemcpyPeerAsync(void* to, int, const void* from, int, size_t bytes,
                                       cudaStream_t stream) {
  return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream);
}
EXPORT cudaError_t cudaMemcpyToSymbol(const void*, const void*, size_t, size_t, cudaMemcpyKind) {
  return cudaSuccess;
}
EXPORT cudaError_t cudaGetSymbolAddress(void** address, const void*) {
  static char zeros[65536];
  *address = zeros;
  return cudaSuccess;
}
EXPORT cudaError_t cudaMemsetAsync(void* pointer, int value, size_t bytes, cudaStream_t stream) {
  Call call("cudaMemsetAsync", CALLBACK(cudaMemsetAsync_v3020), true);
  if (bytes <= MADE) memset(pointer, value, bytes);
  Activity activity{CUPTI_ACTIVITY_KIND_MEMSET};
  activity.bytes = bytes;
  enqueue(stream_of(stream), COPY + bytes / settings().memory_rate * 1e9, call, activity);
  return cudaSuccess;
}
EXPORT cudaError_t cudaMemset(void* pointer, int value, size_t bytes) {
  return cudaMemsetAsync(pointer, value, bytes, nullptr);
}
