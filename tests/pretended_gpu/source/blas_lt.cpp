// cuBLASLt: the same products; every one has an algorithm.
#include <cublasLt.h>
#include <dlfcn.h>

#include "state.h"

using namespace pretended;

// cuBLASLt's descriptions of matrices are the real library's, and need no GPU.

static uint64_t attribute(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t which) {
  static void* library = dlopen("libcublasLt.so.13", RTLD_LAZY);
  static auto* ask = (decltype(&cublasLtMatrixLayoutGetAttribute))dlsym(
      library, "cublasLtMatrixLayoutGetAttribute");
  uint64_t value = 0;
  size_t written;
  if (ask) ask(layout, which, &value, sizeof value, &written);
  return value;
}

EXPORT cublasStatus_t cublasLtMatmulAlgoGetHeuristic(
    cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
    cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, cublasLtMatmulPreference_t, int,
    cublasLtMatmulHeuristicResult_t results[], int* found) {
  results[0] = {};
  *found = 1;
  return CUBLAS_STATUS_SUCCESS;
}
EXPORT cublasStatus_t cublasLtMatmul(
    cublasLtHandle_t, cublasLtMatmulDesc_t, const void*, const void*, cublasLtMatrixLayout_t a,
    const void*, cublasLtMatrixLayout_t, const void*, const void*, cublasLtMatrixLayout_t, void*,
    cublasLtMatrixLayout_t d, const cublasLtMatmulAlgo_t*, void*, size_t, cudaStream_t stream) {
  double m = attribute(d, CUBLASLT_MATRIX_LAYOUT_ROWS);
  double n = attribute(d, CUBLASLT_MATRIX_LAYOUT_COLS);
  double values = (double)attribute(a, CUBLASLT_MATRIX_LAYOUT_ROWS) *
                  attribute(a, CUBLASLT_MATRIX_LAYOUT_COLS);
  Size size{m, n, m ? values / m : 0};
  run_product("nvjet_hsh_128x256_64x4_2x1_v_bz_coopA_TNT", size, 2, stream);
  return CUBLAS_STATUS_SUCCESS;
}
