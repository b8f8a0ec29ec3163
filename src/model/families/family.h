// What distinguishes one model family from another: its names and how its configuration is read.
#pragma once

#include <span>
#include <string_view>

#include "model/config.h"
#include "model/config_source.h"

namespace headgate {

struct Family {
  std::string_view name;       // model_type of config.json
  std::string_view text_name;  // model_type of the nested text part; empty: the same
  std::string_view gguf;       // general.architecture
  // Fills everything of `config` that the file tells; sizes are checked by the caller.
  void (*read)(const ConfigSource& source, ModelConfig& config);
  // Value heads lie in tiled order in GGUF files (llama.cpp's converter moves them).
  bool tiled_in_gguf = false;
  std::string_view gguf_mlp_norm = "post_attention_norm.weight";
};

// Every family.
std::span<const Family* const> families();

extern const Family kQwen3, kQwen3Moe, kQwen3Next, kQwen35, kQwen35Moe;

// Pieces that families share. Each reads one group of keys.
void read_decoder(const ConfigSource& source,
                  ModelConfig& config);  // sizes, norms, attention heads
// theta, YaRN, rotary dimensions. `partial` is the rotated share of a head where no key tells.
void read_rope(const ConfigSource& source, double partial, ModelConfig& config);
// Experts, and which layers have them. `renormalise` is the value of a missing norm_topk_prob.
void read_moe(const ConfigSource& source, bool renormalise, ModelConfig& config);
// Which layers are recurrent, and the shape of their state.
void read_gated_delta(const ConfigSource& source, ModelConfig& config);
// Every layer attends.
void all_attention(const ConfigSource& source, ModelConfig& config);

}  // namespace headgate
