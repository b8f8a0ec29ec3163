// Reads one JSON value character by character, to know where it ends.
#pragma once

#include <string>
#include <vector>

namespace headgate {

// A push-down automaton over the bytes of a JSON text. It accepts what Python's json.loads accepts:
// strict JSON plus NaN, Infinity and -Infinity.
class JsonScanner {
 public:
  enum class State {
    kMore,    // the value goes on
    kDone,    // this character was the last of the value (strings, objects, arrays)
    kBefore,  // the value ended before this character (numbers and words)
    kError
  };

  // Adds a character; none may follow kDone, kBefore or kError. White space before the value is
  // skipped.
  State push(char c);
  // Whether the value may end here, without another character.
  bool may_end() const;

  bool started() const { return place_ != Place::kValue || !open_.empty(); }
  // Open objects and arrays.
  int depth() const { return static_cast<int>(open_.size()); }
  bool in_string() const { return place_ == Place::kString || place_ == Place::kEscape; }
  // At a place where a key is expected or being read.
  bool in_key() const { return in_key_; }

 private:
  enum class Place {
    kValue,       // a value must follow
    kValueOrEnd,  // a value or ] must follow
    kKey,         // a key must follow
    kKeyOrEnd,    // a key or } must follow
    kColon,
    kCommaOrEnd,
    kString,
    kEscape,
    kHex,
    kWord,  // number, true, false, null, NaN, Infinity
    kEnd
  };

  State begin_value(char c);
  State end_value();
  State close(char bracket);
  bool word_is_complete() const;
  State in_text(char c);

  Place place_ = Place::kValue;
  std::vector<char> open_;
  std::string word_;
  int hex_digits_ = 0;
  bool in_key_ = false;
};

}  // namespace headgate
