// Endpoints about the server itself: health, readiness, version, metrics, live status, OpenAPI.
#pragma once

#include "server/router.h"

namespace headgate {

void show_load(Service& service, Call& call);
void show_health(Service& service, Call& call);
void show_ready(Service& service, Call& call);
void show_version(Service& service, Call& call);
void show_metrics(Service& service, Call& call);
void show_status(Service& service, Call& call);
void show_openapi(Service& service, Call& call);

}  // namespace headgate
