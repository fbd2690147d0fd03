// cuBLASLt: the same products; every one has an algorithm.
#include <cublasLt.h>
#include <dlfcn.h>

#include "state.h"

using namespace pretended;

// cuBLASLt's descriptions of matrices and products are the real library's, and need no GPU.

template <typename Value, typename Ask, typename Described, typename Which>
static Value ask(const char* function, Ask, Described described, Which which) {
  static void* library = dlopen("libcublasLt.so.13", RTLD_LAZY);
  auto* found = (Ask)dlsym(library, function);
  Value value = 0;
  size_t written;
  if (found) found(described, which, &value, sizeof value, &written);
  return value;
}

static uint64_t attribute(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t which) {
  return ask<uint64_t>("cublasLtMatrixLayoutGetAttribute", &cublasLtMatrixLayoutGetAttribute,
                       layout, which);
}

static int blocks_of(cublasLtMatmulDesc_t product) {
  int target = ask<int>("cublasLtMatmulDescGetAttribute", &cublasLtMatmulDescGetAttribute, product,
                        CUBLASLT_MATMUL_DESC_SM_COUNT_TARGET);
  return target ? target : MULTIPROCESSORS;
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
    cublasLtHandle_t, cublasLtMatmulDesc_t product, const void*, const void*,
    cublasLtMatrixLayout_t a,
    const void*, cublasLtMatrixLayout_t, const void*, const void*, cublasLtMatrixLayout_t, void*,
    cublasLtMatrixLayout_t d, const cublasLtMatmulAlgo_t*, void*, size_t, cudaStream_t stream) {
  double m = attribute(d, CUBLASLT_MATRIX_LAYOUT_ROWS);
  double n = attribute(d, CUBLASLT_MATRIX_LAYOUT_COLS);
  double values = (double)attribute(a, CUBLASLT_MATRIX_LAYOUT_ROWS) *
                  attribute(a, CUBLASLT_MATRIX_LAYOUT_COLS);
  Size size{m, n, m ? values / m : 0, blocks_of(product)};
  run_product("nvjet_hsh_128x256_64x4_2x1_v_bz_coopA_TNT", size, 2, stream);
  return CUBLAS_STATUS_SUCCESS;
}
