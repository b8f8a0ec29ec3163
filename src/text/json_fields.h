// Typed access to JSON fields, with errors that name the file and the field.
#pragma once

#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/json.h"

namespace headgate {

// One JSON object of a file. Absent fields and null are the same.
class JsonFields {
 public:
  // `where` names the object in errors ("tokenizer.json: model"); both must outlive this.
  JsonFields(const json::value& value, std::string_view where) : where_(where) {
    object_ = value.if_object();
    if (!object_) fail(ErrorCode::kInvalidFile, "{}: expected an object", where);
  }

  const json::value* find(std::string_view name) const {
    const json::value* value = object_->if_contains(name);
    return value && !value->is_null() ? value : nullptr;
  }
  const json::value& require(std::string_view name) const {
    const json::value* value = find(name);
    if (!value) fail(ErrorCode::kInvalidFile, "{}: no \"{}\"", where_, name);
    return *value;
  }
  bool boolean(std::string_view name, bool otherwise) const {
    const json::value* value = find(name);
    if (!value) return otherwise;
    if (!value->is_bool()) {
      fail(ErrorCode::kInvalidFile, "{}: \"{}\" is not true or false", where_, name);
    }
    return value->get_bool();
  }
  // Empty when absent.
  std::string_view text(std::string_view name) const {
    const json::value* value = find(name);
    if (!value) return {};
    if (!value->is_string())
      fail(ErrorCode::kInvalidFile, "{}: \"{}\" is not a string", where_, name);
    return value->get_string();
  }

 private:
  const json::object* object_;
  std::string_view where_;
};

// A token id: an integer from 0 to 2^31 - 2.
inline int32_t json_token_id(const json::value& value, std::string_view where,
                             std::string_view what) {
  const int64_t* id = value.if_int64();
  if (!id || *id < 0 || *id >= 0x7fffffff) {
    fail(ErrorCode::kInvalidFile,
         "{}: id of \"{}\" is {}, expected an integer from 0 to 2147483646", where, what,
         dump_json(value));
  }
  return static_cast<int32_t>(*id);
}

}  // namespace headgate
