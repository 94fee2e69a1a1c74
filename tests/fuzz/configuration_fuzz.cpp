// A configuration file: it is applied whole, or refused with one printable line that names the
// place.
#include <algorithm>
#include <memory>

#include "fuzz.hpp"
#include "settings/config_reader.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace socks64;
  const auto config = std::make_unique<shim::Config>();
  const bool fine = shim::apply_file(*config, "file", fuzz::as_text({data, size}));
  const std::string_view problem = config->problem.view();
  fuzz::require(fine == config->usable());
  fuzz::require(fine == problem.empty());
  fuzz::require(fine || problem.substr(0, 5) == "file:");
  fuzz::require(
      std::all_of(problem.begin(), problem.end(), [](char c) { return c >= 0x20 && c < 0x7f; }));
  return 0;
}
