"""Rules by options, and what other programs' variables say: ALL_PROXY, SOCKS_SERVER, NO_PROXY."""

from socksify_case import SocksifyCase, main

SHOW = ("sh", "-c", 'echo "$SOCKS64_GATEWAY|$SOCKS64_RULES"')


class Proxies(SocksifyCase):
    def assert_settings(self, expected, *arguments, said="", **environment):
        with self.subTest(arguments=arguments, environment=environment):
            self.assertEqual(self.socksify(*arguments, *SHOW, **environment), (0, expected + "\n", said))

    def test_options_become_rules(self):
        self.assert_settings("|direct a.test; direct [2001:db8::/32]:22", "--direct", "a.test", "--direct", "[2001:db8::/32]:22")
        self.assert_settings("|gateway a.test; gateway 10.0.0.0/8:443; direct *", "--only", "a.test", "--only=10.0.0.0/8:443")
        self.assert_settings("|direct b.a.test; gateway a.test; refuse c.test; direct *", "--only", "a.test",
                             "--direct", "b.a.test", SOCKS64_RULES="refuse c.test")
        self.assert_settings("|direct *", "--direct", "*")
        self.assert_settings("|")

    def test_wrong_targets(self):
        host = "expected *, a name like example.com, or an address block like 10.0.0.0/8"
        for option in ("--direct", "--only"):
            self.assert_refused(f"{option}: {host}, in 'a;b'", option, "a;b", "true")
            self.assert_refused(f"{option}: expected one target (repeat the option for several), in 'a.b,c.d'",
                                option, "a.b,c.d", "true")
            for url, shown in (("http://x/", "http://x/"), ("http://ann:secret@x:80", "...@x:80")):
                self.assert_refused(f"{option}: expected a name like example.com or an address block like 10.0.0.0/8, not a URL, "
                                    f"in '{shown}'", option, url, "true")
            self.assert_refused(f"{option}: expected a name, an address block, or *, in 'a b'", option, "a b", "true")
            self.assert_refused(f"{option}: expected a port from 1 to 65535, or LOW-HIGH, after the last ':', in 'a:99999'",
                                option, "ok.test", option, "a:99999", "true")
        self.assert_refused("SOCKS64_RULES: rule 2: expected ACTION TARGET, where ACTION is direct, gateway or refuse, in 'x'",
                            "true", SOCKS64_RULES="direct *; x")

    def test_the_order_of_gateways(self):
        variables = {"SOCKS64_GATEWAY": "socks5://192.0.2.2", "ALL_PROXY": "socks5h://192.0.2.3", "SOCKS_SERVER": "192.0.2.4:99"}
        self.assert_settings("socks5://192.0.2.1|", "-g", "socks5://192.0.2.1", **variables)
        self.assert_settings("socks5://192.0.2.2|", **variables)
        variables["SOCKS64_GATEWAY"] = ""
        self.assert_settings("socks5://192.0.2.3|", **variables)
        self.assert_settings("socks5://192.0.2.5|", all_proxy="socks://192.0.2.5", **variables)
        del variables["ALL_PROXY"]
        self.assert_settings("socks5://192.0.2.4:99|", **variables)

    def test_a_wrong_one_is_named_and_does_not_show_its_password(self):
        for name in ("ALL_PROXY", "all_proxy", "SOCKS_SERVER"):
            self.assert_refused(f"{name}: expected a port from 1 to 65535 after the last ':'", "true",
                                **{name: "socks5://ann:secret@192.0.2.1:0"})

    def test_proxies_of_other_kinds_are_passed_over(self):
        for url in ("http://ann:secret@corporate.test:3128", "corporate.test:3128"):
            self.assert_settings("|", ALL_PROXY=url)
            status, out, err = self.socksify("--log", "error", *SHOW, ALL_PROXY=url)
            self.assertEqual((status, out), (0, "|\n"))
            self.assertTrue(err.startswith("socksify: ALL_PROXY is ignored: it is not a socks5:// URL"), err)
            self.assertNotIn("secret", err)
        self.assert_settings("socks5://192.0.2.4:99|", ALL_PROXY="http://corporate.test:3128", SOCKS_SERVER="192.0.2.4:99")

    def test_no_proxy(self):
        self.assert_settings("|direct a.test; direct 10.0.0.0/8", no_proxy=".a.test,10.0.0.0/8")
        self.assert_settings("|direct a.test", NO_PROXY="*.a.test")
        self.assert_settings("|direct *", NO_PROXY="*")
        self.assert_settings("|", "--ignore-no-proxy", NO_PROXY="*")
        self.assert_settings("|direct a.test", NO_PROXY="a.test,b.test:80")
        self.assert_settings("|direct a.test", "--log", "error", NO_PROXY="a.test,192.168.",
                             said="socksify: NO_PROXY: '192.168.' is ignored: expected an address block like 10.0.0.0/8 or "
                                  "2001:db8::/32, with no bits set after its length; an IPv6 block with a port needs brackets\n")

    def test_the_rules_print_with_the_environment(self):
        status, out, err = self.socksify("--only", "a.test", "--print-env", no_proxy="b.test")
        self.assertEqual((status, err), (0, ""))
        self.assertIn("export SOCKS64_RULES='gateway a.test; direct b.test; direct *'\n", out)


if __name__ == "__main__":
    main()
