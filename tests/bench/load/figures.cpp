#include "figures.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace load {
namespace {

std::string shown(double value) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%.6g", value);
  return text.data();
}

}  // namespace

std::string Latencies::json() {
  if (us_.empty()) {
    return "null";
  }
  std::sort(us_.begin(), us_.end());
  const auto at = [this](double share) {
    const auto index = static_cast<std::size_t>(share * static_cast<double>(us_.size()));
    return shown(static_cast<double>(us_[std::min(index, us_.size() - 1)]));
  };
  return R"({"p50": )" + at(0.5) + R"(, "p90": )" + at(0.9) + R"(, "p99": )" + at(0.99) +
         R"(, "max": )" + at(1) + "}";
}

void Figures::add(const std::string& name, double value) {
  add_json(name, shown(value));
}
void Figures::add(const std::string& name, std::uint64_t value) {
  add_json(name, std::to_string(value));
}
void Figures::add(const std::string& name, Latencies& latencies) {
  add_json(name, latencies.json());
}
void Figures::add_text(const std::string& name, const std::string& plain) {
  add_json(name, '"' + plain + '"');
}

void Figures::add_json(const std::string& name, const std::string& json) {
  members_ += (members_.empty() ? "\"" : ", \"") + name + "\": " + json;
}

}  // namespace load
