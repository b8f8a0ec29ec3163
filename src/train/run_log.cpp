// The log of a run: lines of JSON, and the plots made of them.
#include "train/run_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "train/svg_plot.h"

namespace headgate {
namespace {

json::array numbers(const std::vector<double>& values) {
  return json::array(values.begin(), values.end());
}

double number_at(const json::object& object, const char* key, const std::string& source) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_number())
    fail(ErrorCode::kInvalidFile, "{}: expected a number \"{}\"", source, key);
  return value->to_number<double>();
}

std::vector<double> numbers_at(const json::object& object, const char* key) {
  std::vector<double> out;
  if (const json::value* value = object.if_contains(key); value != nullptr && value->is_array())
    for (const json::value& item : value->as_array())
      out.push_back(item.is_number() ? item.to_number<double>() : 0.0);
  return out;
}

LogRecord read_record(std::string_view line, const std::string& source) {
  const json::value parsed = parse_json(line, source);
  if (!parsed.is_object()) fail(ErrorCode::kInvalidFile, "{}: expected an object", source);
  const json::object& object = parsed.as_object();
  LogRecord out;
  out.step = static_cast<int64_t>(number_at(object, "step", source));
  out.tokens = static_cast<int64_t>(number_at(object, "tokens", source));
  if (const json::value* phase = object.if_contains("phase"); phase && phase->is_string())
    out.phase = std::string(phase->as_string());
  out.loss = number_at(object, "loss", source);
  out.main_loss = number_at(object, "main", source);
  out.balance_loss = number_at(object, "balance", source);
  out.gradient_norm = number_at(object, "gradient", source);
  out.rate = number_at(object, "rate", source);
  out.max_load = number_at(object, "max_load", source);
  out.dead_experts = static_cast<int64_t>(number_at(object, "dead", source));
  out.tokens_per_second = number_at(object, "tokens_per_second", source);
  out.mtp_loss = numbers_at(object, "mtp");
  out.acceptance = numbers_at(object, "acceptance");
  if (object.contains("held_out")) out.held_out_loss = number_at(object, "held_out", source);
  return out;
}

using Points = std::vector<std::pair<double, double>>;

// Means of up to 400 stretches of the run, so that a long log stays a small picture.
Points thinned(const Points& all) {
  constexpr size_t kMost = 400;
  const size_t stretch = std::max<size_t>(1, (all.size() + kMost - 1) / kMost);
  Points out;
  for (size_t at = 0; at < all.size(); at += stretch) {
    const size_t end = std::min(all.size(), at + stretch);
    double x = 0, y = 0;
    for (size_t i = at; i < end; ++i) {
      x += all[i].first;
      y += all[i].second;
    }
    const auto count = static_cast<double>(end - at);
    out.emplace_back(x / count, y / count);
  }
  return out;
}

template <typename F>
Points points_of(const std::vector<LogRecord>& records, F value) {
  Points out;
  for (const LogRecord& record : records) {
    const double y = value(record);
    if (std::isfinite(y)) out.emplace_back(static_cast<double>(record.tokens) / 1e6, y);
  }
  return thinned(out);
}

}  // namespace

LogRecord make_record(const StepStats& stats, int64_t mtp_steps) {
  LogRecord out;
  out.step = stats.step;
  out.loss = stats.loss;
  out.main_loss = stats.main_loss;
  out.balance_loss = stats.balance_loss;
  out.gradient_norm = stats.gradient_norm;
  out.rate = stats.learning_rate;
  out.max_load = stats.max_load;
  out.dead_experts = stats.dead_experts;
  for (int64_t s = 0; s < mtp_steps; ++s) {
    out.mtp_loss.push_back(stats.mtp_loss[static_cast<size_t>(s)]);
    out.acceptance.push_back(stats.mtp_acceptance[static_cast<size_t>(s)]);
  }
  return out;
}

std::string record_line(const LogRecord& r) {
  json::object out = {{"step", r.step},
                      {"tokens", r.tokens},
                      {"phase", r.phase},
                      {"loss", r.loss},
                      {"main", r.main_loss},
                      {"balance", r.balance_loss},
                      {"gradient", r.gradient_norm},
                      {"rate", r.rate},
                      {"max_load", r.max_load},
                      {"dead", r.dead_experts},
                      {"tokens_per_second", r.tokens_per_second}};
  if (!r.mtp_loss.empty()) {
    out["mtp"] = numbers(r.mtp_loss);
    out["acceptance"] = numbers(r.acceptance);
  }
  if (r.held_out_loss >= 0) out["held_out"] = r.held_out_loss;
  return dump_json_python(out) + "\n";
}

std::vector<LogRecord> read_log(const std::string& path, std::vector<std::string>* lines) {
  std::vector<LogRecord> out;
  if (!file_exists(path)) return out;
  const std::string text = read_text_file(path);
  int64_t number = 0;
  for (size_t at = 0, end; at < text.size(); at = end + 1) {
    end = text.find('\n', at);
    if (end == std::string::npos) break;  // a crash cut this line
    out.push_back(read_record(std::string_view(text).substr(at, end - at),
                              fmt::format("{}:{}", path, ++number)));
    if (lines != nullptr) lines->push_back(text.substr(at, end + 1 - at));
  }
  return out;
}

RunLog::RunLog(const std::string& path, int64_t keep_steps) : path_(path) {
  // The lines stay as they are: read and written again, a number might change its last digit.
  std::string kept;
  std::vector<std::string> lines;
  records_ = read_log(path, &lines);
  size_t count = 0;
  while (count < records_.size() && records_[count].step <= keep_steps) kept += lines[count++];
  records_.resize(count);
  write_text_file(path, kept);
  fd_ = open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (fd_ < 0) fail(ErrorCode::kIo, "{}: {}", path, std::strerror(errno));
}

RunLog::~RunLog() {
  if (fd_ >= 0) close(fd_);
}

void RunLog::add(const LogRecord& record) {
  records_.push_back(record);
  const std::string line = record_line(record);
  for (size_t done = 0; done < line.size();) {
    const ssize_t wrote = write(fd_, line.data() + done, line.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) fail(ErrorCode::kIo, "{}: {}", path_, std::strerror(errno));
    done += static_cast<size_t>(wrote);
  }
}

void write_plots(const std::vector<LogRecord>& records, const std::string& folder) {
  const auto save = [&folder](const char* name, const std::string& title,
                              std::vector<PlotSeries> series) {
    write_text_file(folder + "/" + name, svg_line_plot(title, "million tokens", series));
  };
  std::vector<PlotSeries> losses = {
      {"training", points_of(records, [](const LogRecord& r) { return r.main_loss; })}};
  Points held_out;
  for (const LogRecord& r : records)
    if (r.held_out_loss >= 0)
      held_out.emplace_back(static_cast<double>(r.tokens) / 1e6, r.held_out_loss);
  if (!held_out.empty()) losses.push_back({"held out", held_out});
  save("loss.svg", "loss (nats per target)", losses);
  save("balance.svg", "expert load",
       {{"balance loss (1 is perfect)",
         points_of(records, [](const LogRecord& r) { return r.balance_loss; })},
        {"fullest expert / mean",
         points_of(records, [](const LogRecord& r) { return r.max_load; })}});
  save("rate.svg", "learning rate",
       {{"rate", points_of(records, [](const LogRecord& r) { return r.rate; })}});
  std::vector<PlotSeries> acceptance;
  const size_t drafts = records.empty() ? 0 : records.back().acceptance.size();
  for (size_t s = 0; s < drafts; ++s)
    acceptance.push_back(
        {"draft " + std::to_string(s + 1), points_of(records, [s](const LogRecord& r) {
           return s < r.acceptance.size() ? r.acceptance[s] : std::nan("");
         })});
  if (!acceptance.empty()) save("acceptance.svg", "accepted drafts (share)", acceptance);
}

}  // namespace headgate
