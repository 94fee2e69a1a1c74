"""tools/braces: what it finds, what it leaves alone, and what it writes."""

import importlib.machinery
import importlib.util
import pathlib
import subprocess
import sys
import tempfile
import unittest

TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools" / "braces"
loader = importlib.machinery.SourceFileLoader("braces", str(TOOL))
braces = importlib.util.module_from_spec(importlib.util.spec_from_loader("braces", loader))
loader.exec_module(braces)

BARE = {
    "if": "if (a) b();",
    "else": "if (a) { b(); } else c();",
    "else if": "if (a) { b(); } else if (c) d();",
    "for": "for (const auto& x : y) b();",
    "while": "while (a) b();",
    "do": "do b(); while (a);",
    "an empty loop": "while (a);",
    "if constexpr": "if constexpr (a) b();",
    "an attribute": "if (a) [[likely]] b();",
    "an attribute of else": "if (a) { } else [[unlikely]] b();",
    "an initializer": "if (auto x = f(); x) b();",
    "an if in a lambda": "sort([](int a) { if (a) return 1; return 2; });",
    "an if in a condition": "if ([] { if (a) return 1; return 2; }()) { b(); }",
    "a while behind a do": "do { b(); } while (a); while (c) d();",
    "a macro": "#define CHECK(a) \\\n  do {          \\\n    if (a)      \\\n      b();      \\\n  } while (0)\n",
    "behind a quote in a number": "int x = 1'000; if (a) b();",
    "behind a raw string": 'auto x = R"(")"; if (a) b();',
    "behind a quote in a comment": "// it's\nif (a) b();",
    "behind a directive": "#if A // it's\nif (a)\n#else\nif (b)\n#endif\n  c();",
}
GOOD = {
    "all of it": "if (a) { b(); } else if (c) { d(); } else { e(); } for (;;) { } while (a) { } do { } while (a);",
    "an attribute": "if (x) [[likely]] { b(); } else [[unlikely]] { c(); }",
    "if constexpr and consteval": "if constexpr (a) { b(); } if consteval { b(); } if !consteval { c(); }",
    "an initializer list in a condition": "if (f({1, 2})) { b(); }",
    "do in do": "do { do { b(); } while (a); } while (c);",
    "comments": "// if (a) b();\n/* for (;;) b(); */ if (a) /* why */ { b(); } // else c();\n",
    "a comment that goes on": "// here \\\nif (a) b();\n",
    "strings": "f(\"if (a) b();\", 'i', '\\'', R\"x(if (a) b(); \")x\");",
    "parts of words and members": "elsewhere(); diff(a); a.for_each(b); x.while_(c);",
    "directives": "#if (a) && \\\n  (b)\n#else\n#error if (a) b();\n#endif\n",
    "a macro": "#define CHECK(a) do { if (a) { b(); } } while (0)\n",
    "a macro's argument": "CHECK(a, { if (b) { c(); } });",
}


class Braces(unittest.TestCase):
    def test_it_finds_each_that_is_bare(self):
        for name, text in BARE.items():
            with self.subTest(name):
                found, unreadable = braces.all_bare_bodies(text)
                self.assertEqual(len(found), 2 if "directive" in name else 1)
                self.assertIsNone(unreadable)

    def test_it_leaves_alone_what_is_good(self):
        for name, text in GOOD.items():
            with self.subTest(name):
                self.assertEqual(braces.all_bare_bodies(text), ([], None))

    def test_it_writes_what_is_missing(self):
        for name, text in BARE.items():
            if name not in ("a macro", "behind a directive", "an empty loop"):
                with self.subTest(name):
                    self.assertEqual(braces.all_bare_bodies(braces.with_braces(text)), ([], None))
        self.assertEqual(braces.with_braces("if (a) for (;;) if (b) c(); else d(); else e();\n"),
                         "if (a) { for (;;) { if (b) { c(); } else { d(); } } } else { e(); }\n")
        self.assertEqual(braces.with_braces("if (a) b();  // why\n"), "if (a) { b();  // why\n}\n")

    def test_a_defect_is_named_with_file_and_line(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "planted.cpp")
            file.write_text("void f(bool a) {\n  if (a) {\n    g();\n  } else\n    h();\n}\n", encoding="utf-8")
            done = subprocess.run([sys.executable, "-B", TOOL, "--check", file], capture_output=True, text=True, check=False)
            self.assertEqual((done.returncode, done.stdout), (1, f"{file}:4: 'else' without braces\n"))
            subprocess.run([sys.executable, "-B", TOOL, "--fix", file], check=True)
            done = subprocess.run([sys.executable, "-B", TOOL, "--check", file], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stdout)

    def test_a_missing_bracket_is_no_success(self):
        self.assertEqual(braces.all_bare_bodies("void f() { if (a b(); }")[1], 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
