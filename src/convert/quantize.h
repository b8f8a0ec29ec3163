// Quantises a checkpoint into a GGUF with a mix of types, and reports size and error by tensor
// class.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "convert/convert.h"
#include "convert/quant_mix.h"

namespace headgate {

struct QuantizeOptions {
  std::string input;   // folder or GGUF
  std::string output;  // GGUF
  std::string mix = "hg_q4";
  std::string importance;  // path of an importance matrix; empty: none
  int64_t max_part_bytes = 0;
  int threads = 0;
  ConvertProgress progress;  // bytes read so far and in all
};

// What became of the tensors of one class ("routed experts", "delta net", ...).
struct QuantizeClass {
  std::string name;
  int64_t tensors = 0;
  int64_t elements = 0;
  int64_t bytes = 0;
  std::map<DType, int64_t> elements_by_type;
  double squared_error = 0.0;  // sum over all elements of (stored value - source value)^2
  double squared_value = 0.0;  // sum of source value^2

  double bits_per_weight() const;
  double rmse() const;
  double relative_error() const;  // sqrt(squared_error / squared_value)
};

struct QuantizeReport {
  std::vector<std::string> files;
  std::vector<QuantizeClass> classes;  // in the order embedding, head, attention, ..., norms
  int64_t bytes_read = 0;
  int64_t bytes_written = 0;
  bool input_was_quantized = false;  // errors are then measured against already rounded values
  int64_t without_importance = 0;    // matrices an importance matrix was given for but has not

  QuantizeClass total() const;
};

// Streams tensor by tensor (resident memory stays below 1 GiB); rows are encoded on all threads,
// and the file does not depend on their number. A tensor that has its type already is copied byte
// for byte. Throws as convert_checkpoint does.
QuantizeReport quantize_checkpoint(const QuantizeOptions& options);

}  // namespace headgate
