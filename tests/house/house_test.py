#!/usr/bin/env python3
"""The house checks find what they are there to find, and stay silent on a clean house."""
import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True

PAGE = """
| room | may include, besides `base` | room | may include, besides `base` |
|---|---|---|---|
| low | – | high | low |
| kernels | – | other | – |
"""
CLEAN = {
    "docs/architecture.md": PAGE,
    "src/base/CMakeLists.txt": "headgate_room(base HEADERS door.h SOURCES door.cpp private.h)\n",
    "src/base/door.h": "// A door of base.\n#pragma once\n#include <string>\n",
    "src/base/private.h": "// A private header.\n#pragma once\n",
    "src/base/door.cpp": '// Behind the door.\n#include "base/door.h"\n\n#include "base/private.h"\n',
    "src/low/CMakeLists.txt": "set(names extra)  # listed by a loop\nforeach(name IN LISTS names)\n  list(APPEND more ${name}.cpp)\n"
                              "endforeach()\nheadgate_room(low DEPS base SOURCES low.cpp ${more})\n",
    "src/low/low.cpp": '// Low things.\n#include "base/door.h"\n',
    "src/low/extra.cpp": "// Extra things.\n",
}


def tool(name):
    """The module of tools/<name>, which has no ending."""
    path = os.path.join(ROOT, "tools", name)
    loader = importlib.machinery.SourceFileLoader(name, path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


class HouseTest(unittest.TestCase):
    """Writes a small house into a temporary folder and lets one tool look at it."""

    def look(self, name, changes, clean=CLEAN):
        with tempfile.TemporaryDirectory() as root:
            for path, text in {**clean, **changes}.items():
                os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                    file.write(text)
            return tool(name).findings(root)[0]

    def assert_finds(self, name, changes, words):
        found = self.look(name, changes)
        self.assertTrue(any(words in finding for finding in found), f"{words!r} not in {found}")


class CheckLayers(HouseTest):
    def test_is_silent_on_a_clean_house(self):
        self.assertEqual(self.look("check_layers", {}), [])

    def test_finds_an_include_of_a_room_that_is_not_in_deps(self):
        self.assert_finds("check_layers", {"src/base/door.cpp": '// B.\n#include "low/low.h"\n'}, "not in the DEPS")

    def test_finds_an_include_of_a_private_header_of_another_room(self):
        self.assert_finds("check_layers", {"src/low/low.cpp": '// L.\n#  include "base/private.h"\n'}, "not a door")

    def test_lets_a_fuzz_target_look_behind_the_door(self):
        self.assertEqual(
            self.look("check_layers", {"tests/fuzz/x_fuzz.cpp": '// X.\n#include "base/private.h"\n'}), [])

    def test_finds_an_include_without_a_room(self):
        self.assert_finds("check_layers", {"src/low/low.cpp": '// L.\n#include "extra.h"\n'}, "name of a room")

    def test_finds_an_edge_that_the_page_does_not_allow(self):
        high = {"src/high/CMakeLists.txt": "headgate_room(high DEPS base SOURCES)",
                "src/low/CMakeLists.txt": "headgate_room(low DEPS base high SOURCES low.cpp extra.cpp)"}
        self.assert_finds("check_layers", high, "low -> high is not an edge")

    def test_finds_a_cycle(self):
        cycle = {"src/high/CMakeLists.txt": "headgate_room(high DEPS low)",
                 "src/low/CMakeLists.txt": "headgate_room(low DEPS high SOURCES low.cpp extra.cpp)"}
        self.assert_finds("check_layers", cycle, "cycle of rooms: high -> low -> high")

    def test_finds_a_file_that_is_listed_nowhere(self):
        self.assert_finds("check_layers", {"src/low/lost.cpp": "// Lost.\n"}, "not listed")

    def test_finds_a_listed_file_that_does_not_exist(self):
        self.assert_finds("check_layers", {"src/low/CMakeLists.txt": "headgate_room(low SOURCES gone.cpp)"},
                          "lists gone.cpp")

    def test_finds_a_room_that_the_page_does_not_know(self):
        self.assert_finds("check_layers", {"src/attic/CMakeLists.txt": "headgate_room(attic)"}, "not in the table")

    def test_finds_cpp_headers_and_other_rooms_in_an_isa_folder(self):
        isa = {"src/kernels/CMakeLists.txt": "headgate_room(kernels DEPS base SOURCES avx2/a.cpp HEADERS k.h)",
               "src/kernels/k.h": "// K.\n",
               "src/kernels/avx2/a.cpp": '// A.\n#include <immintrin.h>\n#include <math.h>\n#include "kernels/k.h"\n'}
        self.assertEqual(self.look("check_layers", isa), [])
        isa["src/kernels/avx2/a.cpp"] += "#include <algorithm>\n"
        self.assert_finds("check_layers", isa, "<algorithm> in an ISA folder")
        isa["src/kernels/avx2/a.cpp"] += '#include "base/door.h"\n'
        self.assert_finds("check_layers", isa, '"base/door.h" in an ISA folder')

    def test_reads_every_room_of_this_repository(self):
        with open(os.path.join(ROOT, "docs", "architecture.md"), encoding="utf-8") as page:
            allowed = tool("check_layers").allowed_edges(page.read())
        self.assertEqual(len(allowed), 22)
        self.assertIn("kernels", allowed["backend"])


class CheckSizes(HouseTest):
    def test_is_silent_on_a_clean_house(self):
        self.assertEqual(self.look("check_sizes", {}), [])

    def test_finds_a_long_file_and_a_long_header(self):
        self.assert_finds("check_sizes", {"src/low/low.cpp": "// Low.\n" * 601}, "601 lines, at most 600")
        self.assert_finds("check_sizes", {"src/base/door.h": "// Door.\n" * 301}, "301 lines, at most 300")

    def test_leaves_out_the_exceptions(self):
        listed = {"src/low/low.cpp": "// Low tables.\n" * 700, "tools/size_exceptions.txt": "src/low/low.cpp  made\n"}
        self.assertEqual(self.look("check_sizes", listed), [])

    def test_finds_a_long_function_but_allows_it_in_kernels(self):
        text = "// Long, with '{' and \"{\" in it.\nstruct X {\n  X() : a_{1} {\n" + "    a_ += '{';\n" * 79 + "  }\n};\n"
        self.assert_finds("check_sizes", {"src/low/low.cpp": text}, "function X has 81 lines")
        self.assertEqual(self.look("check_sizes", {"src/kernels/k.cpp": text}), [])

    def test_finds_a_long_python_function(self):
        self.assert_finds("check_sizes", {"tools/x.py": '"""For x."""\ndef f():\n' + "    pass\n" * 81}, "function f")

    def test_finds_a_file_without_an_opening_sentence(self):
        self.assert_finds("check_sizes", {"src/low/low.cpp": "#pragma once\n"}, "does not open")
        self.assert_finds("check_sizes", {"tools/x.py": "import os\n"}, "does not open")


class CheckNames(HouseTest):
    def test_is_silent_on_a_clean_house(self):
        self.assertEqual(self.look("check_names", {}), [])

    def test_finds_paths_of_one_machine(self):
        for place in ("/wo" + "rk/main", "../sha" + "red/spec", "/opt/" + "hg"):
            self.assert_finds("check_names", {"README.md": f"see {place}\n"}, "a path of one machine")

    def test_finds_unfinished_work_and_trailing_blanks(self):
        self.assert_finds("check_names", {"src/low/low.cpp": "// TO" + "DO: later\n"}, "unfinished")
        self.assert_finds("check_names", {"src/low/low.cpp": "int x; \n"}, "trailing")
        self.assert_finds("check_names", {"src/low/low.cpp": "int x;"}, "no newline")

    def test_lets_data_say_anything(self):
        self.assertEqual(self.look("check_names", {"tests/data/text.txt": "TO" + "DO \n"}), [])


@unittest.skipUnless(shutil.which("nm") and shutil.which("g++"), "needs g++ and nm")
class CheckIsaSymbols(unittest.TestCase):
    def compile(self, source):
        with tempfile.TemporaryDirectory() as root:
            folder = os.path.join(root, "src", "kernels", "CMakeFiles", "headgate_kernels.dir", "avx2")
            os.makedirs(folder)
            subprocess.run(["g++", "-O0", "-x", "c++", "-c", "-", "-o", os.path.join(folder, "a.cpp.o")],
                           input=source, text=True, check=True)
            return tool("check_isa_symbols").findings(root)

    def test_finds_an_inline_function(self):
        found, _ = self.compile("inline int twice(int x) { return 2 * x; } int f(int x) { return twice(x); }")
        self.assertEqual(len(found), 1)
        self.assertIn("twice", found[0])

    def test_is_silent_on_a_static_function(self):
        found, looked = self.compile("static int twice(int x) { return 2 * x; } int f(int x) { return twice(x); }")
        self.assertEqual((found, looked), ([], "1 objects"))


if __name__ == "__main__":
    unittest.main()
