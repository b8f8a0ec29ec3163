// Which type each tensor of a quantised file gets: the named mixes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/tensor_names.h"
#include "tensor/dtype.h"

namespace headgate {

struct QuantMix {
  std::string_view name;  // "q4_k_m"
  DType base;             // of most matrices
  int file_type;          // general.file_type. Source: llama.cpp, enum llama_ftype
  std::string_view summary;
};

// Every mix, in the order to list them. All but the "hg_" ones choose as llama-quantize does.
std::span<const QuantMix> quant_mixes();
// Any case. Throws kInvalidArgument listing the names.
const QuantMix& find_quant_mix(std::string_view name);

// What the choice depends on besides the tensor.
struct MixContext {
  int64_t blocks = 0;        // layers, multi-token-prediction modules included
  int64_t trunk_layers = 0;  // layers from here on are MTP modules
  int64_t heads_per_kv_head = 1;
  bool tied_embeddings = false;  // the embedding is the output head too
  bool importance = false;       // an importance matrix is given
};

// True for the parts that are always kept in F32: norms, router, convolution, gates of one row,
// decays.
bool is_kept_exact(Part part);

// The type of a matrix with rows of `cols` elements. A block type that does not divide the row
// falls back to a finer one of blocks of 32, then to F16.
DType choose_type(const QuantMix& mix, const MixContext& context, Part part, int64_t layer,
                  int64_t cols);

}  // namespace headgate
