// Validity of a value under a schema, keyword by keyword: plain, for constants and for tests.
#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "base/utf8.h"
#include "grammar/character_sets.h"
#include "grammar/schema_document.h"

namespace headgate {
namespace {

int64_t characters(std::string_view text) {
  int64_t count = 0;
  for (const char c : text) count += (static_cast<uint8_t>(c) & 0xc0) != 0x80 ? 1 : 0;
  return count;
}

bool is_whole(const json::value& value) {
  if (value.is_int64() || value.is_uint64()) return true;
  if (!value.is_double()) return false;
  const double number = value.get_double();
  return std::isfinite(number) && number == std::floor(number);
}

bool has_type(const json::value& value, std::string_view type) {
  if (type == "null") return value.is_null();
  if (type == "boolean") return value.is_bool();
  if (type == "integer") return is_whole(value);
  if (type == "number") return value.is_number();
  if (type == "string") return value.is_string();
  if (type == "array") return value.is_array();
  return value.is_object();
}

double number_of(const json::value* value, double otherwise) {
  return value != nullptr && value->is_number() ? value->to_number<double>() : otherwise;
}

class Checker {
 public:
  Checker(SchemaDocument& document, const json::value* listed, const json::value& value)
      : document_(document), listed_(listed), whole_(&value) {}

  bool check(const json::value& schema, const json::value& value) {
    if (schema.is_bool()) return schema.get_bool();
    if (++depth_ > kMostNesting) {
      fail(ErrorCode::kInvalidArgument, "{}: references lead in circles", document_.source());
    }
    document_.budget().spend(10);
    const bool valid = check_choices(schema, value) && check_type(schema, value) &&
                       check_number(schema, value) && check_text(schema, value) &&
                       check_array(schema, value) && check_object(schema, value);
    --depth_;
    return valid;
  }

 private:
  bool check_choices(const json::value& schema, const json::value& value) {
    if (const json::value* reference = keyword(schema, "$ref")) {
      if (!check(document_.resolve(schema, view_of(reference->get_string())), value)) return false;
    }
    const auto count = [&](const json::array& branches) {
      return std::count_if(branches.begin(), branches.end(),
                           [&](const json::value& branch) { return check(branch, value); });
    };
    if (const json::array* all = array_keyword(schema, "allOf"))
      if (count(*all) != static_cast<ptrdiff_t>(all->size())) return false;
    if (const json::array* any = array_keyword(schema, "anyOf"))
      if (count(*any) == 0) return false;
    if (const json::array* one = array_keyword(schema, "oneOf"))
      if (count(*one) != 1) return false;
    const json::value* other = keyword(schema, "not");
    return other == nullptr || !check(*other, value);
  }

  bool check_type(const json::value& schema, const json::value& value) {
    if (const json::value* type = keyword(schema, "type")) {
      const json::value* nullable = keyword(schema, "nullable");
      bool fits = nullable != nullptr && nullable->get_bool() && value.is_null();
      if (type->is_string()) {
        fits = fits || has_type(value, view_of(type->get_string()));
      } else {
        for (const json::value& one : type->get_array())
          fits = fits || has_type(value, view_of(one.get_string()));
      }
      if (!fits) return false;
    }
    if (&schema == listed_ && &value == whole_) return true;
    if (const json::value* constant = keyword(schema, "const"))
      if (!same_json(*constant, value)) return false;
    const json::array* list = array_keyword(schema, "enum");
    if (list != nullptr) document_.budget().spend(static_cast<int64_t>(list->size()));
    return list == nullptr || std::any_of(list->begin(), list->end(), [&](const json::value& item) {
             return same_json(item, value);
           });
  }

  bool check_number(const json::value& schema, const json::value& value) {
    if (!value.is_number()) return true;
    const double number = value.to_number<double>();
    const double low = number_of(keyword(schema, "minimum"), -INFINITY);
    const double high = number_of(keyword(schema, "maximum"), INFINITY);
    const auto flag = [&](const char* name) {
      const json::value* found = keyword(schema, name);
      return found != nullptr && found->is_bool() && found->get_bool();
    };
    if (number < low || (number == low && flag("exclusiveMinimum"))) return false;
    if (number > high || (number == high && flag("exclusiveMaximum"))) return false;
    if (number <= number_of(keyword(schema, "exclusiveMinimum"), -INFINITY)) return false;
    if (number >= number_of(keyword(schema, "exclusiveMaximum"), INFINITY)) return false;
    const double step = number_of(keyword(schema, "multipleOf"), 0);
    if (step == 0) return true;
    const double turns = number / step;
    return std::fabs(turns - std::round(turns)) <= 1e-9 * std::max(1.0, std::fabs(turns));
  }

  bool check_text(const json::value& schema, const json::value& value) {
    if (!value.is_string()) return true;
    const std::string_view text = view_of(value.get_string());
    const auto length = static_cast<double>(characters(text));
    if (length < number_of(keyword(schema, "minLength"), 0)) return false;
    if (length > number_of(keyword(schema, "maxLength"), INFINITY)) return false;
    if (const json::value* pattern = keyword(schema, "pattern"))
      if (!contains_text(document_.pattern(view_of(pattern->get_string())), text)) return false;
    if (const json::value* name = keyword(schema, "format")) {
      const Dfa* format = document_.format(view_of(name->get_string()));
      if (format != nullptr && !contains_text(*format, text)) return false;
    }
    return true;
  }

  bool check_array(const json::value& schema, const json::value& value) {
    const json::array* array = value.if_array();
    if (array == nullptr) return true;
    const auto size = static_cast<double>(array->size());
    if (size < number_of(keyword(schema, "minItems"), 0)) return false;
    if (size > number_of(keyword(schema, "maxItems"), INFINITY)) return false;
    const ItemSchemas items = item_schemas(schema);
    for (size_t i = 0; i < array->size(); ++i) {
      const json::value* own =
          items.prefix != nullptr && i < items.prefix->size() ? &(*items.prefix)[i] : items.rest;
      if (own != nullptr && !check(*own, (*array)[i])) return false;
    }
    return true;
  }

  bool check_object(const json::value& schema, const json::value& value) {
    const json::object* object = value.if_object();
    if (object == nullptr) return true;
    const auto size = static_cast<double>(object->size());
    if (size < number_of(keyword(schema, "minProperties"), 0)) return false;
    if (size > number_of(keyword(schema, "maxProperties"), INFINITY)) return false;
    const auto has_all = [&](const json::array& names) {
      return std::all_of(names.begin(), names.end(), [&](const json::value& name) {
        return object->contains(name.get_string());
      });
    };
    if (const json::array* required = array_keyword(schema, "required"))
      if (!has_all(*required)) return false;
    for (const char* by : {"dependentRequired", "dependencies"}) {
      const json::object* wanted = object_keyword(schema, by);
      if (wanted == nullptr) continue;
      for (const auto& [name, names] : *wanted)
        if (object->contains(name) && !has_all(names.get_array())) return false;
    }
    return std::all_of(object->begin(), object->end(), [&](const json::key_value_pair& entry) {
      return check_property(schema, entry.key(), entry.value());
    });
  }

  bool check_property(const json::value& schema, std::string_view name, const json::value& value) {
    const json::value* names = keyword(schema, "propertyNames");
    if (names != nullptr && !check(*names, json::value(json::string(name)))) return false;
    bool known = false;
    const json::object* properties = object_keyword(schema, "properties");
    if (const json::value* own = properties != nullptr ? properties->if_contains(name) : nullptr) {
      known = true;
      if (!check(*own, value)) return false;
    }
    if (const json::object* patterns = object_keyword(schema, "patternProperties")) {
      for (const auto& [pattern, own] : *patterns) {
        if (!contains_text(document_.pattern(pattern), name)) continue;
        known = true;
        if (!check(own, value)) return false;
      }
    }
    const json::value* others = other_properties(schema);
    return known || others == nullptr || check(*others, value);
  }

  SchemaDocument& document_;
  const json::value* listed_;
  const json::value* whole_;
  int depth_ = 0;
};

}  // namespace

bool is_valid(SchemaDocument& document, const json::value& schema, const json::value& value,
              const json::value* listed) {
  return Checker(document, listed, value).check(schema, value);
}

bool same_json(const json::value& a, const json::value& b) {
  if (a.is_number() && b.is_number()) {
    if (a.is_double() || b.is_double()) return a.to_number<double>() == b.to_number<double>();
    return a == b;
  }
  if (a.is_array() && b.is_array()) {
    const json::array &x = a.get_array(), &y = b.get_array();
    return std::equal(x.begin(), x.end(), y.begin(), y.end(), same_json);
  }
  if (a.is_object() && b.is_object()) {
    const json::object &x = a.get_object(), &y = b.get_object();
    if (x.size() != y.size()) return false;
    return std::all_of(x.begin(), x.end(), [&](const json::key_value_pair& entry) {
      const json::value* other = y.if_contains(entry.key());
      return other != nullptr && same_json(entry.value(), *other);
    });
  }
  return a == b;
}

}  // namespace headgate
