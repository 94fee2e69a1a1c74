#!/usr/bin/env python3
"""tools/layers on small trees: each kind of error is named, and a tree without one passes."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

LAYERS = pathlib.Path(__file__).resolve().parents[2] / "tools" / "layers"
GOOD = {
    "low/ROOM": "What everybody uses.\nmay include: socks64\n",
    "low/word.hpp": '#include "socks64/address.hpp"\n',
    "low/word.cpp": '#include "low/word.hpp"\n',
    "high/ROOM": "What acts.\nmay include: low\n",
    "high/act.cpp": '#include <string>\n#include "low/word.hpp"\n',
}


def run(files):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = pathlib.Path(folder, "tree", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        done = subprocess.run([sys.executable, LAYERS, pathlib.Path(folder, "tree")], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout


class Layers(unittest.TestCase):
    def assert_named(self, changes, *words):
        status, said = run({**GOOD, **changes})
        self.assertEqual(status, 1, said)
        for word in words:
            self.assertIn(word, said)

    def test_a_tree_that_keeps_to_its_rooms(self):
        status, said = run(GOOD)
        self.assertEqual(status, 0, said)
        self.assertIn("2 rooms, 2 includes between them: all as permitted", said)

    def test_an_include_that_is_not_permitted(self):
        self.assert_named({"high/act.hpp": "", "low/word.cpp": '\n#include "high/act.hpp"\n'},
                          "low/word.cpp:2", 'low/ROOM does not permit "high/act.hpp"')

    def test_the_public_headers_need_a_permission_too(self):
        self.assert_named({"high/act.hpp": '#include "socks64/wire.hpp"\n'}, 'does not permit "socks64/wire.hpp"')

    def test_a_permission_that_nobody_uses(self):
        self.assert_named({"high/act.cpp": ""}, 'high/ROOM: it permits "low", and no file')

    def test_a_permission_for_no_room(self):
        self.assert_named({"high/ROOM": "What acts.\nmay include: low lost\n"}, 'it permits "lost", which is no room')

    def test_an_include_without_a_room(self):
        self.assert_named({"high/act.cpp": '#include "word.hpp"\n'}, 'the include "word.hpp" does not say its room')

    def test_an_include_that_leads_nowhere(self):
        self.assert_named({"high/act.cpp": '#include "low/gone.hpp"\n'}, '"low/gone.hpp" leads to no file')

    def test_a_source_outside_of_every_room(self):
        self.assert_named({"stray.cpp": ""}, "stray.cpp: a source lies in a room")

    def test_a_room_without_its_file(self):
        self.assert_named({"other/x.cpp": ""}, "other/ROOM", "it is missing")

    def test_a_room_file_of_another_form(self):
        self.assert_named({"high/ROOM": "What acts\nmay include: low\n"}, "high/ROOM: expected a sentence")

    def test_rooms_in_a_ring(self):
        self.assert_named({"low/ROOM": "What everybody uses.\nmay include: high socks64\n", "high/act.hpp": "",
                           "low/word.cpp": '#include "high/act.hpp"\n'}, "these rooms include each other in a ring: high low")

    def test_units_in_a_ring(self):
        self.assert_named({"low/a.hpp": "", "low/a.cpp": '#include "low/b.hpp"\n', "low/b.hpp": '#include "low/a.hpp"\n'},
                          "these units include each other in a ring: low/a low/b")


if __name__ == "__main__":
    unittest.main(verbosity=2)
