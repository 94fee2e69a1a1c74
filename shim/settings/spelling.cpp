#include "settings/spelling.hpp"

#include <algorithm>
#include <array>

#include "host/file_text.hpp"

namespace socks64::shim {

std::size_t spelling_distance(std::string_view a, std::string_view b) noexcept {
  constexpr std::size_t longest = 24;
  if (a.size() > longest || b.size() > longest) {
    return std::string_view::npos;
  }
  std::array<std::size_t, longest + 1> row{};
  for (std::size_t j = 0; j <= b.size(); ++j) {
    row[j] = j;
  }
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace socks64::shim
