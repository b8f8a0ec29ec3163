// A name for what is in a checkpoint, quick to find.
#pragma once

#include <string>

namespace headgate {

struct Checkpoint;

// Changes with every tensor's name, type, shape and place, and with samples of each one's bytes
// (all of small ones, a few KiB of large ones), not with where the files lie: what was computed
// with one model must not be taken for another's. 16 hexadecimal digits.
std::string checkpoint_identity(const Checkpoint& checkpoint);

}  // namespace headgate
