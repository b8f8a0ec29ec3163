// POST /v1/embeddings: pooled hidden states of texts.
#pragma once

#include <span>

#include "server/fields.h"
#include "server/router.h"

namespace headgate {

std::span<const FieldRule> embedding_rules();
void create_embeddings(Service& service, Call& call);

}  // namespace headgate
