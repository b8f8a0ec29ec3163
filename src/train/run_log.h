// The log of a run: one JSON object per step, read back for plots and after a restart.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "train/trainer.h"

namespace headgate {

// A step as it is logged.
struct LogRecord {
  int64_t step = 0;    // steps done
  int64_t tokens = 0;  // seen in all
  std::string phase;
  double loss = 0, main_loss = 0, balance_loss = 0, gradient_norm = 0, rate = 0;
  std::vector<double> mtp_loss, acceptance;  // of each MTP step
  double max_load = 0;
  int64_t dead_experts = 0;
  double tokens_per_second = 0;
  double held_out_loss = -1;  // below 0: not measured at this step
};

LogRecord make_record(const StepStats& stats, int64_t mtp_steps);
std::string record_line(const LogRecord& record);

// Records of a log file in order; empty when there is none. A last line cut by a crash is left out.
// `lines`, when given, receives their text with the line ends. Throws kInvalidFile, naming the
// line, for anything else that is no record.
std::vector<LogRecord> read_log(const std::string& path, std::vector<std::string>* lines = nullptr);

// Appends lines; what was written behind `keep_steps` steps by a run that went on beyond its last
// checkpoint is cut off first. Every line is handed to the system at once.
class RunLog {
 public:
  RunLog(const std::string& path, int64_t keep_steps);
  ~RunLog();
  RunLog(const RunLog&) = delete;
  RunLog& operator=(const RunLog&) = delete;

  void add(const LogRecord& record);
  const std::vector<LogRecord>& records() const { return records_; }

 private:
  std::string path_;
  int fd_ = -1;
  std::vector<LogRecord> records_;
};

// loss.svg, balance.svg, acceptance.svg and rate.svg of a log, into `folder`.
void write_plots(const std::vector<LogRecord>& records, const std::string& folder);

}  // namespace headgate
