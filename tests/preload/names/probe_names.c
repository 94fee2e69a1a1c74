/* What an ordinary program sees when it resolves names: one case a run, named by the first
 * argument. Plain C and libc. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <resolv.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int failures;

#define CHECK(condition)                                               \
  do {                                                                 \
    if (!(condition)) {                                                \
      printf("%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
      ++failures;                                                      \
    }                                                                  \
  } while (0)

#define CHECK_TEXT(got, wanted)                                                                 \
  do {                                                                                          \
    const char* got_ = (got);                                                                   \
    if (got_ == NULL || strcmp(got_, (wanted)) != 0) {                                          \
      printf("%s:%d: %s is '%s', not '%s'\n", __FILE__, __LINE__, #got, got_ ? got_ : "(null)", \
             wanted);                                                                           \
      ++failures;                                                                               \
    }                                                                                           \
  } while (0)

static int error_of(const char* node, const char* service, int family, int socktype, int flags) {
  struct addrinfo hints = {.ai_family = family, .ai_socktype = socktype, .ai_flags = flags};
  struct addrinfo* list = NULL;
  int error = getaddrinfo(node, service, &hints, &list);
  if (error == 0) {
    freeaddrinfo(list);
  }
  return error;
}

/* The answer as text: "address/socktype/protocol:port ..." */
static const char* answer(const char* node, const char* service, int family, int socktype,
                          int flags) {
  static char out[4096];
  struct addrinfo hints = {.ai_family = family, .ai_socktype = socktype, .ai_flags = flags};
  struct addrinfo* list = NULL;
  int error = getaddrinfo(node, service, &hints, &list);
  if (error != 0) {
    snprintf(out, sizeof(out), "%s", gai_strerror(error));
    return out;
  }
  size_t used = 0;
  out[0] = '\0';
  for (struct addrinfo* one = list; one != NULL; one = one->ai_next) {
    char text[INET6_ADDRSTRLEN] = "";
    unsigned port = 0;
    CHECK(one->ai_family == one->ai_addr->sa_family);
    CHECK(one->ai_flags == flags);
    if (one->ai_family == AF_INET) {
      struct sockaddr_in* in = (struct sockaddr_in*)(void*)one->ai_addr;
      CHECK(one->ai_addrlen == sizeof(*in));
      inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
      port = ntohs(in->sin_port);
    } else {
      struct sockaddr_in6* in6 = (struct sockaddr_in6*)(void*)one->ai_addr;
      CHECK(one->ai_addrlen == sizeof(*in6));
      inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
      port = ntohs(in6->sin6_port);
    }
    used += (size_t)snprintf(out + used, sizeof(out) - used, "%s%s/%d/%d:%u", used ? " " : "", text,
                             one->ai_socktype, one->ai_protocol, port);
  }
  freeaddrinfo(list);
  return out;
}

static struct in_addr fake4(const char* name) {
  struct in_addr none = {0};
  struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
  struct addrinfo* list = NULL;
  if (getaddrinfo(name, NULL, &hints, &list) != 0) {
    return none;
  }
  struct in_addr address = ((struct sockaddr_in*)(void*)list->ai_addr)->sin_addr;
  CHECK(list->ai_next == NULL);
  freeaddrinfo(list);
  return address;
}

static struct in6_addr fake6(const char* name) {
  struct in6_addr none = IN6ADDR_ANY_INIT;
  struct addrinfo hints = {.ai_family = AF_INET6, .ai_socktype = SOCK_STREAM};
  struct addrinfo* list = NULL;
  if (getaddrinfo(name, NULL, &hints, &list) != 0) {
    return none;
  }
  struct in6_addr address = ((struct sockaddr_in6*)(void*)list->ai_addr)->sin6_addr;
  CHECK(list->ai_next == NULL);
  freeaddrinfo(list);
  return address;
}

static int is_fake4(struct in_addr address) {
  return ntohl(address.s_addr) != 0 && ntohl(address.s_addr) < (1U << 24);
}

static int is_fake6(const struct in6_addr* address) {
  static const unsigned char network[8] = {1, 0};
  return memcmp(address, network, 8) == 0 && memcmp(address->s6_addr + 8, network + 2, 4) == 0;
}

static const char* name_of4(struct in_addr address, int flags) {
  static char host[NI_MAXHOST];
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = address};
  int error = getnameinfo((struct sockaddr*)&in, sizeof(in), host, sizeof(host), NULL, 0, flags);
  return error == 0 ? host : gai_strerror(error);
}

static const char* name_of6(const struct in6_addr* address, int flags) {
  static char host[NI_MAXHOST];
  struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = *address};
  int error = getnameinfo((struct sockaddr*)&in6, sizeof(in6), host, sizeof(host), NULL, 0, flags);
  return error == 0 ? host : gai_strerror(error);
}

static void case_control(void) {
  error_of("control.lab.test", "80", AF_INET, SOCK_STREAM, 0);
}

/* Every name gets a fake address, whatever the flags and the family. */
static void case_delegation(void) {
  static const int flags[] = {
      0,      AI_CANONNAME, AI_ADDRCONFIG,  AI_V4MAPPED | AI_ALL,
      AI_IDN, AI_PASSIVE,   AI_NUMERICSERV, AI_IDN | AI_CANONIDN | AI_CANONNAME};
  static const int families[] = {AF_UNSPEC, AF_INET, AF_INET6};
  for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); ++i) {
    for (size_t j = 0; j < 3; ++j) {
      CHECK(error_of("www.example.test", "80", families[j], SOCK_STREAM, flags[i]) == 0);
      CHECK(error_of("short", NULL, families[j], 0, flags[i]) == 0);
    }
  }
  struct addrinfo* list = NULL;
  CHECK(getaddrinfo("www.example.test", NULL, NULL, &list) == 0);
  freeaddrinfo(list);
  CHECK(getaddrinfo("www.example.test", "http", NULL, &list) == 0);
  freeaddrinfo(list);
  CHECK(getaddrinfo(NULL, "http", NULL, &list) == 0);
  freeaddrinfo(list);

  struct hostent* host = gethostbyname("www.example.test");
  CHECK(host != NULL && host->h_addrtype == AF_INET &&
        is_fake4(*(struct in_addr*)(void*)host->h_addr_list[0]));
  host = gethostbyname2("www.example.test", AF_INET6);
  CHECK(host != NULL && host->h_addrtype == AF_INET6 &&
        is_fake6((struct in6_addr*)(void*)host->h_addr_list[0]));
  struct hostent entry;
  struct hostent* result = NULL;
  char buffer[1024];
  int host_error = -1;
  CHECK(gethostbyname_r("r.example.test", &entry, buffer, sizeof(buffer), &result, &host_error) ==
            0 &&
        result == &entry);
  CHECK_TEXT(entry.h_name, "r.example.test");
  CHECK(entry.h_aliases[0] == NULL && entry.h_addr_list[1] == NULL && host_error == NETDB_SUCCESS);
  CHECK(gethostbyname2_r("r.example.test", AF_INET6, &entry, buffer, sizeof(buffer), &result,
                         &host_error) == 0 &&
        result == &entry && entry.h_length == 16);

  struct in_addr foreign = {.s_addr = htonl(0xc6336401)};
  CHECK(gethostbyaddr(&foreign, sizeof(foreign), AF_INET) == NULL && h_errno == HOST_NOT_FOUND);
  h_errno = 0; /* CPython reads it, and not what the call gave it */
  CHECK(gethostbyaddr_r(&foreign, sizeof(foreign), AF_INET, &entry, buffer, sizeof(buffer), &result,
                        &host_error) == 0 &&
        result == NULL && host_error == HOST_NOT_FOUND && h_errno == HOST_NOT_FOUND);
  CHECK_TEXT(name_of4(foreign, 0), "198.51.100.1");
  CHECK_TEXT(name_of4(foreign, NI_NAMEREQD), gai_strerror(EAI_NONAME));
}

/* The same entry in both families; who takes either gets that of the host, which is IPv4's where it
 * has both or neither. */
static void families_as(int both) {
  struct in_addr four = fake4("dual.example.test");
  struct in6_addr six = fake6("dual.example.test");
  CHECK(is_fake4(four));
  CHECK(is_fake6(&six));
  /* One entry serves both: the number behind the network is the same. */
  CHECK(memcmp(six.s6_addr + 12, &four, 4) == 0);
  char text4[64], text6[64], wanted[256];
  inet_ntop(AF_INET, &four, text4, sizeof(text4));
  inet_ntop(AF_INET6, &six, text6, sizeof(text6));
  snprintf(wanted, sizeof(wanted), both ? "%s/1/6:443 %s/1/6:443" : "%s/1/6:443", text4, text6);
  CHECK_TEXT(answer("dual.example.test", "443", AF_UNSPEC, SOCK_STREAM, 0), wanted);
  CHECK_TEXT(answer("dual.example.test", "443", AF_UNSPEC, SOCK_STREAM, AI_ADDRCONFIG), wanted);
  snprintf(wanted, sizeof(wanted), "%s/1/6:443", text6);
  CHECK_TEXT(answer("dual.example.test", "443", AF_INET6, SOCK_STREAM, AI_V4MAPPED | AI_ADDRCONFIG),
             wanted);

  struct in6_addr mapped = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
  memcpy(mapped.s6_addr + 12, &four, 4);
  CHECK_TEXT(name_of6(&mapped, NI_NAMEREQD), "dual.example.test");
}

static void case_families(void) {
  families_as(0);
}

static void case_both_families(void) {
  families_as(1);
}

/* The host has IPv6 alone: that is what leads to its gateway. */
static void gateway6_as(int both) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
  struct addrinfo* list = NULL;
  CHECK(getaddrinfo("first.example.test", NULL, &hints, &list) == 0);
  CHECK(list->ai_family == AF_INET6);
  const struct addrinfo* next = list->ai_next;
  CHECK(both ? next != NULL && next->ai_family == AF_INET && next->ai_next == NULL : next == NULL);
  freeaddrinfo(list);
  hints.ai_family = AF_INET;
  CHECK(getaddrinfo("first.example.test", NULL, &hints, &list) == 0);
  CHECK(list->ai_family == AF_INET && list->ai_next == NULL);
  freeaddrinfo(list);
}

static void case_gateway6(void) {
  gateway6_as(0);
}

static void case_both_gateway6(void) {
  gateway6_as(1);
}

static void case_ranges(void) {
  struct in_addr four = fake4("range.example.test");
  struct in6_addr six = fake6("range.example.test");
  CHECK(ntohl(four.s_addr) > 0xc6120000 && ntohl(four.s_addr) <= 0xc612ffff);
  static const unsigned char network[8] = {0xfd, 0, 0, 0x64};
  CHECK(memcmp(&six, network, 8) == 0);
  CHECK_TEXT(name_of4(four, NI_NAMEREQD), "range.example.test");
  CHECK_TEXT(name_of6(&six, NI_NAMEREQD), "range.example.test");
}

/* The socket types and protocols of an answer. */
static void case_transports(void) {
  char text[64], wanted[512];
  struct in_addr four = fake4("t.example.test");
  inet_ntop(AF_INET, &four, text, sizeof(text));
  snprintf(wanted, sizeof(wanted), "%s/1/6:80 %s/2/17:80 %s/3/0:80", text, text, text);
  CHECK_TEXT(answer("t.example.test", "80", AF_INET, 0, 0), wanted);
  snprintf(wanted, sizeof(wanted), "%s/2/17:0", text);
  CHECK_TEXT(answer("t.example.test", NULL, AF_INET, SOCK_DGRAM, 0), wanted);
  CHECK(error_of("t.example.test", "80", AF_INET, 77, 0) == EAI_SOCKTYPE);
  CHECK(error_of("t.example.test", "80", AF_UNIX, SOCK_STREAM, 0) == EAI_FAMILY);
  CHECK(error_of("t.example.test", "80", AF_INET, SOCK_STREAM, 0x40000000) == EAI_BADFLAGS);
  CHECK(error_of(NULL, NULL, AF_INET, SOCK_STREAM, 0) == EAI_NONAME);
  CHECK(error_of(NULL, "80", AF_INET, SOCK_STREAM, AI_CANONNAME) == EAI_BADFLAGS);
  struct addrinfo hints = {.ai_family = AF_INET, .ai_protocol = IPPROTO_UDP};
  struct addrinfo* list = NULL;
  CHECK(getaddrinfo("t.example.test", "80", &hints, &list) == 0 &&
        list->ai_socktype == SOCK_DGRAM && list->ai_next == NULL);
  freeaddrinfo(list);
  hints =
      (struct addrinfo){.ai_family = AF_INET, .ai_socktype = SOCK_RAW, .ai_protocol = IPPROTO_ICMP};
  CHECK(getaddrinfo("t.example.test", NULL, &hints, &list) == 0 &&
        list->ai_protocol == IPPROTO_ICMP);
  freeaddrinfo(list);
  hints = (struct addrinfo){.ai_flags = AI_CANONNAME};
  CHECK(getaddrinfo("T.Example.test", NULL, &hints, &list) == 0);
  CHECK_TEXT(list->ai_canonname, "T.Example.test");
  CHECK(list->ai_next != NULL && list->ai_next->ai_canonname == NULL);
  freeaddrinfo(list);
}

static void case_services(void) {
  char text[64], wanted[512];
  struct in_addr four = fake4("s.example.test");
  inet_ntop(AF_INET, &four, text, sizeof(text));
  snprintf(wanted, sizeof(wanted), "%s/1/6:80", text);
  CHECK_TEXT(answer("s.example.test", "http", AF_INET, 0, 0), wanted);
  CHECK_TEXT(answer("s.example.test", "www", AF_INET, SOCK_STREAM, 0), wanted);
  snprintf(wanted, sizeof(wanted), "%s/1/6:53 %s/2/17:53", text, text);
  CHECK_TEXT(answer("s.example.test", "domain", AF_INET, 0, 0), wanted);
  CHECK(error_of("s.example.test", "http", AF_INET, SOCK_DGRAM, 0) == EAI_SERVICE);
  CHECK(error_of("s.example.test", "nosuch", AF_INET, 0, 0) == EAI_SERVICE);
  CHECK(error_of("s.example.test", "80/tcp", AF_INET, 0, 0) == EAI_SERVICE);
  CHECK(error_of("s.example.test", "65536", AF_INET, 0, 0) == EAI_SERVICE);
  CHECK(error_of("s.example.test", "http", AF_INET, SOCK_RAW, 0) == EAI_SERVICE);
  CHECK(error_of("s.example.test", "http", AF_INET, 0, AI_NUMERICSERV) == EAI_NONAME);
  CHECK_TEXT(answer("192.0.2.1", "tftp", AF_UNSPEC, 0, 0), "192.0.2.1/2/17:69");
  CHECK_TEXT(answer(NULL, "http", AF_UNSPEC, SOCK_STREAM, AI_PASSIVE), "0.0.0.0/1/6:80 ::/1/6:80");
  CHECK_TEXT(answer(NULL, "http", AF_UNSPEC, SOCK_STREAM, 0), "::1/1/6:80 127.0.0.1/1/6:80");
  char service[32];
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(69)};
  CHECK(getnameinfo((struct sockaddr*)&in, sizeof(in), NULL, 0, service, sizeof(service),
                    NI_DGRAM) == 0);
  CHECK_TEXT(service, "tftp");
  CHECK(getnameinfo((struct sockaddr*)&in, sizeof(in), NULL, 0, service, sizeof(service), 0) == 0);
  CHECK_TEXT(service, "69");
}

static void case_invalid(void) {
  char name[400];
  CHECK(error_of("", "80", AF_UNSPEC, 0, 0) == EAI_NONAME);
  CHECK(error_of(".", "80", AF_UNSPEC, 0, 0) == EAI_NONAME);
  CHECK(error_of("a..test", "80", AF_UNSPEC, 0, 0) == EAI_NONAME);
  CHECK(error_of(".test", "80", AF_UNSPEC, 0, 0) == EAI_NONAME);
  CHECK(error_of("a b.test", "80", AF_UNSPEC, 0, 0) == EAI_NONAME);
  CHECK(error_of("300.1.1.1", "80", AF_UNSPEC, 0, 0) == EAI_NONAME);
  CHECK(error_of("1.2.3.4.5", "80", AF_UNSPEC, 0, 0) == EAI_NONAME);
  /* RFC 6761 section 6.4, and what libc takes for no host's name in an answer. */
  CHECK(error_of("invalid", "80", AF_UNSPEC, 0, 0) == EAI_NONAME);
  CHECK(error_of("a.INVALID.", "80", AF_UNSPEC, 0, 0) == EAI_NONAME);
  CHECK(gethostbyname("a.invalid") == NULL && h_errno == HOST_NOT_FOUND);
  CHECK(error_of("notinvalid", "80", AF_UNSPEC, 0, 0) == 0);
  CHECK(error_of("invalid.test", "80", AF_UNSPEC, 0, 0) == 0);
  CHECK(error_of("0.1.1.~1", "80", AF_UNSPEC, 0, 0) == EAI_NONAME);
  CHECK(error_of("a@b.test", "80", AF_UNSPEC, 0, 0) == EAI_NONAME);
  CHECK(error_of("-a.test", "80", AF_UNSPEC, 0, 0) == EAI_NONAME);
  memset(name, 'a', sizeof(name));
  strcpy(name + 64, ".test");
  CHECK(error_of(name, "80", AF_UNSPEC, 0, 0) == EAI_NONAME);
  strcpy(name + 63, ".test");
  CHECK(error_of(name, "80", AF_UNSPEC, 0, 0) == 0);
  for (size_t i = 0; i < sizeof(name) - 1; ++i) {
    name[i] = i % 50 == 49 ? '.' : 'a';
  }
  name[254] = '\0';
  CHECK(error_of(name, "80", AF_UNSPEC, 0, 0) == EAI_NONAME);
  name[253] = '.';
  CHECK(error_of(name, "80", AF_UNSPEC, 0, 0) == 0); /* 253 and the dot of the root */
  name[253] = '\0';
  CHECK(error_of(name, "80", AF_UNSPEC, 0, 0) == 0);
  name[253] = 'a';
  name[sizeof(name) - 1] = '\0';
  CHECK(error_of(name, "80", AF_UNSPEC, 0, 0) == EAI_NONAME);
  CHECK(gethostbyname(name) == NULL && h_errno == HOST_NOT_FOUND);
  CHECK(error_of("_sip._tcp.under_score.test", "80", AF_UNSPEC, 0, 0) == 0);
  CHECK(error_of("b\xc3\xbc"
                 "cher.test",
                 "80", AF_UNSPEC, 0, 0) == 0);
  CHECK(error_of("b\xc3\xbc"
                 "cher.test",
                 "80", AF_UNSPEC, 0, AI_IDN) == 0);
}

static void case_numeric(void) {
  CHECK_TEXT(answer("1.2.3", "80", AF_UNSPEC, SOCK_STREAM, 0), "1.2.0.3/1/6:80");
  CHECK_TEXT(answer("0x7f.1", "80", AF_INET, SOCK_STREAM, 0), "127.0.0.1/1/6:80");
  CHECK_TEXT(answer("017700000001", "80", AF_INET, SOCK_STREAM, 0), "127.0.0.1/1/6:80");
  CHECK_TEXT(answer("192.0.2.1", "80", AF_UNSPEC, SOCK_STREAM, AI_NUMERICHOST), "192.0.2.1/1/6:80");
  CHECK_TEXT(answer("192.0.2.1", "80", AF_INET6, SOCK_STREAM, AI_V4MAPPED),
             "::ffff:192.0.2.1/1/6:80");
  CHECK_TEXT(answer("2001:db8::1", "80", AF_UNSPEC, SOCK_STREAM, 0), "2001:db8::1/1/6:80");
  CHECK_TEXT(answer("2001:db8::1", "http", AF_INET6, 0, 0), "2001:db8::1/1/6:80");
  CHECK_TEXT(answer("fe80::1%lo", "80", AF_UNSPEC, SOCK_STREAM, 0), "fe80::1/1/6:80");
  CHECK_TEXT(answer("0.0.0.0", "80", AF_UNSPEC, SOCK_STREAM, 0), "0.0.0.0/1/6:80");
  CHECK_TEXT(answer(NULL, "80", AF_UNSPEC, SOCK_STREAM, AI_PASSIVE), "0.0.0.0/1/6:80 ::/1/6:80");
  CHECK(error_of("name.test", "80", AF_UNSPEC, 0, AI_NUMERICHOST) == EAI_NONAME);
  CHECK(error_of("2001:db8::1", "80", AF_INET, 0, AI_NUMERICHOST) == EAI_ADDRFAMILY);
  CHECK(error_of("192.0.2.1", "80", AF_INET6, 0, AI_NUMERICHOST) == EAI_ADDRFAMILY);
  struct hostent* host = gethostbyname("192.0.2.7");
  CHECK(host != NULL &&
        ntohl(((struct in_addr*)(void*)host->h_addr_list[0])->s_addr) == 0xc0000207);
  CHECK_TEXT(host ? host->h_name : NULL, "192.0.2.7");
}

/* RFC 3089 section 3: a literal of the other family is a name to the gateway. */
static void case_literals(void) {
  struct in_addr four = fake4("2001:db8::1");
  CHECK(is_fake4(four));
  CHECK_TEXT(name_of4(four, NI_NAMEREQD), "2001:db8::1");
  CHECK(fake4("2001:DB8:0::1").s_addr == four.s_addr);
  struct in6_addr six = fake6("192.0.2.1");
  CHECK(is_fake6(&six));
  CHECK_TEXT(name_of6(&six, NI_NAMEREQD), "192.0.2.1");
  struct hostent* host = gethostbyname("2001:db8::1");
  CHECK(host != NULL && memcmp(host->h_addr_list[0], &four, 4) == 0);
  host = gethostbyname2("192.0.2.1", AF_INET6);
  CHECK(host != NULL && memcmp(host->h_addr_list[0], &six, 16) == 0);
  /* On the gateway these would mean something else. */
  CHECK(error_of("::1", "80", AF_INET, 0, 0) == EAI_ADDRFAMILY);
  CHECK(error_of("fe80::1%lo", "80", AF_INET, 0, 0) == EAI_ADDRFAMILY);
  CHECK(error_of("127.0.0.1", "80", AF_INET6, 0, 0) == EAI_ADDRFAMILY);
  CHECK(error_of("127.0.0.1", "http", AF_INET6, 0, 0) == EAI_ADDRFAMILY);
  CHECK(gethostbyname("::1") == NULL && h_errno == HOST_NOT_FOUND);
}

static void case_local(void) {
  CHECK_TEXT(answer("localhost", "80", AF_INET, SOCK_STREAM, 0), "127.0.0.1/1/6:80");
  CHECK_TEXT(answer("localhost", "80", AF_INET6, SOCK_STREAM, 0), "::1/1/6:80");
  CHECK_TEXT(answer("LocalHost.", "80", AF_INET, SOCK_STREAM, 0), "127.0.0.1/1/6:80");
  CHECK_TEXT(answer("foo.localhost", "80", AF_UNSPEC, SOCK_STREAM, AI_ADDRCONFIG),
             "::1/1/6:80 127.0.0.1/1/6:80");
  CHECK_TEXT(answer("four.lab.test", "80", AF_INET, SOCK_STREAM, 0), "192.0.2.11/1/6:80");
  CHECK_TEXT(answer("four.lab.test", "80", AF_UNSPEC, SOCK_STREAM, 0), "192.0.2.11/1/6:80");
  CHECK_TEXT(answer("four.lab.test", "80", AF_INET6, SOCK_STREAM, AI_V4MAPPED),
             "::ffff:192.0.2.11/1/6:80");
  CHECK_TEXT(answer("SIX.lab.TEST", "80", AF_UNSPEC, SOCK_STREAM, 0), "2001:db8::12/1/6:80");
  CHECK_TEXT(answer("alias.lab.test", "80", AF_UNSPEC, SOCK_STREAM, 0), "192.0.2.10/1/6:80");
  CHECK_TEXT(answer("multi.lab.test", "80", AF_INET, SOCK_STREAM, 0),
             "192.0.2.13/1/6:80 192.0.2.14/1/6:80");
  /* Not in the file for this family: the gateway is asked, DNS is not. */
  struct in6_addr six = fake6("four.lab.test");
  CHECK(is_fake6(&six));
  struct in_addr four = fake4("six.lab.test");
  CHECK(is_fake4(four));
  four = fake4("localhost.example.test");
  CHECK(is_fake4(four));
  four = fake4("notlocalhost");
  CHECK(is_fake4(four));
  four = fake4("only"); /* a word of a comment */
  CHECK(is_fake4(four));
  /* The own name, also in the family that the file lacks. */
  CHECK_TEXT(answer("probe.lab.test", "80", AF_INET, SOCK_STREAM, 0), "127.0.1.1/1/6:80");
  CHECK_TEXT(answer("PROBE.lab.test", "80", AF_INET6, SOCK_STREAM, 0), "::1/1/6:80");
  struct addrinfo hints = {.ai_flags = AI_CANONNAME};
  struct addrinfo* list = NULL;
  CHECK(getaddrinfo("both", NULL, &hints, &list) == 0);
  CHECK_TEXT(list->ai_canonname, "Both.lab.test");
  freeaddrinfo(list);
  struct hostent* host = gethostbyname("multi.lab.test");
  CHECK(host != NULL && host->h_addr_list[0] != NULL && host->h_addr_list[1] != NULL &&
        host->h_addr_list[2] == NULL);
}

static void case_reverse(void) {
  struct in_addr four = fake4("Back.Example.test");
  struct in6_addr six = fake6("back.example.test.");
  CHECK_TEXT(name_of4(four, 0), "back.example.test");
  CHECK_TEXT(name_of6(&six, NI_NAMEREQD), "back.example.test");
  char number[64];
  inet_ntop(AF_INET, &four, number, sizeof(number));
  CHECK_TEXT(name_of4(four, NI_NUMERICHOST), number);
  struct hostent* host = gethostbyaddr(&four, sizeof(four), AF_INET);
  CHECK_TEXT(host ? host->h_name : NULL, "back.example.test");
  CHECK(host != NULL && memcmp(host->h_addr_list[0], &four, 4) == 0);
  host = gethostbyaddr(&six, sizeof(six), AF_INET6);
  CHECK_TEXT(host ? host->h_name : NULL, "back.example.test");
  CHECK(gethostbyaddr(&four, 3, AF_INET) == NULL);

  struct in_addr unknown = {.s_addr = htonl(ntohl(four.s_addr) ^ 1)};
  CHECK_TEXT(name_of4(unknown, NI_NAMEREQD), gai_strerror(EAI_NONAME));
  struct in_addr listed = {.s_addr = htonl(0xc000020a)};
  CHECK_TEXT(name_of4(listed, 0), "Both.lab.test");
  CHECK_TEXT(name_of4(listed, NI_NOFQDN), "Both");
  struct in_addr loopback = {.s_addr = htonl(INADDR_LOOPBACK)};
  CHECK_TEXT(name_of4(loopback, NI_NAMEREQD), "localhost");

  char small[8], service[8];
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = four, .sin_port = htons(80)};
  CHECK(getnameinfo((struct sockaddr*)&in, sizeof(in), small, sizeof(small), NULL, 0, 0) ==
        EAI_OVERFLOW);
  CHECK(getnameinfo((struct sockaddr*)&in, sizeof(in), small, sizeof(small), NULL, 0,
                    NI_NUMERICHOST) == EAI_OVERFLOW);
  CHECK(getnameinfo((struct sockaddr*)&in, 4, small, sizeof(small), NULL, 0, 0) == EAI_FAMILY);
  CHECK(getnameinfo((struct sockaddr*)&in, sizeof(in), NULL, 0, NULL, 0, NI_NAMEREQD) ==
        EAI_NONAME);
  CHECK(getnameinfo((struct sockaddr*)&in, sizeof(in), NULL, 0, service, 3, 0) == EAI_OVERFLOW);
  char host_text[NI_MAXHOST];
  CHECK(getnameinfo((struct sockaddr*)&in, sizeof(in), host_text, sizeof(host_text), service,
                    sizeof(service), 0) == 0);
  CHECK_TEXT(host_text, "back.example.test");
  CHECK_TEXT(service, "http");
}

static void case_hostent(void) {
  CHECK(gethostbyname2("x.test", AF_UNIX) == NULL && h_errno == NETDB_INTERNAL);
  struct hostent* host = gethostbyname("Name.example.test.");
  CHECK_TEXT(host ? host->h_name : NULL, "Name.example.test");
  CHECK(host != NULL && host->h_length == 4 && host->h_aliases != NULL &&
        host->h_aliases[0] == NULL);
  host = gethostbyname("both.lab.test");
  CHECK(host != NULL &&
        ntohl(((struct in_addr*)(void*)host->h_addr_list[0])->s_addr) == 0xc000020a);
  host = gethostbyname2("both.lab.test", AF_INET6);
  CHECK(host != NULL && host->h_addrtype == AF_INET6 && host->h_addr_list[1] == NULL);
}

/* Every size up to the right one: ERANGE and nothing written behind the end, at any alignment. */
static void case_buffers(void) {
  for (size_t shift = 0; shift < 8; ++shift) {
    int fitted = 0;
    for (size_t size = 0; size < 128; ++size) {
      char buffer[160];
      memset(buffer, 0x5a, sizeof(buffer));
      struct hostent entry;
      struct hostent* result = &entry;
      int host_error = 0;
      int error =
          gethostbyname_r("size.example.test", &entry, buffer + shift, size, &result, &host_error);
      for (size_t i = shift + size; i < sizeof(buffer); ++i) {
        CHECK(buffer[i] == 0x5a);
      }
      if (error == 0) {
        fitted = 1;
        CHECK(result == &entry && strcmp(entry.h_name, "size.example.test") == 0 &&
              host_error == NETDB_SUCCESS);
      } else {
        CHECK(!fitted && error == ERANGE && errno == ERANGE && result == NULL &&
              host_error == NETDB_INTERNAL);
      }
    }
    CHECK(fitted);
  }
}

/* A child resolves and its parent sees the name, and the reverse, over two generations. */
static void case_fork(void) {
  int pipes[2];
  CHECK(pipe(pipes) == 0);
  pid_t child = fork();
  if (child == 0) {
    if (fork() == 0) {
      struct in_addr four = fake4("grandchild.example.test");
      _exit(write(pipes[1], &four, sizeof(four)) == sizeof(four) ? 0 : 1);
    }
    int status = 0;
    wait(&status);
    _exit(status);
  }
  struct in_addr four = {0};
  CHECK(read(pipes[0], &four, sizeof(four)) == sizeof(four));
  CHECK_TEXT(name_of4(four, NI_NAMEREQD), "grandchild.example.test");
  waitpid(child, NULL, 0);

  child = fork();
  if (child == 0) {
    CHECK(read(pipes[0], &four, sizeof(four)) == sizeof(four));
    CHECK_TEXT(name_of4(four, NI_NAMEREQD), "parent.example.test");
    fflush(stdout);
    _exit(failures);
  }
  four = fake4("parent.example.test");
  CHECK(write(pipes[1], &four, sizeof(four)) == sizeof(four));
  int status = -1;
  waitpid(child, &status, 0);
  CHECK(status == 0);
}

/* Spellings of a name are one name. */
static void case_spelling(void) {
  struct in_addr four = fake4("spelling.example.test");
  CHECK(fake4("SPELLING.Example.test").s_addr == four.s_addr);
  CHECK(fake4("spelling.example.test.").s_addr == four.s_addr);
  CHECK(fake4("spellings.example.test").s_addr != four.s_addr);
}

static void case_freeing(void) {
  /* Ours and libc's in turn, and a list that the program took apart. */
  for (int i = 0; i < 100; ++i) {
    CHECK(error_of("free.example.test", "80", AF_UNSPEC, 0, AI_CANONNAME) == 0);
    CHECK(error_of("192.0.2.1", "80", AF_UNSPEC, 0, AI_CANONNAME) == 0);
    CHECK(error_of(NULL, "80", AF_UNSPEC, 0, AI_PASSIVE) == 0);
  }
  struct addrinfo* ours = NULL;
  struct addrinfo* theirs = NULL;
  CHECK(getaddrinfo("free.example.test", "80", NULL, &ours) == 0);
  CHECK(getaddrinfo("192.0.2.1", "80", NULL, &theirs) == 0);
  struct addrinfo* last = ours;
  while (last->ai_next != NULL) {
    last = last->ai_next;
  }
  last->ai_next = theirs;
  freeaddrinfo(ours);
  freeaddrinfo(NULL);
}

static void case_errno(void) {
  errno = 4711;
  fake4("errno.example.test");
  CHECK(errno == 4711);
  error_of("localhost", "http", AF_UNSPEC, 0, 0);
  CHECK(errno == 4711);
  gethostbyname("errno.example.test");
  CHECK(errno == 4711);
  name_of4(fake4("errno.example.test"), 0);
  CHECK(errno == 4711);
  error_of("a..b", "80", AF_UNSPEC, 0, 0);
  CHECK(errno == 4711);
}

/* 198.18.5.0/24: seven eighths of 256 names, then EAI_AGAIN; what was given out stays. */
static void case_full(void) {
  struct in_addr first = fake4("name0.example.test");
  int given = 1;
  char name[64];
  for (; given < 1000; ++given) {
    snprintf(name, sizeof(name), "name%d.example.test", given);
    int error = error_of(name, "80", AF_UNSPEC, 0, 0);
    if (error != 0) {
      CHECK(error == EAI_AGAIN);
      break;
    }
  }
  CHECK(given == 224);
  CHECK(gethostbyname("more.example.test") == NULL && h_errno == TRY_AGAIN);
  CHECK(fake4("name0.example.test").s_addr == first.s_addr);
  CHECK_TEXT(name_of4(first, NI_NAMEREQD), "name0.example.test");
  CHECK(error_of("localhost", "80", AF_INET, 0, 0) == 0);
}

static void case_broken(void) {
  CHECK(is_fake4(fake4("broken.example.test")));
}

/* The records of an answer as text: "address address" or "name". */
static const char* records(const unsigned char* message, int size) {
  static char out[1024];
  out[0] = '\0';
  ns_msg parsed;
  if (size < 0 || ns_initparse(message, size, &parsed) != 0) {
    return size < 0 ? "none" : "unreadable";
  }
  CHECK(ns_msg_getflag(parsed, ns_f_qr) == 1);
  for (int i = 0; i < ns_msg_count(parsed, ns_s_an); ++i) {
    ns_rr record;
    char text[NS_MAXDNAME] = "?";
    CHECK(ns_parserr(&parsed, ns_s_an, i, &record) == 0);
    CHECK(ns_rr_ttl(record) <= 60);
    if (ns_rr_type(record) == ns_t_a) {
      inet_ntop(AF_INET, ns_rr_rdata(record), text, sizeof(text));
    } else if (ns_rr_type(record) == ns_t_aaaa) {
      inet_ntop(AF_INET6, ns_rr_rdata(record), text, sizeof(text));
    } else if (ns_rr_type(record) == ns_t_ptr) {
      CHECK(dn_expand(message, message + size, ns_rr_rdata(record), text, sizeof(text)) > 0);
    }
    strcat(strcat(out, i == 0 ? "" : " "), text);
  }
  return out;
}

static const char* text4(struct in_addr address) {
  static char out[INET_ADDRSTRLEN];
  return inet_ntop(AF_INET, &address, out, sizeof(out));
}

/* resolver(3) gives the same fakes as getaddrinfo, and its errors as libc would. */
static void case_resolver(void) {
  unsigned char out[NS_PACKETSZ];
  char text6[INET6_ADDRSTRLEN];
  struct in6_addr address6 = fake6("resolver.example.test");
  inet_ntop(AF_INET6, &address6, text6, sizeof(text6));
  const char* text = text4(fake4("resolver.example.test"));
  CHECK(is_fake4(fake4("resolver.example.test")) && is_fake6(&address6));

  errno = 0;
  CHECK_TEXT(records(out, res_query("resolver.example.test", ns_c_in, ns_t_a, out, sizeof(out))),
             text);
  CHECK_TEXT(records(out, res_query("Resolver.Example.Test.", ns_c_in, ns_t_a, out, sizeof(out))),
             text);
  CHECK_TEXT(
      records(out, res_search("resolver.example.test", ns_c_in, ns_t_aaaa, out, sizeof(out))),
      text6);
  CHECK_TEXT(
      records(out, res_querydomain("resolver", "example.test", ns_c_in, ns_t_a, out, sizeof(out))),
      text);
  CHECK_TEXT(records(out, res_querydomain("resolver.example.test.", NULL, ns_c_in, ns_t_a, out,
                                          sizeof(out))),
             text);
  CHECK_TEXT(records(out, res_query("localhost", ns_c_in, ns_t_a, out, sizeof(out))), "127.0.0.1");
  CHECK_TEXT(records(out, res_query("multi.lab.test", ns_c_in, ns_t_a, out, sizeof(out))),
             "192.0.2.13 192.0.2.14");
  CHECK_TEXT(records(out, res_query("four.lab.test", ns_c_in, ns_t_a, out, sizeof(out))),
             "192.0.2.11");
  CHECK(errno == 0);

  struct in_addr address = fake4("resolver.example.test");
  const unsigned char* octets = (const unsigned char*)&address;
  char reverse[64];
  snprintf(reverse, sizeof(reverse), "%d.%d.%d.%d.in-addr.arpa", octets[3], octets[2], octets[1],
           octets[0]);
  CHECK_TEXT(records(out, res_query(reverse, ns_c_in, ns_t_ptr, out, sizeof(out))),
             "resolver.example.test");

  struct __res_state state;
  memset(&state, 0, sizeof(state));
  CHECK_TEXT(
      records(out, res_nquery(&state, "resolver.example.test", ns_c_in, ns_t_a, out, sizeof(out))),
      text);
  CHECK_TEXT(
      records(out, res_nsearch(&state, "resolver.example.test", ns_c_in, ns_t_a, out, sizeof(out))),
      text);
  CHECK_TEXT(records(out, res_nquerydomain(&state, "resolver", "example.test", ns_c_in, ns_t_a, out,
                                           sizeof(out))),
             text);
  CHECK(res_nquery(&state, "resolver.example.test", ns_c_in, ns_t_mx, out, sizeof(out)) == -1);
  CHECK(state.res_h_errno == NO_DATA && h_errno == NO_DATA);

  unsigned char query[NS_PACKETSZ];
  int length = res_mkquery(ns_o_query, "resolver.example.test", ns_c_in, ns_t_a, NULL, 0, NULL,
                           query, sizeof(query));
  CHECK(length > 0);
  CHECK_TEXT(records(out, res_send(query, length, out, sizeof(out))), text);
  CHECK(memcmp(out, query, 2) == 0);
  CHECK_TEXT(records(out, res_nsend(&state, query, length, out, sizeof(out))), text);

#ifdef __GLIBC__ /* The names that programs of older days were linked with. */
  static const char* const old[] = {"__res_query", "__res_search"};
  for (size_t i = 0; i < 2; ++i) {
    int (*ask)(const char*, int, int, unsigned char*, int) = NULL;
    *(void**)(void*)&ask = dlsym(RTLD_DEFAULT, old[i]);
    CHECK(ask != NULL);
    if (ask != NULL) {
      CHECK_TEXT(records(out, ask("resolver.example.test", ns_c_in, ns_t_a, out, sizeof(out))),
                 text);
    }
  }
#endif
}

static void case_resolver_errors(void) {
  unsigned char out[NS_PACKETSZ];
  static const struct {
    const char* name;
    int klass, type, error;
  } wrong[] = {
      {"resolver.example.test", ns_c_in, ns_t_mx, NO_DATA},
      {"_http._tcp.example.test", ns_c_in, ns_t_srv, NO_DATA},
      {"no blanks.example.test", ns_c_in, ns_t_a, HOST_NOT_FOUND},
      {"9.2.0.192.in-addr.arpa", ns_c_in, ns_t_ptr, HOST_NOT_FOUND},
      {"192.0.2.300", ns_c_in, ns_t_a, HOST_NOT_FOUND},
      {"empty..label", ns_c_in, ns_t_a, NO_RECOVERY},
      {"label-of-64-characters-0123456789012345678901234567890123456789012.test", ns_c_in, ns_t_a,
       NO_RECOVERY},
      {"version.bind", ns_c_chaos, ns_t_txt, NO_RECOVERY},
  };
  for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); ++i) {
    h_errno = 0;
    CHECK(res_query(wrong[i].name, wrong[i].klass, wrong[i].type, out, sizeof(out)) == -1);
    if (h_errno != wrong[i].error) {
      printf("%s: h_errno %d, not %d\n", wrong[i].name, h_errno, wrong[i].error);
      ++failures;
    }
  }
  /* As much as fits, marked as truncated, and the whole length. */
  int whole = res_query("resolver.example.test", ns_c_in, ns_t_a, out, sizeof(out));
  memset(out, 0xee, sizeof(out));
  CHECK(res_query("resolver.example.test", ns_c_in, ns_t_a, out, 20) == whole);
  CHECK((out[2] & 0x02) != 0 && out[20] == 0xee);
  CHECK(res_query("resolver.example.test", ns_c_in, ns_t_a, out, 4) == -1);
  errno = 0;
  CHECK(res_send(out, 5, out, sizeof(out)) == -1 && errno == EINVAL);
}

#ifndef __GLIBC__
static void case_background(void) {
  CHECK(!"getaddrinfo_a is glibc's");
}
#else
static volatile sig_atomic_t signalled;
static void on_signal(int number, siginfo_t* info, void* context) {
  (void)context;
  signalled = number == SIGUSR1 && info->si_code == SI_ASYNCNL ? info->si_value.sival_int : -1;
}

static pthread_t notified_on;
static int notified_with;
static pthread_mutex_t notified_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t notified_change = PTHREAD_COND_INITIALIZER;
static void on_notice(union sigval value) {
  pthread_mutex_lock(&notified_lock);
  notified_on = pthread_self();
  notified_with = value.sival_int;
  pthread_cond_signal(&notified_change);
  pthread_mutex_unlock(&notified_lock);
}

static int fake_in(const struct gaicb* request) {
  return request->ar_result != NULL && request->ar_result->ai_family == AF_INET &&
         is_fake4(((struct sockaddr_in*)(void*)request->ar_result->ai_addr)->sin_addr);
}

/* getaddrinfo_a, with every way to hear of its end. */
static void case_background(void) {
  struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
  struct gaicb one = {.ar_name = "one.example.test", .ar_service = "80", .ar_request = &hints};
  struct gaicb two = {.ar_name = "two.example.test", .ar_request = &hints};
  struct gaicb bad = {.ar_name = "no blanks", .ar_request = &hints};
  struct gaicb* list[] = {&one, NULL, &two, &bad};
  CHECK(getaddrinfo_a(GAI_WAIT, list, 4, NULL) == 0);
  CHECK(gai_error(&one) == 0 && fake_in(&one));
  CHECK(gai_error(&two) == 0 && fake_in(&two));
  CHECK(gai_error(&bad) == EAI_NONAME && bad.ar_result == NULL);
  CHECK(gai_cancel(&one) == EAI_ALLDONE);
  CHECK(gai_suspend((const struct gaicb* const*)list, 4, NULL) == EAI_ALLDONE);
  freeaddrinfo(one.ar_result);
  freeaddrinfo(two.ar_result);

  struct sigaction action = {.sa_flags = SA_SIGINFO};
  action.sa_sigaction = on_signal;
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
  struct sigevent event;
  memset(&event, 0, sizeof(event));
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGUSR1;
  event.sigev_value.sival_int = 64;
  list[2] = list[3] = NULL;
  CHECK(getaddrinfo_a(GAI_NOWAIT, list, 4, &event) == 0);
  CHECK(gai_error(&one) == 0 && fake_in(&one));
  freeaddrinfo(one.ar_result);
  CHECK(signalled == 64);

  event.sigev_notify = SIGEV_THREAD;
  event.sigev_notify_function = on_notice;
  pthread_mutex_lock(&notified_lock);
  CHECK(getaddrinfo_a(GAI_NOWAIT, list, 4, &event) == 0);
  while (notified_with == 0) {
    pthread_cond_wait(&notified_change, &notified_lock);
  }
  CHECK(notified_with == 64 && !pthread_equal(notified_on, pthread_self()));
  pthread_mutex_unlock(&notified_lock);
  CHECK(gai_error(&one) == 0 && fake_in(&one));
  freeaddrinfo(one.ar_result);

  CHECK(getaddrinfo_a(GAI_NOWAIT, list, 4, NULL) == 0 && gai_error(&one) == 0);
  freeaddrinfo(one.ar_result);
  errno = 0;
  CHECK(getaddrinfo_a(7, list, 4, NULL) == EAI_SYSTEM && errno == EINVAL);
}
#endif

#ifdef __GLIBC__
/* Names of networks, and the host's identity: of files alone. */
static void case_networks(void) {
  char host[] = "nowhere.example.test";
  char* there = host;
  int errors;
  errno = 0;
  CHECK(rcmd(&there, htons(514), "a", "b", "true", &errors) == -1 && errno == ENETUNREACH);
  CHECK(rcmd_af(&there, htons(514), "a", "b", "true", &errors, AF_INET6) == -1);
  CHECK(rexec(&there, htons(512), "a", "b", "true", &errors) == -1);
  CHECK(rexec_af(&there, htons(512), "a", "b", "true", &errors, AF_INET) == -1);
  errno = 0;
  CHECK(ruserok(host, 0, "root", "root") == -1 && errno == ENETUNREACH);
  CHECK(ruserok_af(host, 0, "root", "root", AF_INET) == -1);
  CHECK(getnetbyname("nowhere.example.test") == NULL && h_errno == HOST_NOT_FOUND);
  CHECK(getnetbyaddr(0x0a000000, AF_INET) == NULL);
  if (access("/etc/hostid", F_OK) != 0) {
    /* 127.0.1.1, as /etc/hosts says, its halves exchanged. */
    CHECK((unsigned)gethostid() == 0x007f0101);
    CHECK(sethostname("elsewhere.lab.test", 18) == 0);
    CHECK((unsigned)gethostid() == 0x007f0100);
  }
  if (access("/etc/networks", R_OK) != 0) {
    return;
  }
  struct netent* net = getnetbyname("labnet");
  CHECK(net != NULL && net->n_net == 0xc0000200 && net->n_addrtype == AF_INET);
  CHECK_TEXT(net != NULL ? net->n_aliases[0] : NULL, "lab-alias");
  CHECK_TEXT(net != NULL ? net->n_aliases[1] : NULL, "other-alias");
  CHECK(net != NULL && net->n_aliases[2] == NULL);
  net = getnetbyname("other-alias");
  CHECK_TEXT(net != NULL ? net->n_name : NULL, "labnet");
  net = getnetbyaddr(0x7f000000, AF_INET);
  CHECK_TEXT(net != NULL ? net->n_name : NULL, "loopback");
  CHECK(getnetbyname("192.0.2") == NULL);
  CHECK(getnetbyaddr(0x7f000000, AF_INET6) == NULL);

  struct netent entry;
  char buffer[256];
  int error = 0;
  CHECK(getnetbyname_r("labnet", &entry, buffer + 1, sizeof(buffer) - 1, &net, &error) == 0 &&
        net == &entry);
  CHECK(getnetbyname_r("labnet", &entry, buffer, 20, &net, &error) == ERANGE && net == NULL);
  CHECK(getnetbyname_r("nowhere", &entry, buffer, sizeof(buffer), &net, &error) == 0 &&
        net == NULL);
  CHECK(error == HOST_NOT_FOUND);
  CHECK(getnetbyaddr_r(0xc0000200, AF_UNSPEC, &entry, buffer, sizeof(buffer), &net, &error) == 0 &&
        net == &entry);
}
#endif

/* 20,000 distinct names in 50 ms. Measured in processor time, with room for a loaded machine.
 */
static void case_speed(void) {
  struct timespec start, end;
  char name[64];
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
  for (int i = 0; i < 20000; ++i) {
    snprintf(name, sizeof(name), "host%d.example.test", i);
    CHECK(error_of(name, "80", AF_INET, SOCK_STREAM, 0) == 0);
  }
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
  double spent =
      (double)(end.tv_sec - start.tv_sec) * 1e3 + (double)(end.tv_nsec - start.tv_nsec) / 1e6;
  printf("20000 distinct names: %.1f ms of processor time\n", spent);
  const char* sanitize = getenv("SOCKS64_TEST_SANITIZE");
  if (sanitize == NULL || *sanitize == '\0') {
    CHECK(spent < 250);
  }
}

int main(int argc, char** argv) {
  static const struct {
    const char* name;
    void (*run)(void);
  } cases[] = {
#define CASE(name) {#name, case_##name}
      CASE(control),         CASE(delegation),    CASE(families),
      CASE(gateway6),        CASE(both_families), CASE(both_gateway6),
      CASE(ranges),          CASE(transports),    CASE(services),
      CASE(invalid),         CASE(numeric),       CASE(literals),
      CASE(local),           CASE(reverse),       CASE(hostent),
      CASE(buffers),         CASE(fork),          CASE(spelling),
      CASE(freeing),         CASE(errno),         CASE(full),
      CASE(broken),          CASE(speed),         CASE(resolver),
      CASE(resolver_errors), CASE(background),
#ifdef __GLIBC__
      CASE(networks),
#endif
  };
  for (size_t i = 0; argc == 2 && i < sizeof(cases) / sizeof(cases[0]); ++i) {
    if (strcmp(cases[i].name, argv[1]) == 0) {
      cases[i].run();
      return failures == 0 ? 0 : 1;
    }
  }
  fprintf(stderr, "usage: %s CASE\n", argv[0]);
  return 2;
}
