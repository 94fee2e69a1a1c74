#include "socks64/client_handshake.hpp"

#include <algorithm>

#include "wipe.hpp"

namespace socks64 {

ClientHandshake::ClientHandshake(const Request& request, UserPass credentials,
                                 Options options) noexcept
    : request_(request), credentials_(credentials), options_(options) {
  // Judge the caller's values now: a request that cannot be encoded should not cost a connection.
  Writer userpass(out_);
  if (!credentials.user.empty()) {
    encode(userpass, credentials);
  }
  Writer whole_request(out_);
  encode(whole_request, request);
  wipe(out_);
  const auto* const named = std::get_if<NamedEndpoint>(&request.target);
  if (!userpass.ok()) {
    fail(Errc::bad_credentials);
  } else if (named != nullptr && named->name.empty()) {
    fail(Errc::bad_name);
  } else if (!whole_request.ok()) {
    fail(Errc::bad_command);
  } else {
    enter(Step::greeting);
  }
}

ClientHandshake::Want ClientHandshake::want() const noexcept {
  switch (step_) {
    case Step::greeting:
    case Step::userpass:
    case Step::request:
      return Want::write;
    case Step::method:
    case Step::status:
    case Step::reply:
      return Want::read;
    case Step::done:
      return Want::done;
    case Step::failed:
      break;
  }
  return Want::failed;
}

Bytes ClientHandshake::output() const noexcept {
  return Bytes(out_).subspan(out_position_, out_size_ - out_position_);
}

void ClientHandshake::sent(std::size_t count) noexcept {
  if (step_ == Step::failed) {
    return;
  }
  if (count > output().size()) {
    return fail(Errc::wrong_state);
  }
  out_position_ = static_cast<std::uint16_t>(out_position_ + count);
  if (count == 0 || out_position_ != out_size_) {
    return;
  }

  wipe(MutableBytes(out_).first(out_size_));
  out_position_ = out_size_ = 0;
  switch (step_) {
    case Step::greeting:
      return enter(Step::method);
    case Step::userpass:
      return enter(Step::status);
    default:
      return enter(Step::reply);
  }
}

std::size_t ClientHandshake::read_size() const noexcept {
  const Bytes in = Bytes(in_).first(in_size_);
  switch (step_) {
    case Step::method:
      return parse_method_choice(in).missing;
    case Step::status:
      return parse_userpass_status(in).missing;
    case Step::reply:
      return parse_reply(in).missing;
    default:
      return 0;
  }
}

void ClientHandshake::received(Bytes in) noexcept {
  if (in.empty() || step_ == Step::failed) {
    return;
  }
  if (in.size() > read_size()) {
    return fail(Errc::wrong_state);
  }
  // read_size() never exceeds what max_reply_size leaves free.
  std::copy(in.begin(), in.end(), in_.begin() + in_size_);
  in_size_ = static_cast<std::uint16_t>(in_size_ + in.size());
  advance();
}

void ClientHandshake::closed() noexcept {
  if (step_ == Step::done || step_ == Step::failed) {
    return;
  }
  if (step_ == Step::reply && in_size_ > 1 && in_[1] != 0) {
    reply_ = Reply{static_cast<ReplyCode>(in_[1]), {}};
    return fail(Errc::request_failed);
  }
  fail(Errc::truncated);
}

void ClientHandshake::expect_another_reply() noexcept {
  if (step_ == Step::failed) {
    return;
  }
  if (step_ != Step::done) {
    return fail(Errc::wrong_state);
  }
  enter(Step::reply);
}

void ClientHandshake::fail(Errc error) noexcept {
  step_ = Step::failed;
  error_ = error;
  wipe(out_);
  out_position_ = out_size_ = 0;
}

/// Encodes what the step has to say. The constructor has proved that all of it fits.
void ClientHandshake::enter(Step step) noexcept {
  step_ = step;
  in_size_ = 0;
  const bool with_user = !credentials_.user.empty();
  const bool all_at_once = options_.pipelining && step == Step::greeting;
  Writer out(out_);
  if (step == Step::greeting) {
    Greeting greeting;
    if (!with_user || !options_.pipelining) {
      greeting.methods[greeting.count++] = static_cast<std::uint8_t>(Method::none);
    }
    if (with_user) {
      greeting.methods[greeting.count++] = static_cast<std::uint8_t>(Method::userpass);
    }
    encode(out, greeting);
  }
  if (step == Step::userpass || (all_at_once && with_user)) {
    encode(out, credentials_);
  }
  if (step == Step::request || all_at_once) {
    encode(out, request_);
  }
  out_position_ = 0;
  out_size_ = static_cast<std::uint16_t>(out.size());
}

/// Judges what has been read of the answer at hand, and moves on when it is whole.
void ClientHandshake::advance() noexcept {
  const Bytes in = Bytes(in_).first(in_size_);
  const Step after_auth = options_.pipelining ? Step::reply : Step::request;

  if (step_ == Step::method) {
    const Parsed<MethodChoice> choice = parse_method_choice(in);
    if (choice.status == ParseStatus::invalid) {
      return fail(choice.error);
    }
    if (choice.status == ParseStatus::need_more) {
      return;
    }
    const bool with_user = !credentials_.user.empty();
    const bool offered_none = !with_user || !options_.pipelining;
    if (choice.value.method == Method::unacceptable) {
      return fail(Errc::no_acceptable_method);
    }
    if (choice.value.method == Method::userpass && with_user) {
      return enter(options_.pipelining ? Step::status : Step::userpass);
    }
    if (choice.value.method == Method::none && offered_none) {
      return enter(after_auth);
    }
    return fail(Errc::unexpected_method);
  }

  if (step_ == Step::status) {
    const Parsed<UserPassStatus> status = parse_userpass_status(in);
    if (status.status == ParseStatus::invalid) {
      return fail(status.error);
    }
    if (status.status == ParseStatus::need_more) {
      return;
    }
    if (status.value.status != 0) {
      return fail(Errc::auth_failed);
    }
    return enter(after_auth);
  }

  const Parsed<Reply> reply = parse_reply(in);
  if (reply.status == ParseStatus::need_more) {
    return;
  }
  if (reply.status == ParseStatus::invalid) {
    // A refusal is a refusal, even where the server fills the fields behind REP with rubbish.
    if (reply.error == Errc::bad_version || in[1] == 0) {
      return fail(reply.error);
    }
    reply_ = Reply{static_cast<ReplyCode>(in[1]), {}};
    return fail(Errc::request_failed);
  }
  reply_ = reply.value;
  if (reply_.code != ReplyCode::succeeded) {
    return fail(Errc::request_failed);
  }
  enter(Step::done);
}

}  // namespace socks64
