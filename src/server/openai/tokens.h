// /tokenize, /detokenize, /tokenizer_info and /apply-template: what the model sees.
#pragma once

#include <span>

#include "server/fields.h"
#include "server/router.h"

namespace headgate {

std::span<const FieldRule> tokenize_rules();
std::span<const FieldRule> detokenize_rules();
std::span<const FieldRule> apply_template_rules();
void tokenize(Service& service, Call& call);
void detokenize(Service& service, Call& call);
void tokenizer_info(Service& service, Call& call);
void apply_template(Service& service, Call& call);

}  // namespace headgate
