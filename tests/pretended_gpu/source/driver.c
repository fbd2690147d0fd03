// libcuda.so.1: the driver, of which torch asks little and Triton its launches. The rest, made by
// build.py from cuda.h, answers "success" and does nothing.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct { unsigned x, y, z; } Size;
typedef struct {
  unsigned grid_x, grid_y, grid_z, block_x, block_y, block_z, shared;
  void* stream;
} Configuration;  // the beginning of CUlaunchConfig
typedef void Launch(const char*, Size, Size, int64_t, void*);

enum { MADE = 1 << 20 };  // bytes: as in memory.cpp
enum { BLOCK = 32768 };  // of dispatchers/copy_kernel.py
static const double FREE_COPY = 25e9;  // bytes per second of one multiprocessor

int cuInit(unsigned flags) { return 0; }
int cuDriverGetVersion(int* version) { *version = 13000; return 0; }
int cuDeviceGet(int* device, int ordinal) { *device = ordinal; return 0; }
int cuDeviceGetCount(int* number) { *number = 1; return 0; }
int cuDeviceGetAttribute(int* value, int attribute, int device) {
  int cudaDeviceGetAttribute(int*, int, int);
  int (*ask)(int*, int, int) = dlsym(RTLD_DEFAULT, "cudaDeviceGetAttribute");
  return ask ? ask(value, attribute, device) : (*value = 0, 0);
}
int cuCtxGetCurrent(void** context) { *context = (void*)1; return 0; }
int cuCtxGetDevice(int* device) { *device = 0; return 0; }
int cuDevicePrimaryCtxGetState(int device, unsigned* flags, int* active) {
  *flags = 0;
  *active = 1;
  return 0;
}
int cuDevicePrimaryCtxRetain(void** context, int device) { *context = (void*)1; return 0; }
int cuGetErrorString(int error, const char** text) { *text = "pretended"; return 0; }

// PRETENDED_BROKEN: "triton" or "hang" (or "nccl", see there).
static int is_broken(const char* what) {
  const char* said = getenv("PRETENDED_BROKEN");
  return said && strcmp(said, what) == 0;
}
int cuModuleLoadData(void** module, const void* image) {
  *module = (void*)1;
  return is_broken("triton") ? 209 : 0;  // no binary for this GPU
}
int cuModuleGetFunction(void** function, void* module, const char* name) {
  *function = strdup(name);
  return 0;
}
int cuFuncGetAttribute(int* value, int attribute, void* function) {
  *value = attribute == 0 ? 1024 : 0;  // threads of a block, at most
  return 0;
}
int cuPointerGetAttribute(void* value, int attribute, uint64_t pointer) {
  *(uint64_t*)value = pointer;
  return 0;
}

// Arguments as Triton's launcher hands them over; `_paced_copy`: to, source, count, ns per block;
// `_copy_kernel`: to, its row, source, its row, width, count. What is small is really copied.
static void copy(const char* name, void** arguments) {
  if (!strstr(name, "_copy")) return;
  int paced = strstr(name, "paced") != NULL;
  int64_t count = *(int32_t*)arguments[paced ? 2 : 5];
  int64_t width = paced ? 0 : *(int32_t*)arguments[4];
  int64_t to_row = paced ? 0 : **(int64_t**)arguments[1];
  int64_t source_row = paced ? 0 : **(int64_t**)arguments[3];
  char* to = *(char**)arguments[0] + 2 * to_row * width;
  char* source = *(char**)arguments[paced ? 1 : 2] + 2 * source_row * width;
  if (2 * count <= MADE) memmove(to, source, 2 * count);
}

static int64_t takes(const char* name, unsigned blocks, void** arguments) {
  if (!strstr(name, "copy")) return 0;
  if (is_broken("hang")) return INT64_MAX / 4;
  int paced = strstr(name, "paced") != NULL;
  int64_t count = *(int32_t*)arguments[paced ? 2 : 5];
  int64_t rounds = (count + (int64_t)BLOCK * blocks - 1) / ((int64_t)BLOCK * blocks);
  int64_t per_block = paced ? *(int32_t*)arguments[3] : 0;
  return per_block ? rounds * per_block : count * 2 / (FREE_COPY * blocks) * 1e9;
}

int cuLaunchKernelEx(const Configuration* how, void* function, void** arguments, void** extra) {
  Launch* launch = (Launch*)dlsym(RTLD_DEFAULT, "pretended_launch");
  if (!launch) return 1;
  Size grid = {how->grid_x, how->grid_y, how->grid_z};
  Size block = {how->block_x, how->block_y, how->block_z};
  copy(function, arguments);
  launch(function, grid, block, takes(function, how->grid_x, arguments), how->stream);
  return 0;
}
