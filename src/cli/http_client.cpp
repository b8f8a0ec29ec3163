// The only file that includes libcurl.
#include "cli/http_client.h"

#include <curl/curl.h>

#include <cstdlib>

#include "base/error.h"
#include "base/file.h"

namespace headgate {
namespace {

constexpr size_t kAnswerBytes = size_t{64} << 20;

// The server's own words, where its answer has the usual form.
std::string message_of(const std::string& body, long status) {
  try {
    const json::value value = parse_json(body, "answer");
    const json::value& message = value.at("error").at("message");
    return {message.as_string().data(), message.as_string().size()};
  } catch (const std::exception&) {
    return fmt::format("HTTP status {}", status);
  }
}

[[noreturn]] void fail_status(const std::string& url, long status, const std::string& body) {
  const ErrorCode code = status == 404                    ? ErrorCode::kNotFound
                         : status == 429 || status == 503 ? ErrorCode::kResourceExhausted
                                                          : ErrorCode::kInvalidArgument;
  fail(code, "{}: {}", url, message_of(body, status));
}

}  // namespace

struct HttpClient::Data {
  std::string url, key;
  CURL* curl = nullptr;
  curl_slist* headers = nullptr;
  std::string body;     // of an answer that is no stream
  std::string pending;  // of a stream: the line that is not complete yet
  const std::function<void(std::string_view)>* on_event = nullptr;
  const std::function<bool()>* stop = nullptr;

  ~Data() {
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
  }

  bool streams() const {
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return on_event != nullptr && status == 200;
  }

  void take_lines() {
    for (size_t end = pending.find('\n'); end != std::string::npos; end = pending.find('\n')) {
      std::string line = pending.substr(0, end);
      pending.erase(0, end + 1);
      if (!line.empty() && line.back() == '\r') line.pop_back();
      if (line.rfind("data: ", 0) == 0 && line != "data: [DONE]")
        (*on_event)(std::string_view(line).substr(6));
    }
  }

  static size_t receive(char* bytes, size_t size, size_t count, void* self) {
    Data& d = *static_cast<Data*>(self);
    std::string& target = d.streams() ? d.pending : d.body;
    if (target.size() + size * count > kAnswerBytes) return 0;
    target.append(bytes, size * count);
    if (d.streams()) d.take_lines();
    return size * count;
  }

  static int progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    const Data& d = *static_cast<Data*>(self);
    return d.stop != nullptr && (*d.stop)() ? 1 : 0;
  }

  // False when `stop` said so.
  bool perform(const std::string& path) {
    body.clear();
    pending.clear();
    curl_easy_setopt(curl, CURLOPT_URL, (url + path).c_str());
    const CURLcode code = curl_easy_perform(curl);
    if (code == CURLE_ABORTED_BY_CALLBACK) return false;
    if (code != CURLE_OK) fail(ErrorCode::kIo, "{}: {}", url, curl_easy_strerror(code));
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) fail_status(url, status, body);
    return true;
  }
};

HttpClient::HttpClient(const std::string& url, const std::string& key)
    : data_(std::make_unique<Data>()) {
  Data& d = *data_;
  d.url = url;
  while (!d.url.empty() && d.url.back() == '/') d.url.pop_back();
  if (d.url.size() > 3 && d.url.compare(d.url.size() - 3, 3, "/v1") == 0)
    d.url.resize(d.url.size() - 3);
  if (d.url.rfind("http://", 0) != 0 && d.url.rfind("https://", 0) != 0)
    fail(ErrorCode::kInvalidArgument, "{}: expected http://HOST:PORT or https://HOST:PORT", url);
  curl_global_init(CURL_GLOBAL_DEFAULT);
  d.curl = curl_easy_init();
  if (d.curl == nullptr) fail(ErrorCode::kInternal, "libcurl cannot be set up");
  d.headers = curl_slist_append(d.headers, "Content-Type: application/json");
  if (!key.empty())
    d.headers = curl_slist_append(d.headers, ("Authorization: Bearer " + key).c_str());
  curl_easy_setopt(d.curl, CURLOPT_HTTPHEADER, d.headers);
  curl_easy_setopt(d.curl, CURLOPT_WRITEFUNCTION, &Data::receive);
  curl_easy_setopt(d.curl, CURLOPT_WRITEDATA, &d);
  curl_easy_setopt(d.curl, CURLOPT_XFERINFOFUNCTION, &Data::progress);
  curl_easy_setopt(d.curl, CURLOPT_XFERINFODATA, &d);
  curl_easy_setopt(d.curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(d.curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(d.curl, CURLOPT_CONNECTTIMEOUT, 10L);
}

HttpClient::~HttpClient() = default;

json::value HttpClient::get(const std::string& path) {
  Data& d = *data_;
  d.on_event = nullptr;
  d.stop = nullptr;
  curl_easy_setopt(d.curl, CURLOPT_HTTPGET, 1L);
  d.perform(path);
  return parse_json(d.body, d.url + path);
}

bool HttpClient::stream(const std::string& path, const json::value& body,
                        const std::function<void(std::string_view)>& on_event,
                        const std::function<bool()>& stop) {
  Data& d = *data_;
  d.on_event = &on_event;
  d.stop = &stop;
  const std::string text = dump_json(body);
  curl_easy_setopt(d.curl, CURLOPT_POST, 1L);
  curl_easy_setopt(d.curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(text.size()));
  curl_easy_setopt(d.curl, CURLOPT_COPYPOSTFIELDS, text.c_str());
  return d.perform(path);
}

const std::string& HttpClient::url() const { return data_->url; }

std::string client_key(const std::optional<std::string>& file) {
  if (file) {
    const std::string text = read_text_file(*file, /*limit_bytes=*/4096);
    return text.substr(0, text.find_first_of("\r\n"));
  }
  for (const char* name : {"HEADGATE_API_KEY", "OPENAI_API_KEY"}) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value != '\0') return value;
  }
  return {};
}

}  // namespace headgate
