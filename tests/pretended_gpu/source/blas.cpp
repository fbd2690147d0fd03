// cuBLAS: products that take their roofline's time.
#include <algorithm>

#include "state.h"

using namespace pretended;

static thread_local cudaStream_t current;

int pretended::run_product(const char* name, Size size, double value_bytes, cudaStream_t stream) {
  auto [m, n, k, blocks] = size;
  Call call("cudaLaunchKernelExC", CUPTI_RUNTIME_TRACE_CBID_cudaLaunchKernelExC_v11060, true);
  double compute = 2 * m * n * k / settings().product_rate * MULTIPROCESSORS / blocks;
  double memory = (m * k + k * n + m * n) * value_bytes / settings().memory_rate;
  Activity activity{CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL};
  activity.name = name;
  activity.grid = dim3(blocks);
  activity.block = dim3(384);
  count("products of " + std::to_string(blocks) + " blocks");
  Nanoseconds takes = settings().kernel + std::max(compute, memory) * 1e9;
  enqueue(stream_of(stream), takes, call, activity, {Use::PRODUCT, blocks});
  return 0;
}

static std::map<void*, int>& targets() {
  static auto* all = new std::map<void*, int>;  // by handle; 0: all multiprocessors
  return *all;
}

static int product(void* handle, const char* name, double m, double n, double k,
                   double value_bytes) {
  Size size{m, n, k};
  {
    Lock lock(mutex());
    if (int target = targets()[handle]) size.blocks = target;
  }
  return run_product(name, size, value_bytes, current);
}

EXPORT int cublasCreate_v2(void** handle) {
  static uint64_t last = 0x1000;
  Lock lock(mutex());
  *handle = (void*)++last;
  return 0;
}
EXPORT int cublasDestroy_v2(void*) { return 0; }
EXPORT int cublasSetStream_v2(void*, cudaStream_t stream) {
  current = stream;
  return 0;
}
EXPORT int cublasSetWorkspace_v2(void*, void*, size_t) { return 0; }
EXPORT int cublasSetMathMode(void*, int) { return 0; }
EXPORT int cublasGetMathMode(void*, int* mode) {
  *mode = 0;
  return 0;
}
EXPORT int cublasSetPointerMode_v2(void*, int) { return 0; }
EXPORT int cublasGetPointerMode_v2(void*, int* mode) {
  *mode = 0;
  return 0;
}
EXPORT int cublasSetSmCountTarget(void* handle, int multiprocessors) {
  Lock lock(mutex());
  targets()[handle] = multiprocessors;
  count("cublasSetSmCountTarget " + std::to_string(multiprocessors));
  return 0;
}
EXPORT int cublasGemmEx(void* handle, int, int, int m, int n, int k, ...) {
  return product(handle, "nvjet_hsh_128x256_64x4_2x1_v_bz_coopA_TNT", m, n, k, 2);
}
EXPORT int cublasSgemm_v2(void* handle, int, int, int m, int n, int k, ...) {
  return product(handle, "sm90_xmma_gemm_f32f32_tf32f32_f32", m, n, k, 4);
}
EXPORT int cublasDgemm_v2(void* handle, int, int, int m, int n, int k, ...) {
  return product(handle, "sm90_xmma_gemm_f64f64_f64f64_f64", m, n, k, 8);
}
EXPORT int cublasSgemmEx(void* handle, int, int, int m, int n, int k, ...) {
  return product(handle, "sm90_xmma_gemm_bf16bf16_bf16f32_f32", m, n, k, 2);
}
EXPORT int cublasGemmStridedBatchedEx(void* handle, int, int, int m, int n, int k, ...) {
  return product(handle, "nvjet_hsh_128x256_64x4_2x1_v_bz_coopA_TNT", m, n, k, 2);
}
EXPORT int cublasSgemmStridedBatched(void* handle, int, int, int m, int n, int k, ...) {
  return product(handle, "sm90_xmma_gemm_f32f32_tf32f32_f32", m, n, k, 4);
}
