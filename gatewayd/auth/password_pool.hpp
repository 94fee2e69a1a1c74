// Verifies passwords on threads of its own, so that a hash, which is slow on purpose, never holds
// up a worker.
//
// What a hostile client could make of that, and what is done about it:
//  - many passwords at once: the line is bounded; when it is full, the client with the longest part
//    of it loses its last, and who asks is told `busy`. Clients are served in turn, so a client
//    that floods waits for itself;
//  - a user whose hash takes seconds: one thread always stays free of any one hash;
//  - time: every verification computes one hash, whatever the name (UserTable::find()), and
//    compares all of it;
//  - the same credentials over and over (a browser's connections) are one computation, and a
//    success is remembered for a while, under a hash with a random key over user, password and
//    stored hash: it is forgotten with the key, and worthless once the stored hash is another.
#ifndef SOCKS64_GATEWAYD_PASSWORD_POOL_HPP
#define SOCKS64_GATEWAYD_PASSWORD_POOL_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/secret.hpp"
#include "base/siphash.hpp"

namespace socks64::gateway {

enum class PasswordVerdict : std::uint8_t {
  good,
  wrong,
  busy,    ///< not looked at: too many are waiting
  broken,  ///< the stored hash is none that libcrypt can compute; treated as wrong
};

/// crypt(3) of the password with the parameters of `hash`, and whether it is `hash`, in a time that
/// depends on the parameters alone. `busy` when there is no memory for it.
[[nodiscard]] PasswordVerdict verify_password(const Secret& password, std::string_view hash);

class PasswordPool {
  class State;
  struct Job;
  struct Waiter;

 public:
  using Verify = std::function<PasswordVerdict(const Secret&, std::string_view hash)>;
  using OnVerdict = std::function<void(PasswordVerdict)>;

  struct Config {
    unsigned threads = 2;  ///< at least 2; started when the first password comes
    std::size_t queue = 256;
    std::size_t cache_entries = 4096;
    Verify verify = verify_password;
  };

  struct Question {
    std::string_view source;  ///< whose turn it is: the client's address, or its network
    std::string_view user;
    const Secret& password;
    std::string_view hash;
    bool may_match = false;  ///< false: `wrong` whatever the hash says (unknown, locked)
    std::chrono::seconds cache_time{0};
  };

  /// A question that waits for its verdict. Destroying it withdraws: its callback is not called any
  /// more.
  class Inquiry {
   public:
    Inquiry() = default;
    ~Inquiry();
    Inquiry(const Inquiry&) = delete;
    Inquiry& operator=(const Inquiry&) = delete;

   private:
    friend class PasswordPool;
    std::shared_ptr<State> pool_;
    std::shared_ptr<Waiter> waiter_;
  };

  explicit PasswordPool(Config config);
  /// Does not wait for a hash that is being computed: its thread ends by itself. Who still waits
  /// hears nothing.
  ~PasswordPool();
  PasswordPool(const PasswordPool&) = delete;
  PasswordPool& operator=(const PasswordPool&) = delete;

  /// What is known is returned; else `inquiry` is under way and `on_verdict` will be called on a
  /// thread of the pool or on that of another who asks, never from within this call. It must
  /// return soon and not call the pool. Any thread.
  [[nodiscard]] std::optional<PasswordVerdict> ask(const Question& question, OnVerdict on_verdict,
                                                   Inquiry& inquiry);

  /// For UserTable::find().
  [[nodiscard]] const SipKey& key() const noexcept;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace socks64::gateway

#endif
