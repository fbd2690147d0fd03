// cuBLAS: products that take their roofline's time.
#include <algorithm>

#include "state.h"

using namespace pretended;

static thread_local cudaStream_t current;

int pretended::run_product(const char* name, Size size, double value_bytes, cudaStream_t stream) {
  auto [m, n, k] = size;
  Call call("cudaLaunchKernelExC", CUPTI_RUNTIME_TRACE_CBID_cudaLaunchKernelExC_v11060, true);
  double compute = 2 * m * n * k / settings().product_rate;
  double memory = (m * k + k * n + m * n) * value_bytes / settings().memory_rate;
  Activity activity{CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL};
  activity.name = name;
  activity.grid = dim3(132);
  activity.block = dim3(384);
  Nanoseconds takes = settings().kernel + std::max(compute, memory) * 1e9;
  enqueue(stream_of(stream), takes, call, activity);
  return 0;
}

static int product(const char* name, double m, double n, double k, double value_bytes) {
  return run_product(name, {m, n, k}, value_bytes, current);
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
EXPORT int cublasSetSmCountTarget(void*, int multiprocessors) {
  count("cublasSetSmCountTarget " + std::to_string(multiprocessors));
  return 0;
}
EXPORT int cublasGemmEx(void*, int, int, int m, int n, int k, ...) {
  return product("nvjet_hsh_128x256_64x4_2x1_v_bz_coopA_TNT", m, n, k, 2);
}
EXPORT int cublasSgemm_v2(void*, int, int, int m, int n, int k, ...) {
  return product("sm90_xmma_gemm_f32f32_tf32f32_f32", m, n, k, 4);
}
EXPORT int cublasDgemm_v2(void*, int, int, int m, int n, int k, ...) {
  return product("sm90_xmma_gemm_f64f64_f64f64_f64", m, n, k, 8);
}
EXPORT int cublasSgemmEx(void*, int, int, int m, int n, int k, ...) {
  return product("sm90_xmma_gemm_bf16bf16_bf16f32_f32", m, n, k, 2);
}
EXPORT int cublasGemmStridedBatchedEx(void*, int, int, int m, int n, int k, ...) {
  return product("nvjet_hsh_128x256_64x4_2x1_v_bz_coopA_TNT", m, n, k, 2);
}
EXPORT int cublasSgemmStridedBatched(void*, int, int, int m, int n, int k, ...) {
  return product("sm90_xmma_gemm_f32f32_tf32f32_f32", m, n, k, 4);
}
