// Counters and histograms by prometheus-cpp; engine figures are copied in at each scrape.
#include "server/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "server/model_host.h"

namespace headgate {
namespace {

using prometheus::Counter;
using prometheus::Gauge;
using prometheus::Histogram;
using Labels = std::map<std::string, std::string>;

// vLLM's boundaries, so that its dashboards fit.
const Histogram::BucketBoundaries kLatency = {0.3,  0.5,  0.8,  1.0,   1.5,   2.0,   2.5,
                                              5.0,  10.0, 15.0, 20.0,  30.0,  40.0,  50.0,
                                              60.0, 120., 240., 480.0, 960.0, 1920., 7680.};
const Histogram::BucketBoundaries kFirstToken = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,
                                                 0.25,  0.5,   0.75, 1.0,  2.5,  5.0,  7.5,  10.0,
                                                 20.0,  40.0,  80.0, 160., 640., 2560.};
const Histogram::BucketBoundaries kGap = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075,
                                          0.1,   0.15,   0.2,   0.3,  0.4,   0.5,  0.75,
                                          1.0,   2.5,    5.0,   10.0, 20.0,  40.0, 80.0};
const Histogram::BucketBoundaries kTokens = {
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000, 262144};

// The last values of something, for quantiles of the live view.
class Recent {
 public:
  void add(double value) {
    const std::lock_guard lock(mutex_);
    values_[next_++ % values_.size()] = value;
  }
  double quantile(double q) const {
    std::vector<double> sorted;
    {
      const std::lock_guard lock(mutex_);
      sorted.assign(values_.begin(),
                    values_.begin() + static_cast<std::ptrdiff_t>(std::min(next_, values_.size())));
    }
    if (sorted.empty()) return 0;
    const auto at =
        sorted.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(sorted.size() - 1));
    std::nth_element(sorted.begin(), at, sorted.end());
    return *at;
  }

 private:
  mutable std::mutex mutex_;
  std::array<double, 1024> values_{};
  size_t next_ = 0;
};

}  // namespace

struct Metrics::Data {
  prometheus::Registry registry;
  Recent first_tokens, gaps;
  std::atomic<int64_t> completed{0}, failed{0}, cancelled{0};
  std::mutex mutex;
  std::map<std::string, std::unique_ptr<ModelMetrics>> models;
};

struct ModelMetrics::Data {
  Data(Metrics::Data& all_models, const std::string& model)
      : all(all_models), labels{{"model_name", model}} {}

  Metrics::Data& all;
  Labels labels;
  std::mutex mutex;  // of what follows
  // Totals that an engine counts begin anew with the next one: what was last seen, and what all
  // engines before it had.
  std::map<std::string, double> seen, before;

  Histogram* ttft = histogram("time_to_first_token_seconds", "Arrival to first token", kFirstToken);
  Histogram* gap = histogram("inter_token_latency_seconds", "Between two tokens of a stream", kGap);
  Histogram* per_token = histogram("request_time_per_output_token_seconds",
                                   "Mean time between tokens of a request", kGap);
  Histogram* total = histogram("e2e_request_latency_seconds", "Arrival to end", kLatency);
  Histogram* queue = histogram("request_queue_time_seconds", "Arrival to first step", kLatency);
  Histogram* prefill =
      histogram("request_prefill_time_seconds", "First step to first token", kLatency);
  Histogram* decode = histogram("request_decode_time_seconds", "First token to end", kLatency);
  Histogram* inference = histogram("request_inference_time_seconds", "First step to end", kLatency);
  Histogram* prompt = histogram("request_prompt_tokens", "Prompt tokens of a request", kTokens);
  Histogram* generated =
      histogram("request_generation_tokens", "Tokens generated for a request", kTokens);
  Histogram* choices = histogram("request_params_n", "n of requests", {1, 2, 4, 8, 16});
  Histogram* max_tokens = histogram("request_params_max_tokens", "max_tokens of requests", kTokens);

  Histogram* histogram(const char* name, const char* help,
                       const Histogram::BucketBoundaries& buckets) {
    return &prometheus::BuildHistogram()
                .Name(std::string("headgate_") + name)
                .Help(help)
                .Register(all.registry)
                .Add(labels, buckets);
  }
  Counter& counter(const std::string& name, const char* help, const Labels& more = {}) {
    Labels joined = labels;
    joined.insert(more.begin(), more.end());
    return prometheus::BuildCounter()
        .Name("headgate_" + name)
        .Help(help)
        .Register(all.registry)
        .Add(joined);
  }
  void gauge(const std::string& name, const char* help, double value) {
    prometheus::BuildGauge()
        .Name("headgate_" + name)
        .Help(help)
        .Register(all.registry)
        .Add(labels)
        .Set(value);
  }
  // A total that someone else counts.
  void total_of(const std::string& name, const char* help, double value, const Labels& more = {}) {
    const std::string key = more.empty() ? name : name + more.begin()->second;
    seen[key] = value;
    raise(counter(name, help, more), before[key] + value);
  }
  static void raise(Counter& counter, double to) {
    if (to > counter.Value()) counter.Increment(to - counter.Value());
  }
  // Totals of the first draft of a chain, the second, ...; as vLLM labels them.
  void totals_by_place(const std::string& name, const char* help, std::span<const int64_t> values) {
    for (size_t place = 0; place < values.size(); ++place)
      total_of(name, help, static_cast<double>(values[place]),
               {{"position", std::to_string(place)}});
  }
  void engine_gauges(const EngineStats& s);
  void cache_totals(const EngineStats& s);
  void engine_totals(const EngineStats& s);
};

Metrics::Metrics() : data_(std::make_unique<Data>()) {}
Metrics::~Metrics() = default;

ModelMetrics::ModelMetrics(std::unique_ptr<Data> data) : data_(std::move(data)) {
  for (const char* reason : {"stop", "length", "tool_calls", "abort", "error"})
    data_->counter("request_success_total", "Finished requests", {{"finished_reason", reason}});
}
ModelMetrics::~ModelMetrics() = default;

ModelMetrics& Metrics::of(const std::string& model_name) {
  const std::lock_guard lock(data_->mutex);
  std::unique_ptr<ModelMetrics>& found = data_->models[model_name];
  if (!found) {
    auto data = std::make_unique<ModelMetrics::Data>(*data_, model_name);
    found = std::make_unique<ModelMetrics>(std::move(data));
  }
  return *found;
}

void Metrics::count_http(std::string_view route, int status) {
  prometheus::BuildCounter()
      .Name("headgate_http_requests_total")
      .Help("Answered HTTP requests")
      .Register(data_->registry)
      .Add({{"route", std::string(route)}, {"status", std::to_string(status)}})
      .Increment();
}

void Metrics::count_rejection(std::string_view reason) {
  prometheus::BuildCounter()
      .Name("headgate_admission_rejections_total")
      .Help("Requests refused before they began")
      .Register(data_->registry)
      .Add({{"reason", std::string(reason)}})
      .Increment();
}

LatencyFigures Metrics::latencies() const {
  const Data& d = *data_;
  return {d.first_tokens.quantile(0.5) * 1e3, d.first_tokens.quantile(0.99) * 1e3,
          d.gaps.quantile(0.5) * 1e3, d.gaps.quantile(0.99) * 1e3};
}

int64_t Metrics::completed() const { return data_->completed.load(); }
int64_t Metrics::failed() const { return data_->failed.load(); }
int64_t Metrics::cancelled() const { return data_->cancelled.load(); }

std::string Metrics::text(int64_t connections) {
  prometheus::BuildGauge()
      .Name("headgate_http_connections")
      .Help("Open connections")
      .Register(data_->registry)
      .Add({})
      .Set(static_cast<double>(connections));
  return prometheus::TextSerializer().Serialize(data_->registry.Collect());
}

void ModelMetrics::count_gap(double seconds) {
  data_->gap->Observe(seconds);
  data_->all.gaps.add(seconds);
}

void ModelMetrics::count_request(const RequestFigures& f) {
  Data& d = *data_;
  d.counter("request_success_total", "Finished requests",
            {{"finished_reason", std::string(f.finish_reason)}})
      .Increment();
  if (f.finish_reason == "abort") {
    ++d.all.cancelled;
  } else if (f.finish_reason == "error") {
    ++d.all.failed;
  } else {
    ++d.all.completed;
  }
  d.prompt->Observe(static_cast<double>(f.prompt_tokens));
  d.generated->Observe(static_cast<double>(f.generated_tokens));
  d.choices->Observe(static_cast<double>(f.choices));
  if (f.max_tokens > 0) d.max_tokens->Observe(static_cast<double>(f.max_tokens));
  d.queue->Observe(f.queue_seconds);
  d.prefill->Observe(f.prefill_seconds);
  d.decode->Observe(f.decode_seconds);
  d.inference->Observe(f.prefill_seconds + f.decode_seconds);
  d.total->Observe(f.total_seconds);
  if (f.first_token_seconds >= 0) {
    d.ttft->Observe(f.first_token_seconds);
    d.all.first_tokens.add(f.first_token_seconds);
  }
  if (f.generated_tokens > 1)
    d.per_token->Observe(f.decode_seconds / static_cast<double>(f.generated_tokens - 1));
}

void ModelMetrics::update(const EngineStats& s) {
  const std::lock_guard lock(data_->mutex);
  data_->engine_gauges(s);
  data_->cache_totals(s);
  data_->engine_totals(s);
}

void ModelMetrics::retire(const EngineStats& last) {
  update(last);
  const std::lock_guard lock(data_->mutex);
  for (auto& [name, value] : data_->seen) data_->before[name] += std::exchange(value, 0);
  EngineStats nothing;
  data_->engine_gauges(nothing);
}

void ModelMetrics::update(const ModelState& state) {
  const std::lock_guard lock(data_->mutex);
  Data& d = *data_;
  const auto number = [](int64_t value) { return static_cast<double>(value); };
  const bool loaded = state.phase == ModelPhase::kLoaded || state.phase == ModelPhase::kLeaving;
  d.gauge("model_loaded", "1 while the model is loaded", loaded ? 1 : 0);
  d.gauge("model_memory_bytes", "Weights and states, as the memory budget counts them",
          number(state.memory_bytes));
  d.gauge("model_requests_waiting", "Requests that wait until the model is loaded",
          number(state.waiting));
  Data::raise(d.counter("model_loads_total", "Times that the model was loaded"),
              number(state.loads));
  Data::raise(d.counter("model_unloads_total", "Times that it was unloaded"),
              number(state.unloads));
  Data::raise(d.counter("model_load_failures_total", "Loads that failed"), number(state.failures));
}

void ModelMetrics::Data::engine_gauges(const EngineStats& s) {
  const auto number = [](int64_t value) { return static_cast<double>(value); };
  gauge("num_requests_running", "Sequences being computed", number(s.running));
  gauge("num_requests_prefilling", "Sequences reading their prompt", number(s.prefilling));
  gauge("num_requests_waiting", "Sequences waiting for their turn", number(s.waiting));
  gauge("num_tokens_waiting", "Prompt tokens of waiting sequences", number(s.waiting_tokens));
  gauge("kv_cache_usage_perc", "Share of the state budget in use",
        s.state_budget_bytes > 0 ? number(s.state_bytes) / number(s.state_budget_bytes) : 0);
  gauge("state_bytes", "Pages and states in use", number(s.state_bytes));
  gauge("state_budget_bytes", "Most that pages and states may take", number(s.state_budget_bytes));
  gauge("cached_prefixes", "States kept for prefix reuse", number(s.cached_prefixes));
  gauge("step_age_seconds", "Age of the running step", s.step_age_seconds);
  gauge("tokens_per_second", "Generated, over the last seconds of work",
        s.recent_tokens_per_second);
  gauge("cache_disk_entries", "States on disk", number(s.disk.entries));
  gauge("cache_disk_bytes", "Bytes of states on disk", number(s.disk.bytes));
  gauge("cache_disk_quota_bytes", "Most bytes of states on disk", number(s.disk.quota_bytes));
  gauge("cache_disk_memory_bytes", "Memory of the index of states on disk and of its buffers",
        number(s.disk.memory_bytes));
}

void ModelMetrics::Data::cache_totals(const EngineStats& s) {
  const auto number = [](int64_t value) { return static_cast<double>(value); };
  total_of("prefix_cache_queries_total", "Prompt tokens looked up in the prefix cache",
           number(s.prompt_tokens));
  total_of("prefix_cache_hits_total", "Prompt tokens found in the prefix cache",
           number(s.cached_tokens));
  total_of("prefix_cache_replayed_tokens_total",
           "Prompt tokens that the cache knew, computed again for want of a state there",
           number(s.replayed_tokens));
  total_of("prefix_cache_disk_hits_total", "Prompt tokens found in states read from disk",
           number(s.disk_cached_tokens));
  total_of("prefix_cache_evicted_total", "States dropped from memory", number(s.evicted_prefixes));
  total_of("cache_disk_demotions_total", "States written to disk", number(s.disk.stored));
  total_of("cache_disk_written_bytes_total", "Bytes of them", number(s.disk.stored_bytes));
  total_of("cache_disk_fetches_total", "States read from disk", number(s.disk.fetched));
  total_of("cache_disk_read_bytes_total", "Bytes of them", number(s.disk.fetched_bytes));
  total_of("cache_disk_removed_total", "States removed for want of room on disk",
           number(s.disk.removed));
  total_of("cache_disk_damaged_total", "Files found damaged and removed", number(s.disk.damaged));
  total_of("cache_disk_failed_writes_total", "Writes to disk that failed", number(s.disk.failed));
}

void ModelMetrics::Data::engine_totals(const EngineStats& s) {
  const auto number = [](int64_t value) { return static_cast<double>(value); };
  total_of("num_preemptions_total", "Sequences that lost their state for want of memory",
           number(s.preemptions));
  total_of("prompt_tokens_total", "Prompt tokens of started requests", number(s.prompt_tokens));
  total_of("prompt_tokens_cached_total", "Prompt tokens that were not computed again",
           number(s.cached_tokens));
  total_of("generation_tokens_total", "Generated tokens", number(s.generated_tokens));
  total_of("spec_decode_num_draft_tokens_total", "Drafted tokens", number(s.drafted_tokens));
  total_of("spec_decode_num_accepted_tokens_total", "Drafted tokens that were kept",
           number(s.accepted_tokens));
  total_of("spec_decode_num_drafts_total", "Rounds of drafts", number(s.draft_rounds));
  total_of("spec_decode_draft_seconds_total", "Time spent in the drafting module", s.draft_seconds);
  totals_by_place("spec_decode_num_draft_tokens_per_pos_total",
                  "Drafted tokens by place in the chain", s.drafted_at);
  totals_by_place("spec_decode_num_accepted_tokens_per_pos_total",
                  "Kept ones by place in the chain", s.accepted_at);
  total_of("engine_steps_total", "Steps of the model", number(s.steps));
  total_of("engine_busy_seconds_total", "Time spent in steps", s.busy_seconds);
  total_of("requests_shed_total", "Requests refused by a full queue", number(s.shed));
}

}  // namespace headgate
