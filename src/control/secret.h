// Random secrets, their hashes, and comparing them without telling how far they agree.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace headgate {

// `bytes` random bytes of the system's generator as letters, digits, '-' and '_'.
std::string random_token(int64_t bytes);

// SHA-256 as 64 hexadecimal digits.
std::string sha256_hex(std::string_view text);

// Takes the same time wherever the texts differ; their lengths are not secret.
bool equal_secrets(std::string_view a, std::string_view b);

// An API key: "hg_", 256 random bits, and six check digits that find typing errors before any store
// is asked.
std::string make_api_key();
bool is_well_formed_api_key(std::string_view key);
// What may be shown of a key: "hg_Ab3dEf".
std::string api_key_prefix(std::string_view key);

}  // namespace headgate
