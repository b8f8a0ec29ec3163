# headgate_embed_assets(<target> "URL|FILE|CONTENT TYPE"...): puts files into a library, behind web_asset_table.h.
#
# One assembler file holds all bytes by .incbin, one C++ file the table over them.
function(headgate_embed_assets target)
  set(assembler "# The bytes of the web page.\n        .section .rodata\n")
  set(symbols "")
  set(rows "")
  set(number 0)
  set(files "")
  foreach(asset IN LISTS ARGN)
    string(REGEX MATCH "^([^|]*)\\|([^|]*)\\|(.*)$" matched "${asset}")
    set(url "${CMAKE_MATCH_1}")
    set(file "${CMAKE_MATCH_2}")
    set(type "${CMAKE_MATCH_3}")
    if(NOT EXISTS "${file}")
      continue()
    endif()
    list(APPEND files "${file}")
    string(APPEND assembler "        .globl headgate_web_${number}_begin\nheadgate_web_${number}_begin:\n"
      "        .incbin \"${file}\"\n        .globl headgate_web_${number}_end\nheadgate_web_${number}_end:\n        .byte 0\n")
    string(APPEND symbols
      "extern const char headgate_web_${number}_begin[];\nextern const char headgate_web_${number}_end[];\n")
    string(APPEND rows "      {\"${url}\", \"${type}\", bytes(headgate_web_${number}_begin, headgate_web_${number}_end)},\n")
    math(EXPR number "${number} + 1")
  endforeach()
  string(APPEND assembler "        .section .note.GNU-stack,\"\",@progbits\n")
  set(count "${number}")
  set(table "// Made by embed_assets.cmake: the files of the web page.\n#include \"server/web_asset_table.h\"\n\n")
  string(APPEND table "extern \"C\" {\n${symbols}}\n\nnamespace headgate {\n\n"
    "std::span<const WebAsset> web_asset_table() {\n")
  if(count GREATER 0)
    string(APPEND table
      "  const auto bytes = [](const char* begin, const char* end) {\n"
      "    return std::string_view(begin, static_cast<std::string_view::size_type>(end - begin));\n  };\n"
      "  static const WebAsset table[] = {\n${rows}  };\n  return table;\n}\n")
  else()
    string(APPEND table "  return {};\n}\n")
  endif()
  string(APPEND table "\n}  // namespace headgate\n")
  set(folder ${CMAKE_CURRENT_BINARY_DIR})
  file(CONFIGURE OUTPUT ${folder}/web_bytes.S CONTENT "${assembler}" @ONLY)
  file(CONFIGURE OUTPUT ${folder}/web_asset_table.cpp CONTENT "${table}" @ONLY)
  set_source_files_properties(${folder}/web_bytes.S PROPERTIES OBJECT_DEPENDS "${files}")
  target_sources(${target} PRIVATE ${folder}/web_bytes.S ${folder}/web_asset_table.cpp)
endfunction()
