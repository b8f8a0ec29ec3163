// The files of the web page, inside the binary.
#pragma once

#include <string>
#include <string_view>

#include "server/http/message.h"

namespace headgate {

struct WebAsset {
  std::string_view url;
  std::string_view content_type;
  std::string_view bytes;
};

// nullptr when there is no such file.
const WebAsset* find_web_asset(std::string_view url);

// With the headers that the page needs, or 304 when the client has it already.
HttpResponse web_asset_response(const WebAsset& asset, const HttpRequest& request);

}  // namespace headgate
