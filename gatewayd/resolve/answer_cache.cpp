#include "resolve/answer_cache.hpp"

#include <utility>

namespace socks64::gateway {

const AnswerCache::Entry* AnswerCache::find(const Question& question, Time now) {
  const auto found = index_.find(question);
  if (found == index_.end()) {
    return nullptr;
  }
  const Records::iterator record = found->second;
  if (record->second.expires <= now) {
    index_.erase(found);
    records_.erase(record);
    return nullptr;
  }
  records_.splice(records_.begin(), records_, record);
  return &record->second;
}

void AnswerCache::insert(const Question& question, Entry entry) {
  if (capacity_ == 0) {
    return;
  }
  if (const auto found = index_.find(question); found != index_.end()) {
    found->second->second = std::move(entry);
    records_.splice(records_.begin(), records_, found->second);
    return;
  }
  if (index_.size() == capacity_) {
    index_.erase(records_.back().first);
    records_.pop_back();
  }
  records_.emplace_front(question, std::move(entry));
  index_.emplace(question, records_.begin());
}

}  // namespace socks64::gateway
