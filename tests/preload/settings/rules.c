/* What the resolver calls say and where a connect leads, told in lines that can be compared: with
 * the library and without it, under one rule and another. */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <unistd.h>

#include "rig/probe.h"

static void tell_list(const char* call, int error, struct addrinfo* list) {
  printf("%s:", call);
  if (error != 0) {
    printf(" %s\n", gai_strerror(error));
    return;
  }
  for (struct addrinfo* each = list; each != NULL; each = each->ai_next) {
    char host[64], port[16];
    CHECK_EQ(getnameinfo(each->ai_addr, each->ai_addrlen, host, sizeof(host), port, sizeof(port),
                         NI_NUMERICHOST | NI_NUMERICSERV),
             0);
    printf(" %s:%s/%d/%d/%x%s%s", host, port, each->ai_socktype, each->ai_protocol, each->ai_flags,
           each->ai_canonname == NULL ? "" : "=",
           each->ai_canonname == NULL ? "" : each->ai_canonname);
  }
  printf("\n");
  freeaddrinfo(list);
}

static void tell_lookup(const char* node, const char* service, int family_asked, int type,
                        int flags) {
  const struct addrinfo hints = {.ai_family = family_asked, .ai_socktype = type, .ai_flags = flags};
  struct addrinfo* list = NULL;
  char call[64];
  snprintf(call, sizeof(call), "getaddrinfo %d %x", family_asked, flags);
  const int error = getaddrinfo(node, service, &hints, &list);
  tell_list(call, error, list);
}

/* `host_error` NULL: h_errno, read when the call is over. */
static void tell_entry(const char* call, const struct hostent* entry, const int* host_error) {
  printf("%s:", call);
  if (entry == NULL) {
    printf(" h_errno %d\n", host_error == NULL ? h_errno : *host_error);
    return;
  }
  printf(" %s", entry->h_name);
  for (char** alias = entry->h_aliases; *alias != NULL; ++alias) {
    printf(" (%s)", *alias);
  }
  for (char** each = entry->h_addr_list; *each != NULL; ++each) {
    char text[64];
    printf(" %s", inet_ntop(entry->h_addrtype, *each, text, sizeof(text)));
  }
  printf("\n");
}

/* resolve_by_all NAME: every entry point. A "-" stands for NULL. */
PROBE(resolve_by_all) {
  const char* name = strcmp(argv[1], "-") == 0 ? NULL : argv[1];
  static const int flags[] = {0,           AI_CANONNAME,         AI_ADDRCONFIG,
                              AI_V4MAPPED, AI_V4MAPPED | AI_ALL, AI_NUMERICHOST,
                              AI_PASSIVE};
  static const int families[] = {AF_UNSPEC, AF_INET, AF_INET6};
  for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); ++i) {
    for (size_t j = 0; j < 3; ++j) {
      tell_lookup(name, "80", families[j], SOCK_STREAM, flags[i]);
    }
  }
  struct addrinfo* list = NULL;
  const int error = getaddrinfo(name, "http", NULL, &list);
  tell_list("getaddrinfo without hints", error, list);
  tell_lookup(name, "no such service", AF_UNSPEC, 0, 0);
  tell_lookup(name, "http", AF_UNSPEC, SOCK_RAW, 0);
  tell_lookup(name, NULL, 77, 0, 0);
  tell_lookup(name, NULL, AF_UNSPEC, 0, 1 << 20);
  if (name == NULL) {
    return;
  }
  h_errno = 0;
  tell_entry("gethostbyname", gethostbyname(name), NULL);
  for (size_t j = 1; j < 3; ++j) {
    struct hostent entry, *result = NULL;
    char buffer[2048];
    int host_error = 0;
    tell_entry("gethostbyname2", gethostbyname2(name, families[j]), NULL);
    printf("returned %d ", gethostbyname2_r(name, families[j], &entry, buffer, sizeof(buffer),
                                            &result, &host_error));
    tell_entry("gethostbyname2_r", result, &host_error);
    printf("returned %d ",
           gethostbyname2_r(name, families[j], &entry, buffer, 8, &result, &host_error));
    tell_entry("gethostbyname2_r in 8 octets", result, &host_error);
  }
  struct hostent entry, *result = NULL;
  char buffer[2048];
  int host_error = 0;
  printf("returned %d ",
         gethostbyname_r(name, &entry, buffer, sizeof(buffer), &result, &host_error));
  tell_entry("gethostbyname_r", result, &host_error);
}

static void tell_records(const char* call, const unsigned char* message, int size) {
  printf("%s: ", call);
  if (size < 12) {
    printf("%d, h_errno %d\n", size, h_errno);
    return;
  }
  /* The first two octets are the query's random number. */
  for (int i = 2; i < size; ++i) {
    printf("%02x", message[i]);
  }
  printf("\n");
}

/* records_by_all NAME: the resolver's own interface. */
PROBE(records_by_all) {
  static const int types[] = {ns_t_a, ns_t_aaaa, ns_t_txt};
  unsigned char message[512];
  for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); ++i) {
    tell_records("res_query", message,
                 res_query(argv[1], ns_c_in, types[i], message, sizeof(message)));
    tell_records("res_search", message,
                 res_search(argv[1], ns_c_in, types[i], message, sizeof(message)));
    struct __res_state state;
    memset(&state, 0, sizeof(state));
    CHECK_EQ(res_ninit(&state), 0);
    tell_records("res_nquery", message,
                 res_nquery(&state, argv[1], ns_c_in, types[i], message, sizeof(message)));
    tell_records("res_nsearch", message,
                 res_nsearch(&state, argv[1], ns_c_in, types[i], message, sizeof(message)));
    res_nclose(&state);
  }
}

/* query_to ADDRESS NAME: a DNS query of the program's own; the answer's code and how many records,
 * or why not. */
PROBE(query_to) {
  struct sockaddr_storage there;
  const socklen_t size = address_of(argv[1], 53, &there);
  unsigned char message[512];
  const int length =
      res_mkquery(ns_o_query, argv[2], ns_c_in, ns_t_a, NULL, 0, NULL, message, sizeof(message));
  CHECK(length > 0);
  const int fd = socket(there.ss_family, SOCK_DGRAM, 0);
  if (sendto(fd, message, (size_t)length, 0, (struct sockaddr*)&there, size) < 0) {
    printf("%s\n", strerrorname_np(errno));
    return;
  }
  CHECK(recv(fd, message, sizeof(message), 0) > 12);
  printf("code %d, %d records\n", message[3] & 15, message[7]);
}

/* at_once_by_all NAME NAME...: getaddrinfo_a, which waits for all of them. */
PROBE(at_once_by_all) {
  struct gaicb requests[8] = {0}, *list[8];
  CHECK(argc - 1 <= 8);
  for (int i = 1; i < argc; ++i) {
    requests[i - 1] = (struct gaicb){.ar_name = argv[i], .ar_service = "80"};
    list[i - 1] = &requests[i - 1];
  }
  CHECK_EQ(getaddrinfo_a(GAI_WAIT, list, argc - 1, NULL), 0);
  for (int i = 1; i < argc; ++i) {
    const int error = gai_error(&requests[i - 1]);
    tell_list(argv[i], error, requests[i - 1].ar_result);
  }
}

/* name_by_all ADDRESS */
PROBE(name_by_all) {
  struct sockaddr_storage there;
  const socklen_t size = address_of(argv[1], 80, &there);
  static const int flags[] = {0, NI_NAMEREQD, NI_NUMERICHOST, NI_NUMERICSERV, NI_NOFQDN, NI_DGRAM};
  for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); ++i) {
    char host[256] = "-", service[64] = "-";
    const int error = getnameinfo((struct sockaddr*)&there, size, host, sizeof(host), service,
                                  sizeof(service), flags[i]);
    printf("getnameinfo %x: %d %s %s\n", flags[i], error, host, service);
  }
  const int v4 = there.ss_family == AF_INET;
  const void* bytes = v4 ? (void*)&((struct sockaddr_in*)&there)->sin_addr
                         : (void*)&((struct sockaddr_in6*)&there)->sin6_addr;
  const socklen_t length = v4 ? 4 : 16;
  tell_entry("gethostbyaddr", gethostbyaddr(bytes, length, there.ss_family), NULL);
  struct hostent entry, *result = NULL;
  char buffer[2048];
  int host_error = 0;
  printf("returned %d ", gethostbyaddr_r(bytes, length, there.ss_family, &entry, buffer,
                                         sizeof(buffer), &result, &host_error));
  tell_entry("gethostbyaddr_r", result, &host_error);
  tell_entry("gethostbyaddr", gethostbyaddr(bytes, 3, there.ss_family), NULL);
}

/* greeted_by HOST PORT FAMILY: who is there, or why not. FAMILY is 0, 4 or 6. */
PROBE(greeted_by) {
  const int wanted = atoi(argv[3]);
  const struct addrinfo hints = {.ai_family = wanted == 4   ? AF_INET
                                              : wanted == 6 ? AF_INET6
                                                            : AF_UNSPEC,
                                 .ai_socktype = SOCK_STREAM};
  struct addrinfo* list = NULL;
  const int error = getaddrinfo(argv[1], argv[2], &hints, &list);
  if (error != 0) {
    printf("%s\n", gai_strerror(error));
    return;
  }
  const int fd = socket(list->ai_family, SOCK_STREAM, 0);
  CHECK(fd >= 0);
  if (connect(fd, list->ai_addr, list->ai_addrlen) != 0) {
    printf("%s\n", strerrorname_np(errno));
    return;
  }
  char greeting[16] = {0};
  CHECK(read(fd, greeting, sizeof(greeting) - 1) > 0);
  printf("%s\n", greeting);
  freeaddrinfo(list);
}

/* The address in the first record of an answer for type A. */
static struct in_addr first_address(const unsigned char* message, int length) {
  ns_msg answer;
  ns_rr record;
  CHECK(ns_initparse(message, length, &answer) == 0);
  CHECK(ns_msg_count(answer, ns_s_an) > 0);
  CHECK(ns_parserr(&answer, ns_s_an, 0, &record) == 0);
  CHECK_EQ(ns_rr_type(record), ns_t_a);
  struct in_addr address;
  memcpy(&address, ns_rr_rdata(record), sizeof(address));
  return address;
}

/* greeted_at_record HOW NAME PORT: as greeted_by, where the address comes from a query to the
 * resolver 127.0.0.1 by udp or tcp, or from res_query or res_send. */
PROBE(greeted_at_record) {
  unsigned char query[514], answer[4096];
  const int size = res_mkquery(ns_o_query, argv[2], ns_c_in, ns_t_a, NULL, 0, NULL, query + 2, 512);
  CHECK(size > 0);
  query[0] = 0;
  query[1] = (unsigned char)size;
  int length;
  if (strcmp(argv[1], "res_query") == 0) {
    length = res_query(argv[2], ns_c_in, ns_t_a, answer, sizeof(answer));
  } else if (strcmp(argv[1], "res_send") == 0) {
    length = res_send(query + 2, size, answer, sizeof(answer));
  } else {
    const int stream = strcmp(argv[1], "tcp") == 0;
    struct sockaddr_storage there;
    const socklen_t there_size = address_of("127.0.0.1", 53, &there);
    const int fd = socket(AF_INET, stream ? SOCK_STREAM : SOCK_DGRAM, 0);
    CHECK(connect(fd, (struct sockaddr*)&there, there_size) == 0);
    CHECK_EQ(send(fd, query + (stream ? 0 : 2), (size_t)size + (stream ? 2 : 0), 0),
             size + (stream ? 2 : 0));
    if (stream) {
      CHECK_EQ(recv(fd, answer, 2, MSG_WAITALL), 2);
    }
    length = (int)recv(fd, answer, sizeof(answer), 0);
    close(fd);
  }
  CHECK(length > 12);
  struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons((in_port_t)atoi(argv[3]))};
  there.sin_addr = first_address(answer, length);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(connect(fd, (struct sockaddr*)&there, sizeof(there)) == 0);
  char greeting[16] = {0};
  CHECK(read(fd, greeting, sizeof(greeting) - 1) > 0);
  printf("%s\n", greeting);
}
