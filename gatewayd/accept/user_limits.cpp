#include "accept/user_limits.hpp"

#include <algorithm>

namespace socks64::gateway {

BandwidthPair UserCounts::Ticket::bandwidth() const noexcept {
  User* const user = count();
  if (user == nullptr || user->up.rate() == 0) {
    return {};
  }
  return {&user->up, &user->down};
}

UserCounts::Admission UserCounts::admit(std::string_view user, const UserLimits& limits,
                                        Clock::time_point now) {
  Admission result;
  if (user.empty() || !limits.any()) {
    return result;
  }
  const std::lock_guard lock(mutex_);
  forget(now);
  User& known = users_.try_emplace(std::string(user), *this).first->second;
  if (limits.sessions != 0 && known.sessions >= limits.sessions) {
    result.refused = "user-session-limit";
  } else if (!known.rate.take(limits.rate, now)) {
    result.refused = "user-rate-limit";
  } else {
    ++known.sessions;
    // A reload may have changed it; that holds for the user's other sessions as well.
    known.up.set_rate(limits.bandwidth);
    known.down.set_rate(limits.bandwidth);
    result.ticket = Ticket(known);
  }
  return result;
}

std::size_t UserCounts::size() const {
  const std::lock_guard lock(mutex_);
  return users_.size();
}

void UserCounts::User::give_back() noexcept {
  const std::lock_guard lock(table.mutex_);
  --sessions;
}

/// Only those of whom nothing has to be remembered.
void UserCounts::forget(Clock::time_point now) {
  if (users_.size() < next_look_) {
    return;
  }
  std::erase_if(users_, [now](const auto& entry) {
    const User& user = entry.second;
    return user.sessions == 0 && user.rate.full(now) && user.up.idle(now) && user.down.idle(now);
  });
  next_look_ = std::max<std::size_t>(1024, 2 * users_.size());
}

}  // namespace socks64::gateway
