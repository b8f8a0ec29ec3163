// The codec and the file formats behind a pipe, for convert_differential.py.
//
//   dequantize TYPE        bytes of rows on stdin, fp32 on stdout
//   quantize TYPE COLS     fp32 on stdin, bytes of rows on stdout
//   copy IN OUT            reads a GGUF and writes all of it again
//   mix MIX IN OUT         quantises a model
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/error.h"
#include "convert/quantize.h"
#include "formats/checkpoint.h"
#include "formats/gguf_writer.h"
#include "tensor/codec.h"

namespace headgate {
namespace {

std::string read_stdin() {
  std::string text;
  char buffer[65536];
  for (size_t got = 0; (got = std::fread(buffer, 1, sizeof buffer, stdin)) > 0;)
    text.append(buffer, got);
  return text;
}

DType type_argument(const std::string& name) {
  const std::optional<DType> type = dtype_from_name(name);
  if (!type) fail(ErrorCode::kInvalidArgument, "type: '{}', expected a stored type", name);
  return *type;
}

void dequantize(const std::string& name) {
  const DType type = type_argument(name);
  const std::string bytes = read_stdin();
  const DTypeInfo& info = dtype_info(type);
  std::vector<float> values(bytes.size() / static_cast<size_t>(info.block_bytes) *
                            static_cast<size_t>(info.block_elements));
  dequantize_row(type, reinterpret_cast<const std::byte*>(bytes.data()), values.data(),
                 static_cast<int64_t>(values.size()));
  std::fwrite(values.data(), sizeof(float), values.size(), stdout);
}

void quantize(const std::string& name, int64_t cols) {
  const DType type = type_argument(name);
  const std::string text = read_stdin();
  std::vector<float> values(text.size() / sizeof(float));
  std::memcpy(values.data(), text.data(), values.size() * sizeof(float));
  std::vector<std::byte> row(static_cast<size_t>(row_bytes(type, cols)));
  for (size_t begin = 0; begin < values.size(); begin += static_cast<size_t>(cols)) {
    quantize_row(type, values.data() + begin, row.data(), cols);
    std::fwrite(row.data(), 1, row.size(), stdout);
  }
}

void copy(const std::string& in, const std::string& out) {
  const Checkpoint checkpoint = open_checkpoint(in);
  GgufWriter writer(out, checkpoint.gguf);
  for (const TensorEntry& t : checkpoint.tensors.tensors())
    writer.declare(t.name, t.dtype, t.shape);
  for (const TensorEntry& t : checkpoint.tensors.tensors())
    writer.write(checkpoint.tensors.data(t));
  writer.finish();
}

void run(const std::vector<std::string>& arguments) {
  const auto is = [&](const char* name, size_t count) {
    return arguments.size() == count + 1 && arguments[0] == name;
  };
  if (is("dequantize", 1)) return dequantize(arguments[1]);
  if (is("quantize", 2)) return quantize(arguments[1], std::atoll(arguments[2].c_str()));
  if (is("copy", 2)) return copy(arguments[1], arguments[2]);
  if (is("mix", 3)) {
    QuantizeOptions options;
    options.mix = arguments[1];
    options.input = arguments[2];
    options.output = arguments[3];
    quantize_checkpoint(options);
    return;
  }
  fail(ErrorCode::kInvalidArgument, "usage: see the head of convert_tool.cpp");
}

}  // namespace
}  // namespace headgate

int main(int argc, char** argv) {
  try {
    headgate::run({argv + 1, argv + argc});
  } catch (const headgate::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return headgate::exit_code(error.code());
  }
  return 0;
}
