// The server's side of a SOCKS5 negotiation, as a state machine that does no I/O: the mirror of
// ClientHandshake.
//
// The owner feeds it what it read; the machine takes what belongs to the negotiation and leaves the
// rest (a client may send everything at once, its first data included). Decisions that are not the
// protocol's - are these credentials good, may this target be reached, did the connect succeed -
// are the owner's: the machine stops and asks. After a failure it stays failed. Credentials are
// wiped when they have been judged, and with the machine.
//
// On request it takes SOCKS4 and SOCKS4a as well: the first octet decides, the request comes out as
// if it were SOCKS5's, and the replies go in as SOCKS5's.
#ifndef SOCKS64_SERVER_HANDSHAKE_HPP
#define SOCKS64_SERVER_HANDSHAKE_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "socks64/message.hpp"
#include "socks64/socks4.hpp"

namespace socks64 {

class ServerHandshake {
 public:
  enum class State : std::uint8_t {
    reading,            ///< wants more octets
    check_credentials,  ///< credentials() is valid: call authenticated(bool)
    request_ready,      ///< request() is valid: call reply()
    replied,            ///< the reply of reply() is in output(); nothing more is consumed
    failed,             ///< error() says why; output() may still hold a last message for the peer
  };

  static constexpr std::size_t max_methods = 3;

  struct Options {
    /// Take SOCKS4 and SOCKS4a too. They know no passwords, so they need `none` among the accepted
    /// methods: without it such a client is refused with no_acceptable_method.
    bool socks4 = false;
  };

  /// `accepted`: the methods this client may use, the preferred first, at most max_methods of
  /// `none` and `userpass` (others are ignored). Empty: every client is refused with 0xFF.
  ServerHandshake(std::span<const Method> accepted, Options options) noexcept;
  explicit ServerHandshake(std::span<const Method> accepted) noexcept
      : ServerHandshake(accepted, Options{}) {}
  ~ServerHandshake();
  ServerHandshake(const ServerHandshake&) = delete;  // there is one negotiation, and one password
  ServerHandshake& operator=(const ServerHandshake&) = delete;

  [[nodiscard]] State state() const noexcept { return state_; }
  /// Takes from the front of `in` what belongs to the negotiation, and returns how much. Stops at
  /// every state but reading. Call again with the rest after authenticated(). What is left in
  /// request_ready is the client's early data.
  [[nodiscard]] std::size_t receive(Bytes in) noexcept;
  /// Octets to write to the peer now; may be non-empty in any state. Write them, then call sent().
  [[nodiscard]] Bytes output() const noexcept;
  /// `count` octets of output() were written. More than there are: wrong_state.
  void sent(std::size_t count) noexcept;

  /// The client speaks SOCKS4 or SOCKS4a; settled with the first octet.
  [[nodiscard]] bool is_socks4() const noexcept { return step_ == Step::socks4; }
  /// The chosen method; valid from check_credentials or request_ready on. SOCKS4: none.
  [[nodiscard]] Method method() const noexcept { return method_; }
  /// In check_credentials only. Views into the machine.
  [[nodiscard]] UserPass credentials() const noexcept;
  /// In check_credentials only. false: the failure status is put into output() and the state is
  /// failed with auth_failed (RFC 1929 section 2: the server must close). The stored password is
  /// wiped in both cases. In any other state: wrong_state.
  void authenticated(bool good) noexcept;

  [[nodiscard]] const Request& request() const noexcept { return request_; }
  /// In request_ready: encodes the reply into output(); the state becomes replied. In failed it is
  /// ignored, so that an owner may answer without looking: output() already holds the last message
  /// that the protocol asks for (see error()). In any other state: wrong_state. An
  /// empty bound name cannot be encoded: bad_name. SOCKS4: what to_socks4() makes of it.
  void reply(const Reply& reply) noexcept;
  /// A second reply (BIND, RFC 1928 section 4); only in replied, after the first one was written
  /// in full. Otherwise: wrong_state.
  void reply_again(const Reply& reply) noexcept;

  /// Why the state is failed. What output() then holds for the peer: bad_command reply 07,
  /// bad_address_type reply 08, bad_name reply 01, no_acceptable_method choice 0xFF, auth_failed
  /// status 01; nothing new for any other error, since such a peer does not speak SOCKS5. SOCKS4:
  /// reply 91 for bad_command, bad_name, bad_credentials (an endless USERID) and
  /// no_acceptable_method.
  [[nodiscard]] Errc error() const noexcept { return error_; }

 private:
  enum class Step : std::uint8_t { greeting, userpass, request, socks4 };

  void fail(Errc error) noexcept;
  void forget_input() noexcept;
  [[nodiscard]] std::size_t missing() const noexcept;
  void advance() noexcept;
  void on_greeting(const Parsed<Greeting>& greeting) noexcept;
  void on_request(const Parsed<Request>& request) noexcept;
  void enter_socks4() noexcept;
  void on_socks4(const Parsed<Socks4Request>& request) noexcept;
  [[nodiscard]] bool accepts(Method method) const noexcept;
  void put_reply(const Reply& reply) noexcept;
  template <class Message>
  void put(const Message& message) noexcept;

  static constexpr std::size_t max_message_size =
      max_userpass_size > max_socks4_request_size ? max_userpass_size : max_socks4_request_size;

  std::array<Method, max_methods> accepted_{};
  Options options_;
  std::uint8_t accepted_count_ = 0;
  State state_ = State::reading;
  Step step_ = Step::greeting;
  Method method_ = Method::unacceptable;
  Errc error_ = Errc::ok;
  std::uint16_t in_size_ = 0;
  std::uint16_t out_size_ = 0;
  std::uint16_t out_position_ = 0;
  Request request_;
  std::array<std::uint8_t, max_message_size> in_{};
  std::array<std::uint8_t, max_reply_size + 8> out_{};
};

}  // namespace socks64

#endif
