// Encoding, decoding and the queries of a finished tokenizer.
#include "text/tokenizer.h"

#include <algorithm>

#include "base/error.h"
#include "base/utf8.h"
#include "text/normalize.h"
#include "text/pretokenizer.h"
#include "text/tokenizer_data.h"
#include "text/unicode.h"

namespace headgate {
namespace {

bool is_white_space(char32_t c) {
  const int kind = unicode_properties(c) & kCharClassMask;
  return kind == kSpace || kind == kNewline;
}

// Start of the white space that ends at `end`, not before `floor`.
size_t white_space_before(std::string_view text, size_t end, size_t floor) {
  while (end > floor) {
    size_t start = end - 1;
    while (start > floor && (static_cast<uint8_t>(text[start]) & 0xc0) == 0x80) --start;
    if (!is_white_space(decode_utf8(text, start).code_point)) break;
    end = start;
  }
  return end;
}

size_t white_space_after(std::string_view text, size_t begin) {
  while (begin < text.size()) {
    const DecodedCodePoint d = decode_utf8(text, begin);
    if (!is_white_space(d.code_point)) break;
    begin += static_cast<size_t>(d.bytes);
  }
  return begin;
}

}  // namespace

// One encode call: its options, its memory, its output.
class Tokenizer::Encoder {
 public:
  Encoder(const Data& data, const EncodeOptions& options) : data_(data), options_(options) {}

  std::vector<int32_t> run(std::string_view text) {
    // English has about 4.5 bytes per token.
    ids_.reserve(text.size() / 4 + 8);
    split(text, data_.raw_added, [this](std::string_view raw) {
      const std::string_view normal = data_.nfc ? normalize_nfc(raw, normalized_) : raw;
      split(normal, data_.normalized_added, [this](std::string_view plain) { encode(plain); });
    });
    return std::move(ids_);
  }

 private:
  // Gives the text between added tokens to `between`, and appends the ids of the tokens. As in
  // `tokenizers`, white space that one token takes along can still begin the next one.
  template <typename Between>
  void split(std::string_view text, const AddedTokenFinder& finder, const Between& between) {
    size_t done = 0;
    size_t space_begin = 0, space_end = 0;  // the last run of white space behind a token
    const bool search = options_.parse_special || options_.keep_plain_added;
    for (size_t from = 0; search && from < text.size();) {
      const auto match = finder.find_next(text, from);
      if (!match) break;
      from = match->end;
      const uint8_t flags = data_.flags[static_cast<size_t>(match->id)];
      if (!options_.parse_special && (flags & kTokenSpecial)) continue;
      size_t begin = match->begin;
      size_t end = match->end;
      if (flags & kTokenLeftStrip) begin = white_space_before(text, begin, done);
      if (flags & kTokenRightStrip) {
        // Within a run that is known already, it is not scanned again: time stays linear.
        if (end < space_begin || end > space_end) {
          space_begin = end;
          space_end = white_space_after(text, end);
        }
        end = space_end;
      }
      if (begin > done) between(text.substr(done, begin - done));
      ids_.push_back(match->id);
      done = end;
    }
    if (done < text.size()) between(text.substr(done));
  }

  void encode(std::string_view text) {
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = piece_end(data_.pre, text, begin);
      const std::string_view piece = text.substr(begin, end - begin);
      const int32_t id = data_.vocabulary.find(piece);
      if (id >= 0 && (data_.flags[static_cast<size_t>(id)] & kTokenWholePiece)) {
        ids_.push_back(id);
      } else {
        data_.rules.apply(piece, scratch_, ids_);
      }
      begin = end;
    }
  }

  const Data& data_;
  const EncodeOptions options_;
  std::string normalized_;
  BpeScratch scratch_;
  std::vector<int32_t> ids_;
};

Tokenizer::Tokenizer(std::unique_ptr<const Data> data) : data_(std::move(data)) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&& other) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&& other) noexcept = default;

Tokenizer Tokenizer::from_json(std::string_view tokenizer_json, std::string_view source) {
  return from_parts(parse_tokenizer_json(tokenizer_json, source));
}

Tokenizer Tokenizer::from_vocab_and_merges(std::string_view vocab_json, std::string_view merges_txt,
                                           std::string_view tokenizer_config_json,
                                           std::string_view source) {
  TokenizerParts parts = parse_vocab_and_merges(vocab_json, merges_txt, source);
  if (!tokenizer_config_json.empty()) {
    apply_tokenizer_config(parts, tokenizer_config_json, /*choose_pre=*/true, source);
  }
  return from_parts(parts);
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  if (static_cast<int64_t>(text.size()) > kMaxTextBytes) {
    fail(ErrorCode::kResourceExhausted, "tokenizer: text of {} bytes, expected at most {}",
         text.size(), kMaxTextBytes);
  }
  Encoder encoder(*data_, options);
  if (is_valid_utf8(text)) return encoder.run(text);
  return encoder.run(replace_invalid_utf8(text));
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string bytes;
  for (const int32_t id : ids) {
    if (!skip_special || !is_special(id)) bytes += token_bytes(id);
  }
  return is_valid_utf8(bytes) ? bytes : replace_invalid_utf8(bytes);
}

int32_t Tokenizer::vocab_size() const { return data_->vocabulary.size(); }

bool Tokenizer::has_token(int32_t id) const {
  return id >= 0 && id < vocab_size() && (data_->flags[static_cast<size_t>(id)] & kTokenExists);
}

std::string_view Tokenizer::token_bytes(int32_t id) const {
  return has_token(id) ? data_->vocabulary.bytes(id) : std::string_view();
}

std::string Tokenizer::token_text(int32_t id) const {
  return replace_invalid_utf8(token_bytes(id));
}

bool Tokenizer::is_added(int32_t id) const {
  return has_token(id) && (data_->flags[static_cast<size_t>(id)] & kTokenAdded);
}

bool Tokenizer::is_special(int32_t id) const {
  return has_token(id) && (data_->flags[static_cast<size_t>(id)] & kTokenSpecial);
}

std::optional<int32_t> Tokenizer::find(std::string_view text) const {
  int32_t id = data_->raw_added.find(text);
  if (id < 0 && !data_->normalized_added.empty()) {
    std::string storage;
    id = data_->normalized_added.find(is_valid_utf8(text) ? normalize_nfc(text, storage) : text);
  }
  if (id < 0) id = data_->vocabulary.find(text);
  return id < 0 ? std::nullopt : std::optional(id);
}

int32_t Tokenizer::require(std::string_view text) const {
  const auto id = find(text);
  if (!id) fail(ErrorCode::kNotFound, "{}: has no token \"{}\"", data_->source, text);
  return *id;
}

const std::vector<int32_t>& Tokenizer::eos_ids() const { return data_->eos_ids; }

bool Tokenizer::is_eos(int32_t id) const {
  const auto& eos = data_->eos_ids;
  return std::find(eos.begin(), eos.end(), id) != eos.end();
}

std::optional<int32_t> Tokenizer::bos_id() const { return data_->bos_id; }
std::optional<int32_t> Tokenizer::pad_id() const { return data_->pad_id; }
PreTokenizer Tokenizer::pre_tokenizer() const { return data_->pre; }
const std::string& Tokenizer::source() const { return data_->source; }

Tokenizer load_tokenizer_folder(const std::string& folder) {
  return Tokenizer::from_parts(read_tokenizer_folder(folder));
}

ChatTokens find_chat_tokens(const Tokenizer& t) {
  const auto added = [&t](std::string_view text) {
    const auto id = t.find(text);
    return id && t.is_added(*id) ? id : std::nullopt;
  };
  return {added("<|im_start|>"), added("<|im_end|>"),      added("<|endoftext|>"),
          added("<think>"),      added("</think>"),        added("<tool_call>"),
          added("</tool_call>"), added("<tool_response>"), added("</tool_response>")};
}

}  // namespace headgate
