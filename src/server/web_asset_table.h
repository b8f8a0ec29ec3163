// The table that the build makes of the web page's files.
#pragma once

#include <span>

#include "server/web_assets.h"

namespace headgate {

std::span<const WebAsset> web_asset_table();

}  // namespace headgate
