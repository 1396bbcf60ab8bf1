// The functions of cuBLAS and NCCL whose answers LibTorch looks at, or whose stream matters.
#include <cublasLt.h>
#include <cublas_v2.h>
#include <nccl.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "device.h"

using namespace pretended;

struct cublasContext {
  cudaStream_t stream;
};

struct ncclComm {
  int device;
};

namespace {

/// Large enough for any of cuBLASLt's descriptions, which nobody reads.
template <class Description>
cublasStatus_t describe(Description** description) {
  *description = static_cast<Description*>(std::calloc(1, 256));
  return *description ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_ALLOC_FAILED;
}

template <class Description>
cublasStatus_t forget(Description* description) {
  std::free(description);
  return CUBLAS_STATUS_SUCCESS;
}

ncclResult_t connect(ncclComm_t* channel) {
  needs_context("ncclCommInitRank");
  *channel = new ncclComm{current_device()};
  return ncclSuccess;
}

ncclResult_t disconnect(ncclComm_t channel) {
  delete channel;
  return ncclSuccess;
}

ncclResult_t exchange(const char* what, cudaStream_t stream) {
  launched_collective(what, stream);
  return ncclSuccess;
}

}  // namespace

extern "C" {

/// What the generated functions for products and for waits call.
int pretended_product(const char* name, cublasHandle_t handle) {
  launched(name, handle->stream);
  return 0;
}

int pretended_wait(const char* name) {
  waited(name);
  return 0;
}

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  if (forbidden_while_recording("cublasCreate") != cudaSuccess) return CUBLAS_STATUS_NOT_INITIALIZED;
  *handle = new cublasContext{nullptr};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                              cublasLtMatmulPreference_t, int,
                                              cublasLtMatmulHeuristicResult_t results[], int* count) {
  std::memset(results, 0, sizeof *results);
  *count = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t, const void*, const void*, cublasLtMatrixLayout_t,
                              const void*, cublasLtMatrixLayout_t, const void*, const void*, cublasLtMatrixLayout_t,
                              void*, cublasLtMatrixLayout_t, const cublasLtMatmulAlgo_t*, void*, size_t,
                              cudaStream_t stream) {
  launched("cublasLtMatmul", stream);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* description, cublasComputeType_t, cudaDataType_t) {
  return describe(description);
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t description) {
  return forget(description);
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType, uint64_t, uint64_t, int64_t) {
  return describe(layout);
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  return forget(layout);
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  return describe(preference);
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  return forget(preference);
}

ncclResult_t ncclGetVersion(int* version) {
  *version = NCCL_VERSION_CODE;
  return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  std::memset(id, 1, sizeof *id);
  return ncclSuccess;
}

ncclResult_t ncclCommInitRank(ncclComm_t* channel, int, ncclUniqueId, int) {
  return connect(channel);
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* channel, int, ncclUniqueId, int, ncclConfig_t*) {
  return connect(channel);
}

ncclResult_t ncclCommInitRankScalable(ncclComm_t* channel, int, int, int, ncclUniqueId*, ncclConfig_t*) {
  return connect(channel);
}

ncclResult_t ncclCommDestroy(ncclComm_t channel) {
  return disconnect(channel);
}

ncclResult_t ncclCommAbort(ncclComm_t channel) {
  return disconnect(channel);
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t, ncclResult_t* result) {
  *result = ncclSuccess;
  return ncclSuccess;
}

ncclResult_t ncclAllReduce(const void*, void*, size_t, ncclDataType_t, ncclRedOp_t, ncclComm_t, cudaStream_t stream) {
  return exchange("ncclAllReduce", stream);
}

ncclResult_t ncclBroadcast(const void*, void*, size_t, ncclDataType_t, int, ncclComm_t, cudaStream_t stream) {
  return exchange("ncclBroadcast", stream);
}

ncclResult_t ncclBcast(void*, size_t, ncclDataType_t, int, ncclComm_t, cudaStream_t stream) {
  return exchange("ncclBcast", stream);
}

ncclResult_t ncclAllGather(const void*, void*, size_t, ncclDataType_t, ncclComm_t, cudaStream_t stream) {
  return exchange("ncclAllGather", stream);
}

ncclResult_t ncclReduceScatter(const void*, void*, size_t, ncclDataType_t, ncclRedOp_t, ncclComm_t,
                               cudaStream_t stream) {
  return exchange("ncclReduceScatter", stream);
}

}  // extern "C"
