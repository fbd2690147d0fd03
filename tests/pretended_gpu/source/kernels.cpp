// Kernels by name: they take the time that a roofline gives them, and do nothing.
#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "state.h"

using namespace pretended;

#define CALLBACK(name) CUPTI_RUNTIME_TRACE_CBID_##name

constexpr double BYTES_PER_THREAD = 40;       // of an element-wise kernel
constexpr Nanoseconds GROUPED = 2'500'000;    // a grouped product; its sizes are on the device
constexpr double CYCLES = 1.98;               // in a nanosecond
constexpr double ATTENTION_FORWARD = 250e12, ATTENTION_BACKWARD = 150e12;  // operations per second

static std::unordered_map<const void*, std::string>& names() {
  static auto* all = new std::unordered_map<const void*, std::string>;
  return *all;
}

static double volume(dim3 size) { return (double)size.x * size.y * size.z; }

static bool has(const std::string& name, const char* part) {
  return name.find(part) != std::string::npos;
}

static Nanoseconds attention(const std::string& name, dim3 grid) {
  bool backward = has(name, "ackward");
  double rows = grid.x * 64.0;
  double operations = rows * rows / 2 * grid.y * grid.z * 2 * 320 * (backward ? 2.6 : 1);
  return operations / (backward ? ATTENTION_BACKWARD : ATTENTION_FORWARD) * 1e9;
}

static Nanoseconds duration(const std::string& name, dim3 grid, dim3 block, void** arguments) {
  if (has(name, "spin_kernel")) return *(int64_t*)arguments[0] / CYCLES;
  if (has(name, "GroupProblemShape")) return GROUPED * MULTIPROCESSORS / volume(grid);
  if (has(name, "fmha") || has(name, "attention_kernel")) return attention(name, grid);
  double bytes = volume(grid) * volume(block) * BYTES_PER_THREAD;
  return std::max<Nanoseconds>(settings().kernel, bytes / settings().memory_rate * 1e9);
}

static Needs needs(const std::string& name, dim3 grid) {
  int blocks = std::min<double>(MULTIPROCESSORS, volume(grid));
  return {has(name, "GroupProblemShape") ? Use::PRODUCT : Use::COMPUTES, blocks};
}

static cudaError_t launch(const Call& call, const void* function, dim3 grid, dim3 block,
                          void** arguments, cudaStream_t stream) {
  const std::string* name;
  {
    Lock lock(mutex());
    name = &names()[function];
  }
  if (has(*name, "GroupProblemShape"))
    count("grouped products of " + std::to_string(grid.x) + " blocks");
  Activity activity{CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL};
  activity.name = name->c_str();
  activity.grid = grid;
  activity.block = block;
  Nanoseconds takes = duration(*name, grid, block, arguments);
  enqueue(stream_of(stream), takes, call, activity, needs(*name, grid));
  return cudaSuccess;
}

// What a compiled file says of its kernels as it is loaded.

EXPORT void** __cudaRegisterFatBinary(void*) {
  static void* handle;
  return &handle;
}
EXPORT void __cudaRegisterFatBinaryEnd(void**) {}
EXPORT void __cudaUnregisterFatBinary(void**) {}
EXPORT void __cudaRegisterVar(void**, char*, char*, const char*, int, size_t, int, int) {}
EXPORT void __cudaRegisterFunction(void**, const char* host, char*, const char* name, int, void*,
                                   void*, void*, void*, int*) {
  Lock lock(mutex());
  names()[host] = name;
}

// A launch in triple brackets: its sizes are pushed, then popped by what it calls.

struct Configuration {
  dim3 grid, block;
  size_t shared;
  cudaStream_t stream;
};
static thread_local std::vector<Configuration> configurations;

EXPORT unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared,
                                            cudaStream_t stream) {
  configurations.push_back({grid, block, shared, stream});
  return 0;
}
EXPORT cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared,
                                              void* stream) {
  Configuration last = configurations.back();
  configurations.pop_back();
  *grid = last.grid;
  *block = last.block;
  *shared = last.shared;
  *(cudaStream_t*)stream = last.stream;
  return cudaSuccess;
}
EXPORT cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* function) {
  *kernel = (cudaKernel_t)function;
  return cudaSuccess;
}
EXPORT cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block,
                                    void** arguments, size_t, cudaStream_t stream) {
  Call call("cudaLaunchKernel", CALLBACK(cudaLaunchKernel_v7000), true);
  return launch(call, function, grid, block, arguments, stream);
}
EXPORT cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments,
                                      size_t shared, cudaStream_t stream) {
  return cudaLaunchKernel((const void*)kernel, grid, block, arguments, shared, stream);
}
EXPORT cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* configuration,
                                       const void* function, void** arguments) {
  Call call("cudaLaunchKernelExC", CALLBACK(cudaLaunchKernelExC_v11060), true);
  return launch(call, function, configuration->gridDim, configuration->blockDim, arguments,
                configuration->stream);
}
EXPORT cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* said, const void*) {
  memset(said, 0, sizeof *said);
  said->binaryVersion = said->ptxVersion = 90;
  said->maxThreadsPerBlock = 1024;
  said->numRegs = 64;
  said->maxDynamicSharedSizeBytes = 49152;
  return cudaSuccess;
}
EXPORT cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int) {
  return cudaSuccess;
}
EXPORT cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void*,
                                                                          int, size_t, unsigned) {
  *blocks = 2;
  return cudaSuccess;
}

// Triton's kernels come through the driver (driver.cpp), which knows what they take.

EXPORT void pretended_launch(const char* name, dim3 grid, dim3 block, Nanoseconds takes,
                             cudaStream_t stream) {
  Call call("cuLaunchKernelEx", CALLBACK(cudaLaunchKernelExC_v11060), true);
  Activity activity{CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL};
  activity.name = name;
  activity.grid = grid;
  activity.block = block;
  int blocks = std::min<double>(MULTIPROCESSORS, volume(grid));
  Needs needs{takes ? Use::HOLDS : Use::COMPUTES, blocks};
  enqueue(stream_of(stream), std::max(settings().kernel, takes), call, activity, needs);
}
