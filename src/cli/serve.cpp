// headgate serve: a model behind an OpenAI-compatible HTTP server.
#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/served_models.h"
#include "cli/terminal.h"
#include "control/database.h"
#include "control/key_store.h"
#include "server/loading_server.h"
#include "server/model_host.h"
#include "server/response_store.h"
#include "server/server.h"

namespace headgate {
namespace {

struct ServeOptions {
  std::vector<std::string> models;  // as parse_model_spec() reads them; none: the embedded one
  ModelOptions model;               // but what `models` says
  std::string host = "127.0.0.1";
  int64_t port = 8000;
  std::string name;
  std::vector<std::string> aliases;
  bool require_keys = false;
  bool insecure = false;
  std::string data;
  std::string tls_certificate, tls_key;
  std::vector<std::string> allowed_hosts, cors_origins;
  int64_t max_running = 128;
  int64_t max_queue = 1024;
  int64_t state_mib = 0;
  int64_t memory_budget_mib = 0;
  std::string preload = "first";
  int64_t idle_unload = 0;
  int64_t load_wait = 120;
  bool no_prefix_cache = false;
  bool no_echo_repair = false;
  std::string cache_dir;
  int64_t cache_disk_gib = 32;
  std::string state_checkpoints = "f32";
  std::string sessions;
  int64_t sessions_disk_gib = 32;
  int64_t default_max_tokens = 0;
  int64_t request_timeout = 0;
  int64_t requests_per_minute = 0;
  int64_t tokens_per_minute = 0;
  int64_t drain = 60;
  int64_t max_body_mib = 32;
  int64_t max_connections = 2048;
  int64_t max_connections_per_address = 0;
  std::string log = "text";
};

volatile std::sig_atomic_t hangup_seen = 0;
void on_hangup(int) { hangup_seen = 1; }

// Tells systemd how the service is, where systemd asks (NOTIFY_SOCKET).
void notify_systemd(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const size_t length = std::strlen(path);
  if (length >= sizeof address.sun_path) return;
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';
  const int socket_fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket_fd < 0) return;
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  ::sendto(socket_fd, state.data(), state.size(), MSG_NOSIGNAL,
           reinterpret_cast<const sockaddr*>(&address), size);
  ::close(socket_fd);
}

LogFormat log_format(const std::string& word) {
  if (word == "json") return LogFormat::kJson;
  return word == "off" ? LogFormat::kOff : LogFormat::kText;
}

void check_positive(const char* name, int64_t value, int64_t low, int64_t high) {
  if (value < low || value > high)
    fail(ErrorCode::kInvalidArgument, "{}: found {}, expected {} to {}", name, value, low, high);
}

void check_options(const ServeOptions& o) {
  check_positive("--port", o.port, 0, 65535);
  check_positive("--max-running", o.max_running, 1, 4096);
  check_positive("--max-queue", o.max_queue, 1, 1 << 20);
  check_positive("--state-memory", o.state_mib, 0, int64_t{1} << 30);
  check_positive("--memory-budget", o.memory_budget_mib, 0, int64_t{1} << 30);
  check_positive("--idle-unload", o.idle_unload, 0, 1 << 24);
  check_positive("--load-wait", o.load_wait, 1, 1 << 16);
  check_positive("--cache-disk", o.cache_disk_gib, 1, 1 << 20);
  check_positive("--sessions-disk", o.sessions_disk_gib, 1, 1 << 20);
  if (!o.sessions.empty() && o.no_prefix_cache)
    fail(ErrorCode::kInvalidArgument, "--sessions: needs the prefix cache");
  check_positive("--default-max-tokens", o.default_max_tokens, 0, int64_t{1} << 30);
  check_positive("--request-timeout", o.request_timeout, 0, 1 << 24);
  check_positive("--requests-per-minute", o.requests_per_minute, 0, int64_t{1} << 30);
  check_positive("--tokens-per-minute", o.tokens_per_minute, 0, int64_t{1} << 40);
  check_positive("--drain", o.drain, 0, 1 << 20);
  check_positive("--max-body", o.max_body_mib, 1, 1024);
  check_positive("--max-connections", o.max_connections, 1, 1 << 20);
  check_positive("--max-connections-per-address", o.max_connections_per_address, 0, 1 << 20);
}

ServerOptions server_options(const ServeOptions& o) {
  ServerOptions s;
  s.http.host = o.host;
  s.http.port = static_cast<int>(o.port);
  s.http.tls_certificate = o.tls_certificate;
  s.http.tls_key = o.tls_key;
  s.http.limits.body_bytes = o.max_body_mib << 20;
  s.http.limits.bodies_bytes = std::max(s.http.limits.bodies_bytes, 2 * s.http.limits.body_bytes);
  s.http.limits.connections = o.max_connections;
  if (o.max_connections_per_address > 0) {
    s.http.limits.connections_per_address = o.max_connections_per_address;
    s.http.limits.connections_per_loopback = o.max_connections_per_address;
  }
  s.require_keys = o.require_keys || (!is_loopback_host(o.host) && !o.insecure);
  s.allowed_hosts = o.allowed_hosts;
  s.cors_origins = o.cors_origins;
  s.limits.default_max_tokens = o.default_max_tokens;
  s.limits.request_seconds = static_cast<double>(o.request_timeout);
  s.limits.requests_per_minute = o.requests_per_minute;
  s.limits.tokens_per_minute = o.tokens_per_minute;
  s.log = log_format(o.log);
  s.echo_repair = !o.no_echo_repair && !o.no_prefix_cache;
  s.session_folder = o.sessions;
  s.session_bytes = o.sessions_disk_gib << 30;
  s.version = HEADGATE_VERSION;
  return s;
}

StateFormat state_format(const std::string& name) {
  if (name == "bf16") return StateFormat::kBf16;
  return name == "int8" ? StateFormat::kInt8 : StateFormat::kF32;
}

// What a reload may change while models are loaded.
struct LiveLimits {
  std::atomic<int64_t> max_running{0}, max_queue{0};
};

EngineOptions engine_options(const ServeOptions& o, const LoadedModel& loaded,
                             const ModelOptions& model, const std::string& name) {
  const SessionOptions session = session_options(model, loaded.model->config());
  EngineOptions e;
  e.context = session.context;
  e.kv_dtype = session.kv_dtype;
  e.prefill_chunk = session.prefill_chunk;
  e.drafts = session.drafts;
  e.drafting = session.drafting;
  e.prefix_cache = !o.no_prefix_cache;
  e.cold_states = state_format(o.state_checkpoints);
  e.cache_folder = o.cache_dir;
  e.cache_disk_bytes = o.cache_disk_gib << 30;
  if (!o.cache_dir.empty() && o.models.size() > 1) {
    e.cache_folder += "/" + folder_name(name);
    e.cache_disk_bytes /= static_cast<int64_t>(o.models.size());
    std::filesystem::create_directories(e.cache_folder);
  }
  if (!o.cache_dir.empty() || !o.sessions.empty()) e.model_identity = state_identity(loaded, model);
  // States that come after a rounded one are no others' exact ones.
  if (e.cold_states != StateFormat::kF32) e.model_identity += " checkpoints " + o.state_checkpoints;
  return e;
}

HostOptions host_options(const ServeOptions& o) {
  HostOptions h;
  h.budget_bytes = o.memory_budget_mib << 20;
  h.idle_seconds = static_cast<double>(o.idle_unload);
  h.wait_seconds = static_cast<double>(o.load_wait);
  h.max_waiting = o.max_queue;
  h.version = HEADGATE_VERSION;
  return h;
}

std::vector<ModelSpec> model_specs(const ServeOptions& o) {
  std::vector<ModelSpec> specs;
  for (const std::string& text : o.models) specs.push_back(parse_model_spec(text));
  if (specs.empty()) specs.emplace_back();
  if (specs.size() > 1 && (!o.name.empty() || !o.model.adapter.empty())) {
    fail(ErrorCode::kInvalidArgument,
         "--{}: found with several models, expected it with each: -m NAME=PATH,adapter=DIR",
         o.name.empty() ? "adapter" : "name");
  }
  if (!o.name.empty()) specs.front().name = o.name;
  specs.front().aliases.insert(specs.front().aliases.end(), o.aliases.begin(), o.aliases.end());
  return specs;
}

std::shared_ptr<ModelHost> make_host(const ServeOptions& o,
                                     const std::shared_ptr<LiveLimits>& limits,
                                     const std::shared_ptr<std::atomic<bool>>& at_start) {
  ServedModelsOptions shared;
  shared.loading = o.model;
  shared.state_bytes = o.state_mib << 20;
  shared.budget_bytes = o.memory_budget_mib << 20;
  shared.at_start = at_start;
  shared.engine = [o, limits](const LoadedModel& loaded, const ModelOptions& model,
                              const std::string& name) {
    EngineOptions e = engine_options(o, loaded, model, name);
    e.max_running = limits->max_running;
    e.max_waiting_requests = limits->max_queue;
    return e;
  };
  return std::make_shared<ModelHost>(hosted_models(model_specs(o), shared), host_options(o));
}

// What is to be there before the first request. A model that cannot be loaded now ends the start.
void load_first_models(const ServeOptions& o, ModelHost& host) {
  if (o.preload == "none") return;
  for (const ModelState& model : host.list()) {
    host.load_now(model.name);
    if (o.preload == "first") return;
  }
}

void report_start(const ServeOptions& o, const Server& server, const ModelHost& host, bool keys) {
  const bool tls = !o.tls_certificate.empty();
  const std::string address = o.host.find(':') == std::string::npos ? o.host : "[" + o.host + "]";
  const std::string url = fmt::format("{}://{}:{}", tls ? "https" : "http", address, server.port());
  TextTable table({1});
  for (const ModelState& model : host.list()) {
    const bool loaded = model.phase == ModelPhase::kLoaded;
    table.row({"serving", fmt::format("{}, context {} tokens{}", printable(model.name),
                                      format_digits(model.facts.context),
                                      loaded ? "" : ", loaded when it is asked for")});
  }
  table.row({"address", fmt::format("{}/v1 (web page: {}/)", url, url)});
  table.row({"keys", keys ? "required (headgate keys create NAME makes one)"
                     : o.insecure && !is_loopback_host(o.host)
                         ? "NOT required: anybody who reaches this address may use it"
                         : "not required: only this machine can reach it"});
  write_stderr(table.text());
}

void declare_serve(CommandLine& line, ServeOptions& o, std::function<int()> action);

// The options as a start would have them now: flags, environment and file read again.
ServeOptions read_again(const std::vector<std::string>& arguments) {
  CommandLine line("headgate", "", HEADGATE_VERSION);
  ServeOptions fresh;
  bool read = false;
  declare_serve(line, fresh, [&read] {
    read = true;
    return 0;
  });
  std::vector<const char*> words;
  for (const std::string& argument : arguments) words.push_back(argument.c_str());
  if (line.run(static_cast<int>(words.size()), words.data()) != 0 || !read)
    fail(ErrorCode::kInvalidArgument, "the options cannot be read again");
  check_options(fresh);
  return fresh;
}

// Names what differs and takes a start to change.
void warn_of_others(const ServeOptions& old, const ServeOptions& fresh) {
  const std::pair<const char*, bool> changed[] = {
      {"model", old.models != fresh.models},
      {"ctx", old.model.context != fresh.model.context},
      {"name", old.name != fresh.name || old.aliases != fresh.aliases},
      {"host", old.host != fresh.host},
      {"port", old.port != fresh.port},
      {"data", old.data != fresh.data},
      {"tls-cert", old.tls_certificate != fresh.tls_certificate || old.tls_key != fresh.tls_key},
      {"require-keys", old.require_keys != fresh.require_keys || old.insecure != fresh.insecure},
      {"allowed-host", old.allowed_hosts != fresh.allowed_hosts},
      {"cors-origin", old.cors_origins != fresh.cors_origins},
      {"state-memory", old.state_mib != fresh.state_mib}};
  for (const auto& [name, differs] : changed) {
    if (differs) log_warning("reload: a new {} takes a new start", name);
  }
}

// SIGHUP: certificates and keys, limits and the log's format. `o` is what the server has then.
void reload(ServeOptions& o, const std::vector<std::string>& arguments, Server& server,
            ModelHost& host, LiveLimits& limits) {
  try {
    const ServeOptions fresh = read_again(arguments);
    server.reload(server_options(fresh));
    host.set_options(host_options(fresh));
    limits.max_running = fresh.max_running;
    limits.max_queue = fresh.max_queue;
    for (const ModelLease& model : host.loaded())
      model->engine->set_limits(fresh.max_running, fresh.max_queue);
    warn_of_others(o, fresh);
    o.drain = fresh.drain;
  } catch (const Error& error) {
    log_error("reload: {}; going on with what was loaded", error.what());
  }
}

// Waits for Ctrl-C or SIGTERM, then until all answers are complete or the time for that is over.
void serve_until_stopped(ServeOptions& o, const std::vector<std::string>& arguments, Server& server,
                         ModelHost& host, LiveLimits& limits) {
  constexpr auto kPoll = std::chrono::milliseconds(50);
  while (!InterruptScope::interrupted()) {
    std::this_thread::sleep_for(kPoll);
    if (hangup_seen == 0) continue;
    hangup_seen = 0;
    reload(o, arguments, server, host, limits);
  }
  InterruptScope::reset();
  notify_systemd("STOPPING=1");
  server.begin_drain();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(o.drain);
  while (server.running() > 0 && !InterruptScope::interrupted() &&
         std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(kPoll);
}

int serve(ServeOptions& o, const std::vector<std::string>& arguments) {
  check_options(o);
  const InterruptScope interrupts(/*presses_to_kill=*/3);
  std::signal(SIGHUP, on_hangup);
  std::signal(SIGPIPE, SIG_IGN);  // a client that leaves is no reason to go
  const ServerOptions options = server_options(o);
  const std::string folder = o.data.empty() ? default_state_folder() : o.data;
  auto database = std::make_shared<Database>(folder + "/headgate.db");
  auto keys = std::make_shared<KeyStore>(database);
  // Before a large model is loaded.
  check_exposure(options, keys.get(), o.insecure);

  // Clients hear 503 rather than nothing while a large model is loaded.
  std::optional<LoadingServer> loading;
  if (o.port > 0) loading.emplace(options);
  const auto limits = std::make_shared<LiveLimits>();
  limits->max_running = o.max_running;
  limits->max_queue = o.max_queue;
  const auto at_start = std::make_shared<std::atomic<bool>>(true);
  const std::shared_ptr<ModelHost> host = make_host(o, limits, at_start);
  load_first_models(o, *host);
  *at_start = false;

  loading.reset();
  Server server(options, host, keys, std::make_shared<ResponseStore>(database));
  server.start();
  report_start(o, server, *host, options.require_keys);
  notify_systemd("READY=1");
  serve_until_stopped(o, arguments, server, *host, *limits);
  server.stop();
  return 0;
}

void add_network_options(Command& command, ServeOptions& o) {
  command.group("Network")
      .option("--host", o.host, "Address to listen on; 0.0.0.0 or :: for all, which needs API keys")
      .takes("ADDRESS")
      .option("--port", o.port, "Port; 0: one that is free")
      .option("--tls-cert", o.tls_certificate, "PEM file with the certificate chain")
      .takes("FILE")
      .option("--tls-key", o.tls_key, "PEM file with its private key")
      .takes("FILE")
      .option("--allowed-host", o.allowed_hosts,
              "Name under which clients reach this server; repeatable")
      .takes("NAME")
      .option("--cors-origin", o.cors_origins,
              "Origin whose pages may call this server; repeatable")
      .takes("URL")
      .option("--max-body", o.max_body_mib, "Largest request body")
      .takes("MIB")
      .option("--max-connections", o.max_connections, "Connections at once")
      .option("--max-connections-per-address", o.max_connections_per_address,
              "Connections of one address; 0: 64, and 1024 of this machine itself");
}

void add_access_options(Command& command, ServeOptions& o) {
  command.group("Access")
      .flag("--require-keys", o.require_keys, "Ask for API keys on a loopback address too")
      .flag("--insecure", o.insecure,
            "Serve other machines without keys: anybody who reaches the address may use it")
      .option("--data", o.data,
              "Folder of keys and stored responses; default: headgate in the user's state folder")
      .takes("DIR");
}

void add_load_options(Command& command, ServeOptions& o) {
  command.group("Load")
      .option("--max-running", o.max_running, "Sequences computed at once")
      .option("--max-queue", o.max_queue,
              "Requests that may wait; beyond it they get 429 with Retry-After")
      .option("--state-memory", o.state_mib,
              "Memory for keys, values and states; 0: what one full context and eight states need")
      .takes("MIB")
      .option("--memory-budget", o.memory_budget_mib,
              "Most that weights and states of all loaded models may take: others are unloaded for "
              "one that is asked for; 0: no bound")
      .takes("MIB")
      .choice("--preload", o.preload, {"first", "all", "none"},
              "Models to load at the start; others are loaded when they are asked for")
      .option("--idle-unload", o.idle_unload,
              "Unload a model that nobody used for so many seconds; 0: never")
      .takes("SECONDS")
      .option("--load-wait", o.load_wait,
              "Seconds that a request waits for its model to be loaded, before it gets 503")
      .takes("SECONDS")
      .flag("--no-prefix-cache", o.no_prefix_cache, "Compute every prompt from its beginning")
      .flag("--no-echo-repair", o.no_echo_repair,
            "Read answers that come back as they come back, also where that breaks their prefix")
      .option("--cache-dir", o.cache_dir,
              "Folder for cached prefixes beyond memory and restarts; default: none")
      .takes("DIR")
      .option("--cache-disk", o.cache_disk_gib, "Most that the folder may hold")
      .takes("GIB")
      .choice("--state-checkpoints", o.state_checkpoints, {"f32", "bf16", "int8"},
              "What cached states become before they are dropped; all but f32 are rounded")
      .option("--sessions", o.sessions, "Folder of named sessions (/v1/sessions); default: none")
      .takes("DIR")
      .option("--sessions-disk", o.sessions_disk_gib, "Most that all of them may take")
      .takes("GIB")
      .option("--default-max-tokens", o.default_max_tokens,
              "Tokens of an answer where the request does not say; 0: until the context is full")
      .option("--request-timeout", o.request_timeout,
              "Seconds after which a request is ended; 0: never")
      .option("--requests-per-minute", o.requests_per_minute,
              "Requests that each key may make in a minute; 0: no limit")
      .takes("N")
      .option("--tokens-per-minute", o.tokens_per_minute,
              "Tokens of prompts and answers that each key may take in a minute; 0: no limit")
      .takes("N")
      .option("--drain", o.drain, "Seconds that running answers get to finish after SIGTERM");
}

void declare_serve(CommandLine& line, ServeOptions& o, std::function<int()> action) {
  Command& command =
      line.add("serve", "Serve a model over HTTP with the APIs of OpenAI and Anthropic");
  command.group("Model")
      .option("-m,--model", o.models,
              "Folder of a Hugging Face checkpoint, or a GGUF file; NAME=PATH for several, also "
              "NAME=PATH,adapter=DIR,alias=NAME,ctx=N; the embedded model without it; repeatable")
      .takes("PATH");
  add_loading_options(command, o.model);
  add_draft_option(command, o.model);
  command
      .option("--name", o.name,
              "Name of the model for clients; default: its file's or folder's name")
      .option("--alias", o.aliases, "Another name that clients may use; repeatable");
  add_network_options(command, o);
  add_access_options(command, o);
  add_load_options(command, o);
  command
      .choice("--access-log", o.log, {"text", "json", "off"},
              "One line for each request, on standard error")
      .configurable()
      .example("headgate serve", "the embedded model on http://127.0.0.1:8000")
      .example("headgate serve -m small=a.gguf -m large=b.gguf --memory-budget 8192",
               "two models by name, as many at once as fit")
      .example("headgate serve -m model.gguf --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem",
               "for other machines; needs an API key (headgate keys create NAME)")
      .action(std::move(action));
}

}  // namespace

void add_serve(CommandLine& line) {
  auto o = std::make_shared<ServeOptions>();
  declare_serve(line, *o, [o, &line] { return serve(*o, line.arguments()); });
}

}  // namespace headgate
