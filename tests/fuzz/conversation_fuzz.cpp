// Fuzzes the reader of conversations: any line gives text with a mask, or one Error.
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "data/conversation.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const headgate::json::value line =
        headgate::parse_json({reinterpret_cast<const char*>(data), size}, "line");
    if (!line.is_object()) return 0;
    const headgate::Conversation conversation =
        headgate::conversation_from_json(line.as_object(), "line");
    for (const headgate::Segment& segment : headgate::conversation_segments(conversation))
      HEADGATE_CHECK(!segment.target || !segment.text.empty());
    headgate::conversation_prompt(conversation);
  } catch (const headgate::Error&) {
  }
  return 0;
}
