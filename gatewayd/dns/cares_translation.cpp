#include "dns/cares_translation.hpp"

#include <algorithm>
#include <cstring>
#include <random>

namespace socks64::gateway {
namespace {

constexpr std::uint16_t private_type = 65280;  // RFC 6895 section 3.1

bool is_asked_for(std::uint16_t type) noexcept {
  return type == wire_type(RecordType::a) || type == wire_type(RecordType::aaaa) ||
         type == wire_type(RecordType::ptr);
}

void write_name(Writer& writer, const WireName& name) noexcept {
  writer.bytes(name.labels());
  writer.u8(0);
}

}  // namespace

CaresTranslation::CaresTranslation() {
  std::random_device random;
  std::ranges::generate(mark_, [&random] { return static_cast<std::uint8_t>(random()); });
}

std::string CaresTranslation::borrow(const std::string& name) {
  const WireName wire(name);
  if (wire.is_host_name()) {
    return name;
  }
  auto found = std::ranges::find(stand_ins_, wire, &StandIn::name);
  if (found == stand_ins_.end()) {
    found = stand_ins_.insert(found, {wire, "*" + std::to_string(++last_)});
  }
  ++found->users;
  return found->text;
}

void CaresTranslation::give_back(const std::string& name) noexcept {
  const auto found = std::ranges::find(stand_ins_, WireName(name), &StandIn::name);
  if (found != stand_ins_.end() && --found->users == 0) {
    stand_ins_.erase(found);
  }
}

std::optional<Bytes> CaresTranslation::for_server(
    Bytes query, std::array<std::uint8_t, max_query>& out) const noexcept {
  Reader reader(query);
  const Bytes header = reader.take(dns::header_size);
  WireName name;
  if (!WireName::read(reader, query, name) || name.is_host_name()) {
    return query;
  }
  const auto found = std::ranges::find(
      stand_ins_, name, [](const StandIn& stand_in) { return WireName(stand_in.text); });
  if (found == stand_ins_.end()) {
    return std::nullopt;
  }
  Writer writer(out);
  writer.bytes(header);
  write_name(writer, found->name);
  writer.bytes(reader.take(reader.remaining()));
  return writer.ok() ? std::optional(Bytes(out).first(writer.size())) : std::nullopt;
}

std::size_t CaresTranslation::for_cares(MutableBytes buffer, std::size_t size) const noexcept {
  const Bytes message = buffer.first(size);
  Reader reader(message);
  const std::optional<dns::Opening> opening = dns::read_opening(reader, message);
  if (!opening || !is_asked_for(opening->type) ||
      reader.consumed() != dns::header_size + opening->name.wire_size() + 4) {
    return 0;
  }
  WireName name = opening->name;
  using Header = dns::Header;
  unsigned flags = opening->header.flags &
                   (Header::response | Header::truncated | Header::recursion_desired | 0xfU);
  if (!name.is_host_name()) {
    const auto found = std::ranges::find(stand_ins_, name, &StandIn::name);
    if (found == stand_ins_.end()) {
      return 0;
    }
    name = WireName(found->text);
    // Its servers know nothing of stand-ins, so c-ares must not ask over TCP; reply_in() refuses
    // it.
    flags &= ~Header::truncated;
  }

  std::array<std::uint8_t, max_query + 11 + sizeof mark_> front{};
  Writer writer(front);
  writer.u16(opening->header.id);
  writer.u16(static_cast<std::uint16_t>(flags));
  for (const unsigned count : {1U, 1U, 0U, 0U}) {
    writer.u16(static_cast<std::uint16_t>(count));
  }
  write_name(writer, name);
  writer.u16(opening->type);
  writer.u16(dns::class_in);
  writer.u8(0);  // the root
  writer.u16(private_type);
  writer.u16(dns::class_in);
  writer.u16(0);  // TTL
  writer.u16(0);
  writer.u16(static_cast<std::uint16_t>(mark_.size() + size));
  writer.bytes(mark_);
  const std::size_t whole = writer.size() + size;
  if (whole > buffer.size() || whole > 0xffff) {
    return 0;
  }
  std::memmove(buffer.data() + writer.size(), buffer.data(), size);
  std::copy_n(front.begin(), writer.size(), buffer.begin());
  return whole;
}

Bytes CaresTranslation::as_sent(Bytes message) const noexcept {
  Reader reader(message);
  WireName owner;
  if (!dns::read_opening(reader, message) || !WireName::read(reader, message, owner) ||
      reader.u16() != private_type) {
    return message;
  }
  static_cast<void>(reader.take(6));  // class and TTL
  Reader data(reader.take(reader.u16()));
  return std::ranges::equal(data.take(mark_.size()), mark_) ? data.take(data.remaining()) : message;
}

}  // namespace socks64::gateway
