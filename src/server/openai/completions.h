// POST /v1/completions: texts and token ids continued as they are.
#pragma once

#include <span>

#include "server/fields.h"
#include "server/router.h"

namespace headgate {

std::span<const FieldRule> completion_rules();
void completions(Service& service, Call& call);

}  // namespace headgate
