// Names of endings and sums of drafts.
#include "engine/outcome.h"

#include <numeric>

namespace headgate {

int64_t DraftStats::total_drafted() const {
  return std::accumulate(drafted.begin(), drafted.end(), int64_t{0});
}

int64_t DraftStats::total_accepted() const {
  return std::accumulate(accepted.begin(), accepted.end(), int64_t{0});
}

std::string_view finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kContext:
      return "context";
    case FinishReason::kCancelled:
      return "cancelled";
    case FinishReason::kDeadline:
      return "deadline";
    case FinishReason::kFailed:
      return "error";
  }
  return "stop";
}

}  // namespace headgate
