// What a name is to us, found out once: each call that takes a name classifies it first, and hands
// the value on. Nothing behind it reads the name as a literal again, or looks for its rule.
#ifndef SOCKS64_SHIM_CLASSIFY_HPP
#define SOCKS64_SHIM_CLASSIFY_HPP

#include <string_view>
#include <variant>

#include "socks64/address.hpp"

#include "names/local_names.hpp"
#include "settings/config.hpp"
#include "settings/rules.hpp"
#include "tables/fake_ip_table.hpp"

namespace socks64::shim {

/// A numeric address in one of libc's spellings.
struct LiteralName {
  IpAddress address;
  const Rule* rule = nullptr;  ///< the first for a look-up of it; null: none
  bool is_direct = false;      ///< libc is to answer what is asked of it
};

/// /etc/hosts has it, or it is localhost or the host's own name.
struct LocalName {};

/// A rule leaves it to libc. Whether it is local as well is then libc's business.
struct DirectName {
  const Rule* rule;  ///< never null
};

/// A rule refuses it on every port: there is no such name.
struct RefusedName {
  const Rule* rule;  ///< never null
  std::string_view name;
};

/// The gateway's to look up: it gets a fake address.
struct DelegatedName {
  std::string_view name;  ///< without a dot at its end
};

/// It cannot be the name of a host: nobody is asked.
struct NoName {};

using ClassifiedName =
    std::variant<LiteralName, LocalName, DirectName, RefusedName, DelegatedName, NoName>;

/// `name` as the program gave it; the value refers to it. Of a local name the addresses in
/// `families` are added to `local`; a name that has none there is not local. No side effects, but
/// that /etc/hosts is read. A configuration that cannot be used has no rules.
[[nodiscard]] ClassifiedName classify(const Config& config, const FakeIpTable& fakes,
                                      std::string_view name, Families families,
                                      HostAddresses& local) noexcept;
/// The same by this process's configuration and table.
[[nodiscard]] ClassifiedName classify(std::string_view name, Families families,
                                      HostAddresses& local) noexcept;
/// Where only direct names matter: no name is local.
[[nodiscard]] ClassifiedName classify(std::string_view name) noexcept;

/// Whether the rules leave the question to libc, whose answer is then the program's.
[[nodiscard]] bool is_for_libc(const ClassifiedName& name) noexcept;

/// The rule by which a name's addresses are direct, too: made for just this name. Null: there is
/// none.
[[nodiscard]] const Rule* direct_rule(const ClassifiedName& name) noexcept;

}  // namespace socks64::shim

#endif
