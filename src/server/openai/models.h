// GET /v1/models and /v1/models/{id}.
#pragma once

#include "server/router.h"

namespace headgate {

void list_models(Service& service, Call& call);
void show_model(Service& service, Call& call);

}  // namespace headgate
