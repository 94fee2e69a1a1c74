#include "message.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <unistd.h>

#include "rig/probe.h"

size_t query(unsigned char* out, const char* name, int type, unsigned id) {
  const unsigned char header[12] = {(unsigned char)(id >> 8), (unsigned char)id, 1, 0, 0, 1};
  memcpy(out, header, sizeof(header));
  size_t at = sizeof(header);
  while (*name != '\0') {
    const size_t label = strcspn(name, ".");
    out[at++] = (unsigned char)label;
    memcpy(out + at, name, label);
    at += label;
    name += label + (name[label] == '.');
  }
  const unsigned char tail[5] = {0, (unsigned char)(type >> 8), (unsigned char)type, 0, 1};
  memcpy(out + at, tail, sizeof(tail));
  return at + sizeof(tail);
}

size_t query_in_stream(unsigned char* out, const char* name, int type, unsigned id) {
  const size_t size = query(out + 2, name, type, id);
  out[0] = (unsigned char)(size >> 8);
  out[1] = (unsigned char)size;
  return size + 2;
}

static ns_msg parsed(const unsigned char* message, long size) {
  ns_msg out;
  CHECK(size > 0);
  CHECK(ns_initparse(message, (int)size, &out) == 0);
  CHECK_EQ(ns_msg_getflag(out, ns_f_qr), 1);
  return out;
}

void check_answer(const unsigned char* message, long size, const char* name, int type,
                  unsigned id) {
  ns_msg answer = parsed(message, size);
  CHECK_EQ(ns_msg_id(answer), id);
  CHECK_EQ(ns_msg_getflag(answer, ns_f_rcode), ns_r_noerror);
  CHECK_EQ(ns_msg_count(answer, ns_s_an), 1);
  ns_rr record;
  CHECK(ns_parserr(&answer, ns_s_an, 0, &record) == 0);
  CHECK_EQ(ns_rr_type(record), type);
  const struct addrinfo hints = {.ai_family = type == ns_t_a ? AF_INET : AF_INET6,
                                 .ai_socktype = SOCK_STREAM};
  struct addrinfo* list = NULL;
  CHECK_EQ(getaddrinfo(name, NULL, &hints, &list), 0);
  const void* expected =
      type == ns_t_a ? (const void*)&((struct sockaddr_in*)(void*)list->ai_addr)->sin_addr
                     : (const void*)&((struct sockaddr_in6*)(void*)list->ai_addr)->sin6_addr;
  CHECK_EQ(ns_rr_rdlen(record), type == ns_t_a ? 4 : 16);
  CHECK(memcmp(ns_rr_rdata(record), expected, ns_rr_rdlen(record)) == 0);
  freeaddrinfo(list);
}

void check_empty(const unsigned char* message, long size, int code, int truncated) {
  ns_msg answer = parsed(message, size);
  CHECK_EQ(ns_msg_getflag(answer, ns_f_rcode), code);
  CHECK_EQ(ns_msg_getflag(answer, ns_f_tc), truncated);
  CHECK_EQ(ns_msg_count(answer, ns_s_an), 0);
}

socklen_t resolver(const char* text, struct sockaddr_storage* out) {
  return text == NULL ? target(DNS, out) : address_of(text, DNS, out);
}

void check_resolver(const struct sockaddr_storage* address, socklen_t length, const char* text) {
  struct sockaddr_storage expected;
  CHECK_EQ(length, resolver(text, &expected));
  CHECK(memcmp(address, &expected, length) == 0);
}

int udp(int flags) {
  const int fd = socket(family(), SOCK_DGRAM | flags, 0);
  CHECK(fd >= 0);
  return fd;
}

int udp_connected(int flags) {
  const int fd = udp(flags);
  CHECK_EQ(dial(fd, DNS), 0);
  return fd;
}

int wait_and_read(int fd, unsigned char* out, size_t size) {
  struct pollfd waited = {fd, POLLIN, 0};
  CHECK_EQ(poll(&waited, 1, 20000), 1);
  return (int)read(fd, out, size);
}
