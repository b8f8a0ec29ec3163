// The list of backends.
#include "backend/backend.h"
#include "backend/cpu/cpu_backend.h"
#include "base/error.h"

namespace headgate {

std::unique_ptr<Backend> open_backend(const BackendOptions& options) {
  if (options.device == "cpu") return std::make_unique<CpuBackend>(options);
  fail(ErrorCode::kInvalidArgument, "device: '{}', expected 'cpu'", options.device);
}

}  // namespace headgate
