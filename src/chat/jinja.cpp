// Compiling and rendering a template.
#include "chat/jinja.h"

#include "base/error.h"
#include "base/utf8.h"
#include "chat/jinja_ast.h"
#include "chat/jinja_interpreter.h"

namespace headgate::jinja {
namespace {

constexpr size_t kMaxSourceBytes = size_t{512} << 10;

}  // namespace

Template::Template(std::string_view source, std::string name) : name_(std::move(name)) {
  if (source.size() > kMaxSourceBytes) {
    fail(ErrorCode::kResourceExhausted, "{}: template of {} bytes, expected at most {}", name_,
         source.size(), kMaxSourceBytes);
  }
  if (!is_valid_utf8(source)) fail(ErrorCode::kInvalidFile, "{}: invalid UTF-8", name_);
  ast_ = std::make_unique<Ast>(parse_template(source, name_));
}

Template::~Template() = default;
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;

std::string Template::render(const json::object& variables, std::time_t now,
                             const Limits& limits) const {
  Runtime runtime(name_, limits, now);
  Interpreter interpreter(*ast_, runtime);
  return interpreter.render(variables);
}

}  // namespace headgate::jinja
