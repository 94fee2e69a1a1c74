#include "uring_ring.hpp"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rig.hpp"

namespace tried {
namespace {

unsigned load(char* rings, unsigned offset) {
  return std::atomic_ref<unsigned>(*reinterpret_cast<unsigned*>(rings + offset))
      .load(std::memory_order_acquire);
}
void store(char* rings, unsigned offset, unsigned value) {
  std::atomic_ref<unsigned>(*reinterpret_cast<unsigned*>(rings + offset))
      .store(value, std::memory_order_release);
}

}  // namespace

std::unique_ptr<Ring> Ring::open(unsigned entries) {
  std::unique_ptr<Ring> ring(new Ring);
  io_uring_params& params = ring->params_;
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE;
  params.cq_entries = entries * 8;
  ring->fd_ = static_cast<int>(::syscall(SYS_io_uring_setup, entries, &params));
  if (ring->fd_ < 0) {
    return nullptr;
  }
  ring->rings_size_ =
      std::max<std::size_t>(params.sq_off.array + params.sq_entries * sizeof(unsigned),
                            params.cq_off.cqes + params.cq_entries * sizeof(io_uring_cqe));
  ring->rings_ = static_cast<char*>(::mmap(nullptr, ring->rings_size_, PROT_READ | PROT_WRITE,
                                           MAP_SHARED, ring->fd_, IORING_OFF_SQ_RING));
  ring->entries_ = static_cast<io_uring_sqe*>(
      ::mmap(nullptr, params.sq_entries * sizeof(io_uring_sqe), PROT_READ | PROT_WRITE, MAP_SHARED,
             ring->fd_, IORING_OFF_SQES));
  if (ring->rings_ == MAP_FAILED || ring->entries_ == MAP_FAILED) {
    give_up("mmap of a ring");
  }
  return ring;
}

Ring::~Ring() {
  if (fd_ < 0) {
    return;
  }
  ::munmap(rings_, rings_size_);
  ::munmap(entries_, params_.sq_entries * sizeof(io_uring_sqe));
  ::close(fd_);
  if (buffers_ != nullptr) {
    ::munmap(buffers_, buffer_count_ * sizeof(io_uring_buf));
  }
}

io_uring_sqe& Ring::next() {
  if (unsubmitted_ == params_.sq_entries) {
    submit(0);
  }
  const unsigned index = tail_ & (params_.sq_entries - 1);
  reinterpret_cast<unsigned*>(rings_ + params_.sq_off.array)[index] = index;
  ++tail_;
  ++unsubmitted_;
  io_uring_sqe& entry = entries_[index];
  std::memset(&entry, 0, sizeof entry);
  return entry;
}

void Ring::submit(unsigned wait_for) {
  store(rings_, params_.sq_off.tail, tail_);
  int done = -1;
  do {
    ++calls_;
    done = static_cast<int>(::syscall(SYS_io_uring_enter, fd_, unsubmitted_, wait_for,
                                      IORING_ENTER_GETEVENTS, nullptr, 0));
  } while (done < 0 && errno == EINTR);
  unsubmitted_ -= static_cast<unsigned>(check(done, "io_uring_enter"));
}

void Ring::wait() {
  submit(1);
}

bool Ring::take(io_uring_cqe& completion) {
  const unsigned head = load(rings_, params_.cq_off.head);
  if (head == load(rings_, params_.cq_off.tail)) {
    return false;
  }
  const auto* all = reinterpret_cast<io_uring_cqe*>(rings_ + params_.cq_off.cqes);
  completion = all[head & (params_.cq_entries - 1)];
  store(rings_, params_.cq_off.head, head + 1);
  return true;
}

void Ring::provide(unsigned count, std::size_t size) {
  buffer_count_ = count;
  buffer_size_ = size;
  memory_ = std::make_unique<char[]>(count * size);
  buffers_ = static_cast<io_uring_buf_ring*>(::mmap(nullptr, count * sizeof(io_uring_buf),
                                                    PROT_READ | PROT_WRITE,
                                                    MAP_ANONYMOUS | MAP_PRIVATE, -1, 0));
  io_uring_buf_reg where{};
  where.ring_addr = reinterpret_cast<std::uint64_t>(buffers_);
  where.ring_entries = count;
  check(
      static_cast<int>(::syscall(SYS_io_uring_register, fd_, IORING_REGISTER_PBUF_RING, &where, 1)),
      "buffers of io_uring");
  for (unsigned id = 0; id < count; ++id) {
    give_back(id);
  }
}

void Ring::give_back(unsigned id) noexcept {
  // Not buffers_->bufs: the header's flexible array begins at 8 in C++, where an empty struct has a
  // size.
  io_uring_buf& place =
      reinterpret_cast<io_uring_buf*>(buffers_)[buffers_tail_ & (buffer_count_ - 1)];
  place.addr = reinterpret_cast<std::uint64_t>(buffer(id));
  place.len = static_cast<unsigned>(buffer_size_);
  place.bid = static_cast<std::uint16_t>(id);
  ++buffers_tail_;
  std::atomic_ref<std::uint16_t>(buffers_->tail).store(buffers_tail_, std::memory_order_release);
}

void Ring::run_workers_on(int core) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(static_cast<std::size_t>(core), &cores);
  ::syscall(SYS_io_uring_register, fd_, IORING_REGISTER_IOWQ_AFF, &cores, sizeof cores);
}

}  // namespace tried
