// How far a word is from one that was probably meant.
#ifndef SOCKS64_SHIM_SPELLING_HPP
#define SOCKS64_SHIM_SPELLING_HPP

#include <cstddef>
#include <string_view>

namespace socks64::shim {

/// Levenshtein's distance, upper and lower case alike. For short words: the largest number there is
/// when one is longer than 24 characters.
[[nodiscard]] std::size_t spelling_distance(std::string_view a, std::string_view b) noexcept;

}  // namespace socks64::shim

#endif
