// The client's side of a SOCKS5 negotiation, as a state machine that does no I/O.
//
//   greeting -> method choice [-> username/password -> status] -> request -> reply
//
// The owner writes what `output()` holds, and reads at most `read_size()` octets at a time. That is
// never more than what the current message still lacks, so the machine swallows no octet that the
// destination sends after the reply. After a failure the machine stays failed. It
// holds no heap memory and no pointers but the caller's credentials, and wipes its encoded copy of
// them as soon as they are written. It is a plain value: copying it copies the negotiation.
#ifndef SOCKS64_CLIENT_HANDSHAKE_HPP
#define SOCKS64_CLIENT_HANDSHAKE_HPP

#include <array>
#include <cstddef>
#include <cstdint>

#include "socks64/message.hpp"

namespace socks64 {

class ClientHandshake {
 public:
  /// What the owner does next.
  enum class Want : std::uint8_t {
    write,   ///< write output(), then call sent()
    read,    ///< read up to read_size() octets, then call received()
    done,    ///< the reply said "succeeded"; bound() is valid
    failed,  ///< error() says why; reply_code() too when it is request_failed
  };

  struct Options {
    /// Send greeting, credentials and request at once, without waiting for the answers: two round
    /// trips saved, and RFC 1928 does not forbid it. It needs exactly one method on offer, since
    /// what follows depends on the choice. Mind that the credentials leave before the server has
    /// asked for them.
    bool pipelining = false;
  };

  /// `credentials.user` empty: only "no authentication" is offered. Otherwise both "no
  /// authentication" and "username/password" are offered (with pipelining: username/password
  /// alone). The views must stay valid until the machine is done or failed. What cannot be encoded
  /// fails at once: bad_credentials, bad_name, bad_command.
  ClientHandshake(const Request& request, UserPass credentials, Options options) noexcept;
  ClientHandshake(const Request& request, UserPass credentials) noexcept
      : ClientHandshake(request, credentials, Options{}) {}

  [[nodiscard]] Want want() const noexcept;
  /// Octets to write now; empty unless want() is write.
  [[nodiscard]] Bytes output() const noexcept;
  /// `count` octets of output() were written. More than there are: wrong_state.
  void sent(std::size_t count) noexcept;
  /// The most that may be read now; at least 1 when want() is read, else 0.
  [[nodiscard]] std::size_t read_size() const noexcept;
  /// `in` was read, at most read_size() octets of it; an empty `in` means nothing. More than asked
  /// for: wrong_state.
  void received(Bytes in) noexcept;
  /// The peer closed its side. A failure with `truncated` unless the machine is done; with
  /// request_failed when a refusing REP had come already (servers exist that send no more).
  void closed() noexcept;

  /// Nothing is left to do but to wait for the reply: the server has accepted greeting and
  /// credentials, and has the request. How long it takes from here is the destination's doing.
  [[nodiscard]] bool awaits_reply() const noexcept { return step_ == Step::reply; }

  [[nodiscard]] Errc error() const noexcept { return error_; }
  /// Valid when done (succeeded) or when error() is request_failed.
  [[nodiscard]] ReplyCode reply_code() const noexcept { return reply_.code; }
  /// BND.ADDR and BND.PORT; valid when done.
  [[nodiscard]] const Target& bound() const noexcept { return reply_.bound; }

  // BIND has a second reply on the same stream (RFC 1928 section 4).
  /// From `done`: wait for one more reply; want() becomes read. Elsewhere: wrong_state.
  void expect_another_reply() noexcept;

 private:
  enum class Step : std::uint8_t {
    greeting,
    method,
    userpass,
    status,
    request,
    reply,
    done,
    failed
  };

  void fail(Errc error) noexcept;
  void enter(Step step) noexcept;
  void advance() noexcept;

  Request request_;
  UserPass credentials_;
  Options options_;
  Step step_ = Step::greeting;
  Errc error_ = Errc::ok;
  Reply reply_;
  std::uint16_t out_size_ = 0;
  std::uint16_t out_position_ = 0;
  std::uint16_t in_size_ = 0;
  std::array<std::uint8_t, max_reply_size> in_{};
  std::array<std::uint8_t, 4 + max_userpass_size + max_request_size> out_{};
};

}  // namespace socks64

#endif
