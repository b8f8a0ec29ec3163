// Reading of prompts.
#include "server/openai/prompts.h"

#include "base/error.h"
#include "server/api_error.h"
#include "server/fields.h"

namespace headgate {
namespace {

std::vector<int32_t> read_ids(const json::array& list, int64_t vocabulary,
                              const std::string& field) {
  std::vector<int32_t> ids;
  ids.reserve(list.size());
  for (const json::value& item : list) {
    const int64_t* id = item.if_int64();
    if (id == nullptr || *id < 0 || *id >= vocabulary)
      refuse_field(field, "{}: expected token ids from 0 to {}", field, vocabulary - 1);
    ids.push_back(static_cast<int32_t>(*id));
  }
  return ids;
}

std::vector<int32_t> read_prompt(const json::value& value, const ServedModel& model,
                                 const std::string& field) {
  const int64_t vocabulary = model.engine->model().config().vocabulary;
  std::vector<int32_t> ids;
  if (value.is_string()) {
    ids = model.tokenizer->encode(text_view(value.get_string()));
  } else if (value.is_array()) {
    ids = read_ids(value.get_array(), vocabulary, field);
  } else {
    refuse_field(field, "{}: expected a text, token ids, or an array of either", field);
  }
  // A model needs one token to go on from; what a document begins with is the natural one.
  if (ids.empty()) {
    const auto first = model.tokenizer->bos_id();
    const std::vector<int32_t>& ends = model.tokenizer->eos_ids();
    if (!first && ends.empty())
      refuse_field(field, "{}: empty, expected at least one token", field);
    ids.push_back(first ? *first : ends.front());
  }
  return ids;
}

}  // namespace

Prompts read_prompts(const json::value& value, const ServedModel& model, const std::string& field,
                     int64_t most) {
  Prompts prompts;
  const json::array* list = value.if_array();
  const bool many = list != nullptr && !list->empty() && !(*list)[0].is_number();
  if (!many) return {read_prompt(value, model, field)};
  if (static_cast<int64_t>(list->size()) > most)
    refuse_field(field, "{}: found {} prompts, expected at most {}", field, list->size(), most);
  for (const json::value& item : *list) {
    if (item.is_number()) refuse_field(field, "{}: mixes token ids with texts", field);
    prompts.push_back(read_prompt(item, model, field));
  }
  return prompts;
}

}  // namespace headgate
