#include "socks64/server_handshake.hpp"

#include <algorithm>

#include "wipe.hpp"

namespace socks64 {

ServerHandshake::ServerHandshake(std::span<const Method> accepted, Options options) noexcept
    : options_(options) {
  for (const Method method : accepted) {
    if (method != Method::none && method != Method::userpass) {
      continue;
    }
    if (accepted_count_ == max_methods) {
      break;
    }
    accepted_[accepted_count_++] = method;
  }
}

ServerHandshake::~ServerHandshake() {
  wipe(in_);
}

std::size_t ServerHandshake::receive(Bytes in) noexcept {
  std::size_t taken = 0;
  while (state_ == State::reading && taken < in.size()) {
    // Never more than the message at hand surely lacks: what follows may not be ours.
    const std::size_t count = std::min(missing(), in.size() - taken);
    const Bytes part = in.subspan(taken, count);
    std::copy(part.begin(), part.end(), in_.begin() + in_size_);
    in_size_ = static_cast<std::uint16_t>(in_size_ + count);
    taken += count;
    advance();
  }
  return taken;
}

Bytes ServerHandshake::output() const noexcept {
  return Bytes(out_).subspan(out_position_, out_size_ - out_position_);
}

void ServerHandshake::sent(std::size_t count) noexcept {
  if (count > output().size()) {
    out_position_ = out_size_ = 0;
    return fail(Errc::wrong_state);
  }
  out_position_ = static_cast<std::uint16_t>(out_position_ + count);
  if (out_position_ == out_size_) {
    out_position_ = out_size_ = 0;
  }
}

UserPass ServerHandshake::credentials() const noexcept {
  if (state_ != State::check_credentials) {
    return {};
  }
  return parse_userpass(Bytes(in_).first(in_size_)).value;
}

void ServerHandshake::authenticated(bool good) noexcept {
  if (state_ != State::check_credentials) {
    return fail(Errc::wrong_state);
  }
  put(UserPassStatus{good ? std::uint8_t{0} : std::uint8_t{1}});
  if (!good) {
    return fail(Errc::auth_failed);
  }
  forget_input();
  step_ = Step::request;
  state_ = State::reading;
}

void ServerHandshake::reply(const Reply& reply) noexcept {
  if (state_ == State::failed) {
    return;
  }
  if (state_ != State::request_ready) {
    return fail(Errc::wrong_state);
  }
  put_reply(reply);
  if (state_ != State::failed) {
    state_ = State::replied;
  }
}

void ServerHandshake::reply_again(const Reply& reply) noexcept {
  if (state_ != State::replied || !output().empty()) {
    return fail(Errc::wrong_state);
  }
  put_reply(reply);
}

void ServerHandshake::fail(Errc error) noexcept {
  forget_input();
  if (state_ == State::failed) {
    return;  // the first reason stands
  }
  state_ = State::failed;
  error_ = error;
}

void ServerHandshake::forget_input() noexcept {
  wipe(MutableBytes(in_).first(in_size_));
  in_size_ = 0;
}

template <class Message>
void ServerHandshake::put(const Message& message) noexcept {
  Writer out(MutableBytes(out_).subspan(out_size_));
  encode(out, message);
  if (!out.ok()) {
    return fail(Errc::bad_name);  // all else fits by the size of out_
  }
  out_size_ = static_cast<std::uint16_t>(out_size_ + out.size());
}

void ServerHandshake::put_reply(const Reply& reply) noexcept {
  if (is_socks4()) {
    return put(to_socks4(reply));
  }
  put(reply);
}

std::size_t ServerHandshake::missing() const noexcept {
  const Bytes in = Bytes(in_).first(in_size_);
  switch (step_) {
    case Step::greeting:
      return parse_greeting(in).missing;
    case Step::userpass:
      return parse_userpass(in).missing;
    case Step::socks4:
      return parse_socks4_request(in).missing;
    case Step::request:
      break;
  }
  return parse_request(in).missing;
}

/// Judges what has been read of the message at hand, and answers it when it is whole.
void ServerHandshake::advance() noexcept {
  const Bytes in = Bytes(in_).first(in_size_);
  switch (step_) {
    case Step::greeting:
      if (options_.socks4 && in[0] == socks4_version) {
        return enter_socks4();
      }
      return on_greeting(parse_greeting(in));
    case Step::userpass: {
      const Parsed<UserPass> credentials = parse_userpass(in);
      if (credentials.status == ParseStatus::invalid) {
        return fail(credentials.error);
      }
      if (credentials.status == ParseStatus::complete) {
        state_ = State::check_credentials;
      }
      return;
    }
    case Step::request:
      return on_request(parse_request(in));
    case Step::socks4:
      return on_socks4(parse_socks4_request(in));
  }
}

void ServerHandshake::on_greeting(const Parsed<Greeting>& greeting) noexcept {
  if (greeting.status == ParseStatus::need_more) {
    return;
  }
  if (greeting.status == ParseStatus::invalid) {
    return fail(greeting.error);
  }
  const std::span<const Method> accepted = std::span(accepted_).first(accepted_count_);
  for (const Method method : accepted) {
    if (!greeting.value.offers(method)) {
      continue;
    }
    method_ = method;
    put(MethodChoice{method});
    forget_input();
    step_ = method == Method::userpass ? Step::userpass : Step::request;
    return;
  }
  put(MethodChoice{Method::unacceptable});  // RFC 1928 section 3: the client must close
  fail(Errc::no_acceptable_method);
}

void ServerHandshake::on_request(const Parsed<Request>& request) noexcept {
  if (request.status == ParseStatus::need_more) {
    return;
  }
  if (request.status == ParseStatus::complete) {
    request_ = request.value;
    state_ = State::request_ready;
    return;
  }
  // RFC 1928 section 6. A wrong version gets no reply: its sender would not understand one.
  if (request.error == Errc::bad_command) {
    put(Reply{ReplyCode::command_not_supported, {}});
  }
  if (request.error == Errc::bad_address_type) {
    put(Reply{ReplyCode::address_type_not_supported, {}});
  }
  if (request.error == Errc::bad_name) {
    put(Reply{ReplyCode::general_failure, {}});
  }
  fail(request.error);
}

void ServerHandshake::enter_socks4() noexcept {
  step_ = Step::socks4;
  if (!accepts(Method::none)) {
    put(Socks4Reply{});
    return fail(Errc::no_acceptable_method);
  }
  method_ = Method::none;
  advance();  // the octets that came with the first one
}

void ServerHandshake::on_socks4(const Parsed<Socks4Request>& request) noexcept {
  if (request.status == ParseStatus::need_more) {
    return;
  }
  if (request.status == ParseStatus::complete) {
    request_ = request.value.request;
    state_ = State::request_ready;
    return;
  }
  put(Socks4Reply{});
  fail(request.error);
}

bool ServerHandshake::accepts(Method method) const noexcept {
  const std::span<const Method> accepted = std::span(accepted_).first(accepted_count_);
  return std::find(accepted.begin(), accepted.end(), method) != accepted.end();
}

}  // namespace socks64
