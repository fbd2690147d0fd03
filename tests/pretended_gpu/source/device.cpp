// What the device says of itself: an H200, pretended.
#include <cstdio>
#include <cstring>

#include "state.h"

using namespace pretended;

static thread_local int current = 0;

EXPORT cudaError_t cudaGetDeviceCount(int* number) {
  *number = settings().devices;
  return cudaSuccess;
}
EXPORT cudaError_t cudaGetDevice(int* device) {
  *device = current;
  return cudaSuccess;
}
EXPORT cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= settings().devices) return cudaErrorInvalidDevice;
  current = device;
  return cudaSuccess;
}
EXPORT cudaError_t cudaDriverGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
EXPORT cudaError_t cudaRuntimeGetVersion(int* version) { return cudaDriverGetVersion(version); }
EXPORT cudaError_t cudaGetLastError() { return cudaSuccess; }
EXPORT cudaError_t cudaPeekAtLastError() { return cudaSuccess; }
EXPORT const char* cudaGetErrorString(cudaError_t error) {
  static thread_local char text[40];
  snprintf(text, sizeof text, "pretended error %d", error);
  return text;
}
EXPORT const char* cudaGetErrorName(cudaError_t error) { return cudaGetErrorString(error); }

EXPORT cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  static const std::map<int, int> known{
      {cudaDevAttrMultiProcessorCount, MULTIPROCESSORS},
      {cudaDevAttrComputeCapabilityMajor, 9},
      {cudaDevAttrMaxSharedMemoryPerBlockOptin, 232448},
      {cudaDevAttrMaxSharedMemoryPerBlock, 49152},
      {cudaDevAttrMaxSharedMemoryPerMultiprocessor, 233472},
      {cudaDevAttrMaxThreadsPerMultiProcessor, 2048},
      {cudaDevAttrMaxThreadsPerBlock, 1024},
      {cudaDevAttrWarpSize, 32},
      {cudaDevAttrMaxGridDimX, 2147483647},
      {cudaDevAttrMaxGridDimY, 65535},
      {cudaDevAttrMaxGridDimZ, 65535},
      {cudaDevAttrClockRate, 1980000},
      {cudaDevAttrMaxBlockDimX, 1024},
      {cudaDevAttrMaxBlockDimY, 1024},
      {cudaDevAttrMaxRegistersPerBlock, 65536},
  };
  auto found = known.find(attribute);
  *value = found == known.end() ? 0 : found->second;
  return cudaSuccess;
}
EXPORT cudaError_t cudaGetDeviceProperties(cudaDeviceProp* said, int) {
  memset(said, 0, sizeof *said);
  strcpy(said->name, "NVIDIA H200 (pretended)");
  said->totalGlobalMem = settings().memory;
  said->sharedMemPerBlock = 49152;
  said->regsPerBlock = said->regsPerMultiprocessor = 65536;
  said->warpSize = 32;
  said->maxThreadsPerBlock = said->maxThreadsDim[0] = said->maxThreadsDim[1] = 1024;
  said->maxThreadsDim[2] = 64;
  said->maxGridSize[0] = 2147483647;
  said->maxGridSize[1] = said->maxGridSize[2] = 65535;
  said->totalConstMem = 65536;
  said->major = 9;
  said->multiProcessorCount = MULTIPROCESSORS;
  said->textureAlignment = 512;
  said->canMapHostMemory = said->concurrentKernels = said->unifiedAddressing = 1;
  said->memoryBusWidth = 6144;
  said->l2CacheSize = 60 << 20;
  said->maxThreadsPerMultiProcessor = 2048;
  said->streamPrioritiesSupported = said->cooperativeLaunch = said->clusterLaunch = 1;
  said->sharedMemPerMultiprocessor = 233472;
  said->sharedMemPerBlockOptin = 232448;
  said->maxBlocksPerMultiProcessor = 32;
  said->asyncEngineCount = 3;
  return cudaSuccess;
}
EXPORT cudaError_t cudaDeviceGetPCIBusId(char* text, int room, int) {
  snprintf(text, room, "0000:01:00.0");
  return cudaSuccess;
}
EXPORT cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -5;
  return cudaSuccess;
}
EXPORT cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) {
  *can = 0;
  return cudaSuccess;
}
EXPORT cudaError_t cudaProfilerStart() { return cudaSuccess; }
EXPORT cudaError_t cudaProfilerStop() { return cudaSuccess; }

static long does_nothing(...) { return 0; }
EXPORT cudaError_t cudaGetDriverEntryPointByVersion(const char*, void** function, unsigned,
                                                    unsigned long long,
                                                    cudaDriverEntryPointQueryResult* result) {
  *function = (void*)does_nothing;
  if (result) *result = cudaDriverEntryPointSuccess;
  return cudaSuccess;
}
