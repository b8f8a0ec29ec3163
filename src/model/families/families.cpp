// The list of model families.
#include "model/families/family.h"

namespace headgate {

std::span<const Family* const> families() {
  static constexpr const Family* kFamilies[] = {&kQwen3Next, &kQwen35Moe, &kQwen35, &kQwen3Moe,
                                                &kQwen3};
  return kFamilies;
}

}  // namespace headgate
