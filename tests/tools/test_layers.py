#!/usr/bin/env python3
"""tools/layers on small trees: each kind of error is named, with its place, and a tree without one passes."""

import contextlib
import io
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

LAYERS = pathlib.Path(__file__).resolve().parents[2] / "tools" / "layers"
CODE = compile(LAYERS.read_text(encoding="utf-8"), str(LAYERS), "exec")
GOOD = {
    "low/ROOM": "What everybody uses.\nmay include: socks64\n",
    "low/word.hpp": '#include "socks64/address.hpp"\n',
    "low/word.cpp": '#include "low/word.hpp"\n',
    "high/ROOM": "What acts.\nmay include: low\n",
    "high/act.cpp": '#include <string>\n#include "low/word.hpp"\n',
}
# The same with all that tools/layers looks at when it is not told a root.
TREE = {
    **{f"gatewayd/{name}": text for name, text in GOOD.items()},
    "gatewayd/CMakeLists.txt": "",
    "shim/host/ROOM": "How to live in a stranger's process.\nmay include: socks64\n",
    "shim/host/guard.cpp": '#include "socks64/address.hpp"\n',
    "src/address.cpp": '#include <bit>\n\n#include "socks64/address.hpp"\n#include "text.hpp"\n',
    "src/text.hpp": "",
    "include/socks64/address.hpp": '#include "socks64/result.hpp"\n',
    "include/socks64/result.hpp": "",
    "docs/architecture.md": """# Map

<!-- rooms of shim: tools/layers --map shim -->

| Room | What it is for | May include |
|---|---|---|
| `host/` | How to live in a stranger's process. | socks64 |

<!-- end of the rooms of shim -->
<!-- rooms of gatewayd: tools/layers --map gatewayd -->

| Room | What it is for | May include |
|---|---|---|
| `low/` | What everybody uses. | socks64 |
| `high/` | What acts. | low |

<!-- end of the rooms of gatewayd -->
""",
}


class Tree:
    """A folder with these files: text, bytes, or a function that puts something else there."""

    def __init__(self, files):
        self.files = files

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        top = pathlib.Path(self.folder.name).resolve() / "tree"
        for name, content in self.files.items():
            path = top / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if callable(content):
                content(path)
            else:
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return top

    def __exit__(self, *_):
        self.folder.cleanup()


def layers(program, *arguments):
    """Status and output of the program, as if it lay there. It runs in this process: hundreds would take half a minute."""
    said = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    names = {"__name__": "layers", "__file__": str(program)}
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        exec(CODE, names)
        status = names["main"]([str(argument) for argument in arguments])
    said.seek(0)
    return status, said.read()


def link_to(target):
    return lambda path: path.symlink_to(target)


class OneRoot(unittest.TestCase):
    def assert_named(self, changes, *expected):
        """The problems of GOOD with these changes are the expected ones, of which each says its beginning, and no others."""
        with Tree({**GOOD, **changes}) as top:
            status, said = layers(LAYERS, top)
        said = said.replace(f"{top}/", "")
        self.assertEqual(status, 1, said)
        lines = said.splitlines()
        problems = [line for line in lines[:-1] if not line.startswith(" ")]
        self.assertEqual(len(problems), len(expected), said)
        for problem in expected:
            self.assertTrue(any(line.startswith(problem) for line in problems), f"{problem}\nis not in\n{said}")
        self.assertRegex(lines[-1], f"^{len(expected)} problems? in ")
        return said

    def assert_passes(self, changes, summary):
        with Tree({**GOOD, **changes}) as top:
            self.assertEqual(layers(LAYERS, top), (0, f"{summary}: all as permitted\n"))

    def test_a_tree_that_keeps_to_its_rooms(self):
        self.assert_passes({}, "2 rooms, 2 units, 2 includes between the rooms")

    def test_a_unit_is_three_files_of_a_name(self):
        self.assert_passes({"low/word.inc": "", "low/words.inc": "", "high/word.inc": ""},
                           "2 rooms, 4 units, 2 includes between the rooms")

    def test_an_include_that_is_not_permitted(self):
        self.assert_named({"high/x.hpp": "", "low/word.cpp": '\n#include "high/x.hpp"\n'},
                          'low/word.cpp:2: low/ROOM does not permit "high/x.hpp"')

    def test_the_public_headers_need_a_permission_too(self):
        self.assert_named({"high/act.hpp": '#include "socks64/wire.hpp"\n'},
                          'high/act.hpp:1: high/ROOM does not permit "socks64/wire.hpp"')

    def test_a_type_declared_of_a_room_that_is_not_permitted(self):
        self.assert_named({"high/act.hpp": "namespace a {\nstruct Act {\n};\n}\n", "low/word.cpp": "namespace a {\nstruct Act;\n}\n"},
                          'low/word.cpp:2: low/ROOM does not permit high, which has "Act"')
        self.assert_passes({"low/word.cpp": "class Word final : public Other {\n};\n", "high/act.hpp": "class Word;\nclass Unknown;\n"},
                           "2 rooms, 2 units, 2 includes between the rooms")

    def test_a_carriage_return_is_no_hiding_place(self):
        self.assert_named({"low/word.cpp": '\n// c\r#include "high/act.hpp"\r\n'},
                          "low/word.cpp:2: a carriage return alone ends a line")

    def test_an_include_without_a_room(self):
        for name in ("word.hpp", "tree/low/word.hpp", "lost/word.hpp"):
            with self.subTest(name):
                self.assert_named({"low/word.cpp": f'#include "{name}"\n'},
                                  f'low/word.cpp:1: the include "{name}" does not')

    def test_an_include_that_leads_nowhere(self):
        for name in ("low/gone.hpp", "socks64/gone.hpp", f"low/{'long' * 100}.hpp", "low/word", "low\\word.hpp"):
            with self.subTest(name):
                self.assert_named({"low/a.cpp": f'#include "{name}"\n'}, f'low/a.cpp:1: the include "{name}" ')

    def test_an_include_of_what_is_no_source(self):
        self.assert_named({"low/word.cpp": '#include "low/ROOM"\n'},
                          'low/word.cpp:1: the include "low/ROOM" leads to a file that')

    def test_a_path_with_dots(self):
        for name in ("low/../low/word.hpp", "./low/word.hpp", "../low/word.hpp", "low/./word.hpp", "low//word.hpp",
                     "/usr/x.h"):
            for include in (f'"{name}"', f"<{name}>"):
                with self.subTest(include):
                    self.assert_named({"low/a.cpp": f"#include {include}\n"},
                                      f"low/a.cpp:1: the path of the include {include} has")

    def test_a_room_in_angle_brackets(self):
        for name in ("low/word.hpp", "high/act.hpp", "socks64/address.hpp", "gatewayd/low/word.hpp", "src/text.hpp"):
            with self.subTest(name):
                self.assert_named({"low/a.cpp": f"#include <{name}>\n"},
                                  f"low/a.cpp:1: the include <{name}> names a file of this")

    def test_headers_of_others(self):
        self.assert_passes({"high/act.hpp": "#include <sys/socket.h>\n#include <a/post.hpp>\n"
                                            "#if __has_include(<a/b.hpp>)\n#elif defined(__has_include)\n#endif\n"
                                            "#ifdef __has_include\n#endif\n"},
                           "2 rooms, 2 units, 2 includes between the rooms")

    def test_an_include_of_what_a_macro_says(self):
        for name in ("WORD", "HEADER(low/word.hpp)", "", '"low/word.hpp" WORD', '"low/word.hpp'):
            with self.subTest(name):
                self.assert_named({"low/a.cpp": f"\n#include {name}\n"},
                                  "low/a.cpp:2: this #include does not name its file")

    def test_forms_that_lead_to_a_file_too(self):
        for text in ('#  include "high/act.hpp"', ' \t#\tinclude"high/act.hpp"',
                     '# /* why */ include /* what */ "high/act.hpp" // x',
                     '/**/#include "high/act.hpp"', '%:include "high/act.hpp"',
                     '#if 0\n#include "high/act.hpp"\n#endif',
                     '#inc\\\nlude \\\n "high/act.hpp"', '\ufeff#include "high/act.hpp"', '#include "high/act.hpp"\r',
                     '"//"; /* "\n*/\n#include "high/act.hpp"', "1'0; '\"';/*'*/ \n#include \"high/act.hpp\"",
                     'R"(/*)";\n#include "high/act.hpp"', "#include <a/*b>\n#include \"high/act.hpp\""):
            with self.subTest(text):
                line = text.encode().split(b"#inc")[0].count(b"\n") + 1
                line += text.startswith("#include <a")
                self.assert_named({"low/a.cpp": f"{text}\n", "high/act.hpp": ""},
                                  f"low/a.cpp:{line}: low/ROOM does not permit")

    def test_the_lines_behind_a_continued_one(self):
        self.assert_named({"low/a.cpp": '#define A 1 + \\\n 2\n/* \\\n */\n#include "high/act.hpp"\n',
                           "high/act.hpp": ""},
                          "low/a.cpp:5: low/ROOM does not permit")

    def test_what_is_no_include(self):
        self.assert_passes({"low/a.cpp": '// #include "a"\n/*\n#include "b"\n*/\nauto x = R"d(\n#include "c"\n)" )d";\n'
                                         '// \\\n#include "d"\nauto y = "#include \\"e\\"";\n'
                                         '#pragma once\n#error includes "f"\n'},
                           "2 rooms, 3 units, 2 includes between the rooms")

    def test_other_words_for_include(self):
        for word in ("include_next", "import", "embed"):
            for name in ('"low/word.hpp"', "<low/word.hpp>", "<string>", "WORD"):
                with self.subTest(f"{word} {name}"):
                    self.assert_named({"low/a.cpp": f"# {word} {name}\n"}, f"low/a.cpp:1: #{word} is not used here")

    def test_a_question_for_a_file_of_ours(self):
        for asked in ('__has_include("low/word.hpp")', "__has_include ( <low/word.hpp> )", "__has_include(WORD)",
                      '__has_include_next("low/word.hpp")', '__has_embed("low/word.hpp")'):
            for line in (f"#if {asked}", f"#elif 1 && {asked}", f"#define A {asked}"):
                with self.subTest(line):
                    word = asked.partition("(")[0].strip()
                    self.assert_named({"low/a.cpp": f"{line}\n"}, f"low/a.cpp:1: {word} is for others' headers")

    def test_sources_with_other_suffixes(self):
        for suffix in (".h", ".c", ".cc", ".hh", ".ipp", ".inl", ".S", ".cxx", ".hxx", ".C", ".H", ".CPP", ".tcc",
                       ".def"):
            with self.subTest(suffix):
                self.assert_named({f"low/a{suffix}": '#include "high/act.cpp"\n'},
                                  f"low/a{suffix}:1: a source ends in .cpp, .hpp or .inc")

    def test_a_source_outside_of_every_room(self):
        for name in ("stray.cpp", "stray.h"):
            with self.subTest(name):
                self.assert_named({name: ""}, f"{name}:1: a source lies in a room")

    def test_a_permission_that_nobody_uses(self):
        self.assert_named({"high/act.cpp": ""}, 'high/ROOM:2: it permits "low", and no file')

    def test_a_permission_for_no_room(self):
        self.assert_named({"high/ROOM": "What acts.\nmay include: low lost\n"},
                          'high/ROOM:2: it permits "lost", which is no room')

    def test_a_permission_that_stands_twice(self):
        self.assert_named({"high/ROOM": "What acts.\nmay include: low low\n"},
                          'high/ROOM:2: it names "low" more than once')
        self.assert_named({"low/ROOM": "What everybody uses.\nmay include: socks64 socks64 socks64\n"},
                          'low/ROOM:2: it names "socks64" more than once')

    def test_a_permission_for_itself(self):
        self.assert_named({"high/ROOM": "What acts.\nmay include: high low\n"}, 'high/ROOM:2: it permits "high" itself')

    def test_a_room_without_its_file(self):
        self.assert_named({"other/x.cpp": ""}, "other/ROOM:1: each room has this file, and it is missing")
        self.assert_named({"other/ROOM/x.cpp": ""}, "other/ROOM:1: each room has this file, and it is missing")

    def test_a_room_file_of_another_form(self):
        for text, line in (("What acts\nmay include: low\n", 1), ("\nmay include: low\n", 1), ("", 1),
                           (" What acts.\nmay include: low\n", 1),
                           ("What acts.\n", 2), ("What acts.\nmay use: low\n", 2),
                           ("What acts.\nmay include: low\nmore\n", 2),
                           ("What acts.\nmay include:  low\n", 2), ("What acts.\nmay include: low \n", 2),
                           ("What acts.\nmay include: low,socks64\n", 2), ("What acts.\nmay include:low\n", 2)):
            with self.subTest(text):
                self.assert_named({"high/ROOM": text}, f"high/ROOM:{line}: expected a ")

    def test_a_room_file_in_another_place(self):
        self.assert_named({"low/deep/ROOM": GOOD["low/ROOM"]}, "low/deep/ROOM:1: a ROOM lies in the folder of its room")
        self.assert_named({"ROOM": GOOD["low/ROOM"]}, "ROOM:1: a ROOM lies in the folder of its room")

    def test_a_room_with_a_name_that_is_taken(self):
        self.assert_named({"socks64/ROOM": "What is public.\nmay include:\n"},
                          'socks64/ROOM:1: no room has the name "socks64"')

    def test_folders_in_a_room(self):
        self.assert_passes({"low/a.hpp": "", "low/a.cpp": '#include "low/deep/b/c.hpp"\n', "low/deep/b/c.hpp": "",
                            "low/deep/a.cpp": '#include "low/a.hpp"\n#include "low/deep/b/c.hpp"\n'},
                           "2 rooms, 5 units, 2 includes between the rooms")  # low/a and low/deep/a are two units
        self.assert_named({"low/deep/b/a.cpp": '#include "high/act.hpp"\n', "high/act.hpp": ""},
                          "low/deep/b/a.cpp:1: low/ROOM does not permit")

    def test_a_folder_in_a_room_that_hides_a_room(self):
        for name in ("high", "low", "socks64"):
            with self.subTest(name):
                self.assert_named({f"low/{name}/x.hpp": "", f"low/{name}/y.hpp": ""},
                                  f"low/{name}:1: a compiler would find it before the room")

    def test_symbolic_links(self):
        outside = '#include "nowhere"\n'
        for name in ("low/link.hpp", "low/link", "link", "link.cpp"):
            with self.subTest(name):
                self.assert_named({"../outside/x.cpp": outside, name: link_to(f"{'../' * name.count('/')}../outside")},
                                  f"{name}:1: this is a symbolic link")
        self.assert_named({"low/link.hpp": link_to("word.hpp")}, "low/link.hpp:1: this is a symbolic link")
        self.assert_named({"low/loop": link_to("../low")}, "low/loop:1: this is a symbolic link")
        self.assert_named({"low/gone.hpp": link_to("nowhere")}, "low/gone.hpp:1: this is a symbolic link")

    def test_an_include_of_a_symbolic_link(self):
        self.assert_named({"low/link.hpp": link_to("word.hpp"), "low/a.cpp": '#include "low/link.hpp"\n'},
                          "low/link.hpp:1: this is a symbolic link",
                          'low/a.cpp:1: the include "low/link.hpp" leads to no file')

    def test_a_room_file_that_is_a_link(self):
        self.assert_named({"other/ROOM": link_to("../low/ROOM")}, "other/ROOM:1: this is a symbolic link",
                          "other/ROOM:1: each room")

    def test_files_that_cannot_be_read(self):
        self.assert_named({"low/a.cpp": b"// one\n// \xe4\n"}, "low/a.cpp:2: the file is not in UTF-8")
        self.assert_named({"high/ROOM": b"What acts\xff.\nmay include: low\n"}, "high/ROOM:1: the file is not in UTF-8")
        self.assert_named({"low/a.cpp": lambda path: os.mkfifo(path)},
                          "low/a.cpp:1: this is neither a file nor a folder")
        self.assert_named({os.fsdecode(b"low/\xff.h"): ""}, "low/\\udcff.h:1: a source ends in")

    def test_rooms_in_a_ring(self):
        said = self.assert_named({"low/ROOM": "What everybody uses.\nmay include: high socks64\n", "high/x.hpp": "",
                                  "low/word.cpp": '\n#include "high/x.hpp"\n', "low/b.cpp": '#include "high/x.hpp"\n'},
                                 "high/act.cpp:2: these rooms include each other in a ring: high low")
        self.assertIn('high low\n    high/act.cpp:2: high includes "low/word.hpp"\n    low/b.cpp:1: low includes "high/x.hpp"\n'
                      '    low/word.cpp:2: low includes "high/x.hpp"\n1 problem in', said)

    def test_units_in_a_ring_through_two_rooms(self):
        said = self.assert_named({"high/act.hpp": "", "low/word.cpp": '#include "high/act.hpp"\n'},
                                 'low/word.cpp:1: low/ROOM does not permit',
                                 "high/act.cpp:2: these units include each other")
        self.assertIn('    low/word.cpp:1: low/word includes "high/act.hpp"\n', said)

    def test_rooms_in_a_ring_of_permissions(self):
        said = self.assert_named({"low/ROOM": "What everybody uses.\nmay include: high socks64\n"},
                                 'low/ROOM:2: it permits "high", and no file',
                                 "high/act.cpp:2: these rooms include each other")
        self.assertIn("    low/ROOM:2: low has the permission\n", said)

    def test_units_in_a_ring(self):
        said = self.assert_named({"low/a.hpp": "", "low/a.cpp": '#include "low/b.hpp"\n',
                                  "low/b.hpp": '\n#include "low/a.hpp"\n'},
                                 "low/a.cpp:1: these units include each other in a ring: low/a low/b")
        self.assertIn('    low/a.cpp:1: low/a includes "low/b.hpp"\n    low/b.hpp:2: low/b includes "low/a.hpp"\n',
                      said)

    def test_an_inc_belongs_to_its_unit(self):
        self.assert_named({"low/a.inc": '#include "low/b.hpp"\n', "low/b.hpp": '#include "low/a.hpp"\n',
                           "low/a.hpp": ""},
                          "low/a.inc:1: these units include each other in a ring: low/a low/b")

    def test_the_shortest_of_many_rings(self):
        said = self.assert_named({"low/a.hpp": '#include "low/b.hpp"\n', "low/b.hpp": '#include "low/c.hpp"\n',
                                  "low/c.hpp": '#include "low/d.hpp"\n',
                                  "low/d.hpp": '#include "low/a.hpp"\n#include "low/c.hpp"\n'},
                                 "low/c.hpp:1: these units include each other in a ring: low/a low/b low/c low/d")
        self.assertIn('  the shortest way round: low/c -> low/d -> low/c\n    low/c.hpp:1: low/c includes "low/d.hpp"\n'
                      '    low/d.hpp:2: low/d includes "low/c.hpp"\n1 problem', said)

    def test_two_rings_are_two_problems(self):
        files = {f"low/{name}.hpp": f'#include "low/{other}.hpp"\n' for name, other in ("ab", "ba", "xy", "yx")}
        self.assert_named(files, "low/a.hpp:1: these units", "low/x.hpp:1: these units")

    def test_counts(self):
        with Tree(GOOD) as top:
            status, said = layers(LAYERS, "--count", top)
        self.assertEqual((status, said), (0, """
tree: how many includes lead from the room of a row to the room of a column

         1  2 socks64
 1 low   .          1
 2 high  1  .

tree: what each room may include

   low  socks64
   high low

2 rooms, 2 units, 2 includes between the rooms: all as permitted
"""))

    def test_counts_of_many_rooms_fit_a_screen(self):
        rooms = [f"room_with_name_{number:02}" for number in range(20)]
        files = {f"{room}/ROOM": f"Some.\nmay include:{''.join(f' {other}' for other in rooms[:number])}\n"
                 for number, room in enumerate(rooms)}
        files |= {f"{room}/a.hpp": "".join(f'#include "{other}/a.hpp"\n' * 10 for other in rooms[:number])
                  for number, room in enumerate(rooms)}
        with Tree(files) as top:
            status, said = layers(LAYERS, "--count", top)
        self.assertEqual(status, 0, said)
        self.assertLessEqual(max(len(line) for line in said.splitlines()), 120, said)
        self.assertIn("20 room_with_name_19 10 10 10", said)


class WholeTree(unittest.TestCase):
    """tools/layers in a tree of its own."""

    def run_in(self, changes, *arguments, then=None):
        files = {**TREE, **changes}
        files = {name: content for name, content in files.items() if content is not None}
        with Tree(files) as top:
            status, said = layers(top / "tools" / "layers",
                                  *(argument if argument.startswith(("-", "/")) else top / argument for argument in arguments))
            return (status, said, then(top)) if then else (status, said)

    def assert_named(self, changes, *expected):
        status, said = self.run_in(changes)
        self.assertEqual(status, 1, said)
        *problems, last = (line for line in said.splitlines() if not line.startswith(" "))
        self.assertEqual(len(problems), len(expected), said)
        for problem, beginning in zip(problems, expected):
            self.assertTrue(problem.startswith(beginning), f"{beginning}\nis not in\n{said}")
        self.assertTrue(last.startswith(f"{len(expected)} problem"), said)

    def test_a_tree_that_keeps_to_its_rooms(self):
        self.assertEqual(self.run_in({}),
                         (0, "3 rooms and the library, 6 units, 3 includes between the rooms: all as permitted\n"))

    def test_the_program_itself(self):
        for changes, expected in (({}, 0), ({"gatewayd/stray.cpp": ""}, 1), ({os.fsdecode(b"src/\xff.h"): ""}, 1)):
            with Tree({**TREE, **changes, "tools/layers": lambda path: shutil.copy(LAYERS, path)}) as top:
                done = subprocess.run([top / "tools" / "layers"], capture_output=True, check=False, cwd="/")
                self.assertEqual((done.returncode, done.stderr), (expected, b""))
                self.assertIn(b"3 rooms and the library, 6 units", done.stdout)

    def test_one_part_of_it(self):
        self.assertEqual(self.run_in({}, "shim"),
                         (0, "1 room, 1 unit, 1 include between the rooms: all as permitted\n"))
        self.assertEqual(self.run_in({}, "src"), (0, "the library, 3 units: all as permitted\n"))

    def test_an_include_of_the_other_root(self):
        for name in ("host/guard.hpp", "host/gone.hpp", "shim/host/guard.hpp"):
            with self.subTest(name):
                self.assert_named({"shim/host/guard.hpp": "", "gatewayd/low/word.cpp": f'\n#include "{name}"\n'},
                                  f'gatewayd/low/word.cpp:2: the include "{name}" leads to shim; the two roots')
        self.assert_named({"shim/host/guard.hpp": '#include "low/word.hpp"\n'},
                          'shim/host/guard.hpp:1: the include "low/word.hpp" leads to gatewayd; the two roots')

    def test_an_include_of_the_other_root_where_both_have_the_room(self):
        shared = {"gatewayd/host/ROOM": "Another host.\nmay include:\n"}
        status, said = self.run_in({**shared, "gatewayd/host/a.cpp": '#include "host/guard.hpp"\n',
                                    "shim/host/guard.hpp": ""}, "gatewayd")
        self.assertEqual(status, 1)
        self.assertIn('gatewayd/host/a.cpp:1: the include "host/guard.hpp" leads to shim;', said)

    def test_an_include_of_the_other_root_in_angle_brackets(self):
        for name in ("host/guard.hpp", "shim/host/guard.hpp"):
            with self.subTest(name):
                self.assert_named({"gatewayd/low/word.cpp": f"#include <{name}>\n"},
                                  f"gatewayd/low/word.cpp:1: the include <{name}> names a file of this tree")

    def test_a_permission_for_the_other_root(self):
        status, said = self.run_in({"gatewayd/low/ROOM": "What everybody uses.\nmay include: host socks64\n"},
                                   "gatewayd")
        self.assertEqual(status, 1)
        self.assertIn('gatewayd/low/ROOM:2: it permits "host", which is a room of shim\n', said)

    def test_a_private_header_of_the_library(self):
        for name in ("text.hpp", "src/text.hpp"):
            with self.subTest(name):
                self.assert_named({"gatewayd/low/word.cpp": f'#include "{name}"\n'},
                                  f'gatewayd/low/word.cpp:1: the include "{name}" does')

    def test_the_library_knows_no_room(self):
        for name in ("low/word.hpp", "host/guard.cpp", "gatewayd/low/word.hpp", "shim/host/guard.cpp", "gone.hpp",
                     "socks64/gone.hpp", "address.hpp"):
            with self.subTest(name):
                self.assert_named({"src/text.hpp": f'\n#include "{name}"\n'},
                                  f'src/text.hpp:2: the include "{name}" does not lead to a public header '
                                  "(socks64/...) or a file of src")
                self.assert_named({"include/socks64/result.hpp": f'#include "{name}"\n'},
                                  f'include/socks64/result.hpp:1: the include "{name}" does not lead to a public')

    def test_a_public_header_knows_no_private_one(self):
        self.assert_named({"include/socks64/result.hpp": '#include "text.hpp"\n'},
                          'include/socks64/result.hpp:1: the include "text.hpp" does not lead to a public header')

    def test_a_ring_in_the_library(self):
        self.assert_named({"include/socks64/result.hpp": '#include "socks64/ring.hpp"\n',
                           "include/socks64/ring.hpp": "",
                           "src/ring.cpp": '#include "text.hpp"\n',
                           "src/text.hpp": '#include "socks64/result.hpp"\n'},
                          "include/socks64/result.hpp:1: these units include each other in a ring: result ring text")

    def test_asio_in_a_room_without_the_loop(self):
        tree = {"gatewayd/loop/ROOM": "Waits.\nmay include: socks64\n",
                "gatewayd/loop/net.hpp": '#include <asio.hpp>\n#include "socks64/result.hpp"\n'}
        for header in ("asio.hpp", "asio/io_context.hpp"):
            with self.subTest(header):
                status, said = self.run_in({**tree, "gatewayd/low/word.cpp": f"#include <{header}>\n"}, "gatewayd")
                self.assertEqual(status, 1)
                self.assertIn(f"gatewayd/low/word.cpp:1: <{header}> is for rooms that may include loop; this place is without", said)
                self.assertNotIn("loop/net.hpp", said)

    def test_asio_in_the_shim_and_in_the_library(self):
        for name in ("shim/host/guard.cpp", "src/text.hpp", "include/socks64/result.hpp"):
            with self.subTest(name):
                text = TREE[name] + "#include <asio/post.hpp>\n"
                self.assert_named({name: text}, f"{name}:{text.count(chr(10))}: <asio/post.hpp> is for rooms that may")

    def test_forms_of_includes_in_the_library(self):
        for text, problem in (("#include <low/word.hpp>", "the include <low/word.hpp> names a file of this tree"),
                              ("#include <host/guard.cpp>", "the include <host/guard.cpp> names"),
                              ("#include <socks64/result.hpp>", "the include <socks64/result.hpp> names"),
                              ("#include <text.hpp>", "the include <text.hpp> names"),
                              ('#include "../gatewayd/low/word.hpp"', "the path of the include"),
                              ("#include WORD", "this #include does not name"),
                              ('#import "text.hpp"', "#import is not used here"),
                              ('#if __has_include("low/word.hpp")', "__has_include is for others'")):
            with self.subTest(text):
                self.assert_named({"src/text.hpp": f"{text}\n"}, f"src/text.hpp:1: {problem}")

    def test_headers_of_others_in_the_library(self):
        status, said = self.run_in({"src/text.hpp": "#include <sys/text.hpp>\n#include <string.h>\n"})
        self.assertEqual(status, 0, said)

    def test_files_of_the_library_in_other_places(self):
        for name in ("src/deep/a.cpp", "include/a.hpp", "include/other/a.hpp", "include/socks64/deep/a.hpp"):
            with self.subTest(name):
                self.assert_named({name: ""}, f"{name}:1: the library's sources lie in src and include/socks64")

    def test_files_of_the_library_of_other_forms(self):
        self.assert_named({"src/a.h": "", "src/b.cpp": b"\n\n\xff", "src/c.hpp": link_to("text.hpp")},
                          "src/a.h:1: a source ends in", "src/c.hpp:1: this is a symbolic link",
                          "src/b.cpp:3: the file is not in UTF-8")

    def test_a_root_that_is_a_link(self):
        changes = {name: None for name in TREE if name.startswith("shim/")}
        status, said = self.run_in({**changes, "shim": link_to("gatewayd")})
        self.assertEqual(status, 1)
        self.assertIn("shim:1: this is a symbolic link", said)

    def test_a_part_that_is_missing(self):
        for part in ("gatewayd", "shim", "src", "include"):
            with self.subTest(part):
                status, said = self.run_in({name: None for name in TREE if name.startswith(f"{part}/")})
                self.assertEqual(status, 2, said)
                self.assertRegex(said, "^tools/layers: (gatewayd|shim|src) is no folder of sources\n$")

    def test_a_table_that_is_out_of_date(self):
        for old, new, line in (("What acts", "What waits", 15), ("| `low/`", "extra\n| `low/`", 14),
                               ("| low |\n\n", "| low |\n", 16),
                               ("| `high/` | What acts. | low |\n", "", 15), ("\n| `high/`", "\n\n| `high/`", 15)):
            with self.subTest(new):
                self.assert_named({"docs/architecture.md": TREE["docs/architecture.md"].replace(old, new)},
                                  f"docs/architecture.md:{line}: the table of gatewayd is out of date")

    def test_a_table_without_its_place(self):
        page = TREE["docs/architecture.md"]
        begin, end = "<!-- rooms of shim: tools/layers --map shim -->\n", "<!-- end of the rooms of shim -->\n"
        swapped = begin.join(piece.replace(begin, end) for piece in page.split(end))
        for changed in (page.replace(begin, ""), page.replace(end, ""), page + begin, page + end, swapped):
            with self.subTest(changed):
                self.assert_named({"docs/architecture.md": changed},
                                  f'docs/architecture.md:1: expected one "{begin.strip()}"')

    def test_a_page_that_cannot_be_read(self):
        self.assert_named({"docs/architecture.md": None}, "docs/architecture.md:1: the file cannot be read",
                          "docs/architecture.md:1: the f")

    def test_write(self):
        def page(top):
            return (top / "docs" / "architecture.md").read_text()

        old = TREE["docs/architecture.md"].replace("What acts", "Old").replace("| socks64 |", "| |") + "the end"
        status, said, written = self.run_in({"docs/architecture.md": old}, "--write", then=page)
        self.assertEqual((status, written), (0, TREE["docs/architecture.md"] + "the end"), said)
        self.assertEqual(said, "docs/architecture.md: the table of gatewayd is written\n"
                               "docs/architecture.md: the table of shim is written\n")
        status, said, written = self.run_in({"docs/architecture.md": old}, "--write", "shim", then=page)
        self.assertEqual((status, said), (0, "docs/architecture.md: the table of shim is written\n"))
        self.assertIn("| `high/` | Old. | low |", written)
        self.assertEqual(self.run_in({}, "--write", then=page), (0, "", TREE["docs/architecture.md"]))

    def test_write_without_a_place_or_with_a_wrong_room(self):
        status, said = self.run_in({"docs/architecture.md": "# Map\n"}, "--write")
        self.assertEqual((status, said.count("architecture.md:1: expected one")), (1, 2), said)
        status, said = self.run_in({"gatewayd/low/ROOM": "What\n"}, "--write")
        self.assertEqual(status, 1)
        self.assertIn("gatewayd/low/ROOM:1: expected a sentence", said)

    def test_map_has_the_order_of_the_stages(self):
        def room(number, name, may_include):
            purpose = f"Stage{'s' * (number == '1 and 2')} {number}: one." if number else "One."
            permitted = "".join(f" {other}" for other in may_include)
            return {f"gatewayd/{name}/ROOM": f"{purpose}\nmay include:{permitted}\n"}

        files = {**room("", "x_base", []), **room("", "a_all", ["a_ten", "z_two"]), **room("10", "a_ten", ["m_rules"]),
                 **room("9", "m_nine", ["x_base"]), **room("1 and 2", "z_two", ["x_base"]),
                 **room("", "m_rules", ["x_base"]),
                 **{name: None for name in TREE if name.startswith("gatewayd/")}}
        status, said = self.run_in(files, "--map", "gatewayd")
        self.assertEqual(status, 0, said)
        self.assertEqual([line.split("`")[1] for line in said.splitlines()[2:]],
                         ["x_base/", "m_rules/", "z_two/", "m_nine/", "a_ten/", "a_all/"])
        self.assertIn("| `a_all/` | One. | a_ten, z_two |\n", said)

    def test_arguments(self):
        for arguments in (["--map"], ["--lost"], ["--map", "--count", "shim"], ["gone"], ["--map", "src"],
                          ["--write", "/tmp"], ["--help"]):
            with self.subTest(arguments):
                status, said = self.run_in({}, *arguments)
                self.assertEqual(status, 2, said)
                self.assertNotIn("Traceback", said)


if __name__ == "__main__":
    unittest.main(verbosity=2)
