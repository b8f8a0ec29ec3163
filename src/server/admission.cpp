// Checks before a request's body is read.
#include "server/admission.h"

#include <algorithm>

#include "control/key_store.h"

namespace headgate {
namespace {

constexpr int kFreeFailures = 20;  // wrong keys that one address may try in a minute
constexpr auto kFailureWindow = std::chrono::seconds(60);
constexpr size_t kMostAddresses = 10000;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

// "host:port" of "http://host:port".
std::string authority_of(std::string_view origin) {
  const size_t scheme = origin.find("://");
  return scheme == std::string_view::npos ? std::string() : lower(origin.substr(scheme + 3));
}

KeyScope key_scope(Scope scope) {
  switch (scope) {
    case Scope::kMetrics:
      return KeyScope::kMetrics;
    case Scope::kAdmin:
      return KeyScope::kAdmin;
    default:
      return KeyScope::kInference;
  }
}

}  // namespace

std::string_view key_of_request(const HttpRequest& request) {
  const std::string_view authorization = request.header("authorization");
  if (authorization.size() > 7 && lower(authorization.substr(0, 7)) == "bearer ")
    return authorization.substr(7);
  return request.header("x-api-key");
}

std::string host_name(std::string_view host_header) {
  std::string_view name = host_header;
  if (!name.empty() && name[0] == '[') {
    const size_t close = name.find(']');
    name = close == std::string_view::npos ? std::string_view() : name.substr(1, close - 1);
  } else if (const size_t colon = name.rfind(':'); colon != std::string_view::npos) {
    name = name.substr(0, colon);
  }
  if (!name.empty() && name.back() == '.') name.remove_suffix(1);
  return lower(name);
}

bool is_loopback_host(const std::string& host) {
  return host == "localhost" || host == "::1" || host.rfind("127.", 0) == 0;
}

void check_exposure(const ServerOptions& options, const KeyStore* keys, bool insecure) {
  if (is_loopback_host(options.http.host) || insecure) return;
  if (keys != nullptr && keys->has_active_keys()) return;
  fail(ErrorCode::kInvalidArgument,
       "{}: other machines could use this server, and there is no API key: make one with "
       "`headgate keys create NAME`, or stay with --host 127.0.0.1, or say --insecure",
       options.http.host);
}

Admission::Admission(const ServerOptions& options, const KeyStore* keys)
    : keys_(keys),
      require_keys_(options.require_keys),
      check_hosts_(is_loopback_host(options.http.host) || !options.allowed_hosts.empty()),
      origins_(options.cors_origins) {
  for (const std::string& host : options.allowed_hosts) hosts_.push_back(lower(host));
  if (is_loopback_host(options.http.host))
    hosts_.insert(hosts_.end(), {"localhost", "127.0.0.1", "::1", lower(options.http.host)});
}

// A page of another site whose name was made to mean this address (DNS rebinding) still says its
// own name in Host; a form or script of another site says its own in Origin.
void Admission::check_origin(const HttpRequest& request) const {
  const std::string_view host = request.header("host");
  if (check_hosts_ && !host.empty() &&
      std::find(hosts_.begin(), hosts_.end(), host_name(host)) == hosts_.end()) {
    throw ApiError(
        421, "wrong_host",
        "this server is not known under the name in the Host header; see --allowed-host");
  }
  const std::string_view origin = request.header("origin");
  if (origin.empty() || !allowed_origin(request).empty()) return;
  if (authority_of(origin) == lower(host)) return;
  if (request.method == "GET" || request.method == "HEAD")
    return;  // its page cannot read the answer
  throw ApiError(403, "cross_origin",
                 "pages of another origin may not call this server; see --cors-origin");
}

std::string Admission::allowed_origin(const HttpRequest& request) const {
  const std::string_view origin = request.header("origin");
  if (origin.empty()) return {};
  for (const std::string& allowed : origins_)
    if (allowed == origin) return std::string(origin);
  return {};
}

bool Admission::too_many_failures(const std::string& peer) {
  const auto found = failures_.find(peer);
  if (found == failures_.end()) return false;
  if (Clock::now() - found->second.since > kFailureWindow) {
    failures_.erase(found);
    return false;
  }
  return found->second.count >= kFreeFailures;
}

void Admission::note_failure(const std::string& peer) {
  if (failures_.size() >= kMostAddresses) failures_.clear();
  Failures& entry = failures_[peer];
  if (entry.count++ == 0) entry.since = Clock::now();
}

std::string Admission::check_key(const HttpRequest& request, Scope scope) {
  if (scope == Scope::kPublic || !require_keys_) return {};
  const std::string_view secret = key_of_request(request);
  // Valid keys pass even while others guess from the same address.
  const std::optional<KeyInfo> key =
      keys_ != nullptr && !secret.empty() ? keys_->find(secret) : std::nullopt;
  if (!key) {
    if (secret.empty())
      throw ApiError(401, "missing_api_key",
                     "this server needs an API key: Authorization: Bearer hg_...");
    if (too_many_failures(request.peer))
      throw ApiError(429, "too_many_wrong_keys", "too many wrong API keys from this address")
          .retry_after(30);
    note_failure(request.peer);
    throw ApiError(401, "invalid_api_key",
                   "this API key is not known here, has expired or was revoked");
  }
  if (scope != Scope::kAnyKey && !key->allows(key_scope(scope))) {
    throw ApiError(
        403, "insufficient_scope",
        fmt::format("this API key lacks the scope \"{}\"", key_scope_name(key_scope(scope))));
  }
  return key->id;
}

}  // namespace headgate
