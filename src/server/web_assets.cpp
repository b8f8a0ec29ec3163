// Serving of embedded files. The table is made by embed_assets.cmake.
#include "server/web_assets.h"

#include <cstddef>
#include <span>

#include "control/secret.h"
#include "server/web_asset_table.h"

namespace headgate {
namespace {

// Nothing from elsewhere, nothing inline; what a model wrote can become no script.
constexpr const char* kPagePolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src "
    "'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types dompurify";

}  // namespace

const WebAsset* find_web_asset(std::string_view url) {
  for (const WebAsset& asset : web_asset_table())
    if (asset.url == url) return &asset;
  return nullptr;
}

HttpResponse web_asset_response(const WebAsset& asset, const HttpRequest& request) {
  HttpResponse response;
  const std::string tag = "\"" + sha256_hex(asset.bytes).substr(0, 32) + "\"";
  response.headers = {
      {"etag", tag}, {"cache-control", "no-cache"}, {"content-security-policy", kPagePolicy}};
  if (request.header("if-none-match") == tag) {
    response.status = 304;
    response.content_type.clear();
    return response;
  }
  response.content_type = std::string(asset.content_type);
  if (asset.content_type.starts_with("text/")) response.content_type += "; charset=utf-8";
  response.body = std::string(asset.bytes);
  return response;
}

}  // namespace headgate
