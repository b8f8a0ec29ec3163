// What the server counts, for Prometheus and for the live view.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace headgate {

struct EngineStats;
struct ModelState;

// One finished generation request.
struct RequestFigures {
  std::string_view finish_reason;  // "stop", "length", "tool_calls", "abort", "error"
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;
  int64_t generated_tokens = 0;
  int64_t choices = 1;
  int64_t max_tokens = 0;
  double queue_seconds = 0;
  double prefill_seconds = 0;
  double decode_seconds = 0;
  double first_token_seconds = -1;  // from arrival; -1: there was none
  double total_seconds = 0;
};

struct LatencyFigures {
  double ttft_p50_ms = 0, ttft_p99_ms = 0, gap_p50_ms = 0, gap_p99_ms = 0;
};

// Figures of one model, loaded or not. Thread rule: any thread.
class ModelMetrics {
 public:
  struct Data;
  explicit ModelMetrics(std::unique_ptr<Data> data);  // see Metrics::of()
  ~ModelMetrics();

  void count_request(const RequestFigures& figures);
  void count_gap(double seconds);  // between two tokens of one stream
  // What its engine and its host count, for the next Metrics::text().
  void update(const EngineStats& engine);
  void update(const ModelState& state);
  // The last figures of an engine that goes: totals stay, and the next engine's are added to them.
  void retire(const EngineStats& last);

 private:
  std::unique_ptr<Data> data_;
};

// Names follow vLLM's, with "headgate_" before them. Thread rule: any thread.
class Metrics {
 public:
  Metrics();
  ~Metrics();

  // Those of a model; made where it is new, and there as long as this is.
  ModelMetrics& of(const std::string& model_name);

  void count_http(std::string_view route, int status);
  void count_rejection(std::string_view reason);

  // Of all models. Latencies are over about the last thousand requests and tokens.
  LatencyFigures latencies() const;
  int64_t completed() const;
  int64_t failed() const;
  int64_t cancelled() const;

  // The text exposition format 0.0.4.
  std::string text(int64_t connections);

 private:
  friend class ModelMetrics;
  struct Data;
  std::unique_ptr<Data> data_;
};

}  // namespace headgate
