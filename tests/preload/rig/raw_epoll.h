/* epoll_pwait(2) as a program makes it that does without libc: no function is called. */
#ifndef RAW_EPOLL_H
#define RAW_EPOLL_H

#include <sys/epoll.h>
#include <sys/syscall.h>

/* The kernel's answer: how many events, or an errno below 0. */
static inline long raw_epoll_wait(int epfd, struct epoll_event* events, int most, int timeout_ms) {
#if defined(__x86_64__)
  long result = SYS_epoll_pwait;
  register long fourth __asm__("r10") = timeout_ms;
  register long fifth __asm__("r8") = 0;
  register long sixth __asm__("r9") = 8;
  __asm__ volatile("syscall"
                   : "+a"(result)
                   : "D"((long)epfd), "S"(events), "d"((long)most), "r"(fourth), "r"(fifth),
                     "r"(sixth)
                   : "rcx", "r11", "memory");
#elif defined(__i386__)
  long result = SYS_epoll_wait;
  __asm__ volatile("int $0x80"
                   : "+a"(result)
                   : "b"(epfd), "c"(events), "d"(most), "S"(timeout_ms)
                   : "memory");
#elif defined(__aarch64__)
  register long number __asm__("x8") = SYS_epoll_pwait;
  register long result __asm__("x0") = epfd;
  register struct epoll_event* second __asm__("x1") = events;
  register long third __asm__("x2") = most;
  register long fourth __asm__("x3") = timeout_ms;
  register long fifth __asm__("x4") = 0;
  register long sixth __asm__("x5") = 8;
  __asm__ volatile("svc 0"
                   : "+r"(result)
                   : "r"(number), "r"(second), "r"(third), "r"(fourth), "r"(fifth), "r"(sixth)
                   : "memory");
#else
#error "no system call is known for this processor"
#endif
  return result;
}

#endif
