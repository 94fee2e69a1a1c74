/* Programs of one tree that hand fake addresses to each other. */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig/probe.h"

/* The fake address of a name as text, or fails with getaddrinfo's code as exit status 100 and up.
 */
static const char* look_up(const char* name, int wanted) {
  static char text[INET6_ADDRSTRLEN];
  const struct addrinfo hints = {.ai_family = wanted, .ai_socktype = SOCK_STREAM};
  struct addrinfo* found = NULL;
  const int code = getaddrinfo(name, NULL, &hints, &found);
  if (code != 0) {
    fprintf(stderr, "%s: %s\n", name, gai_strerror(code));
    _exit(100 - code);
  }
  CHECK(getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof(text), NULL, 0,
                    NI_NUMERICHOST) == 0);
  freeaddrinfo(found);
  return text;
}

static int wanted_family(const char* text) {
  return strcmp(text, "6") == 0 ? AF_INET6 : AF_INET;
}

/* look_up NAME 4|6: says the address. */
PROBE(look_up_name) {
  puts(look_up(argv[1], wanted_family(argv[2])));
}

/* A program with a child that looks a name up, and tells it the address. */
PROBE(connect_where_the_child_says) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], 1);
    execl("/proc/self/exe", "probe", "look_up_name", argv[1], argv[2], (char*)NULL);
    _exit(127);
  }
  char text[INET6_ADDRSTRLEN + 1] = {0};
  close(ends[1]);
  CHECK(read(ends[0], text, sizeof(text) - 1) > 1);
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK_EQ(status, 0);
  text[strcspn(text, "\n")] = '\0';
  CHECK(setenv("PROBE_TARGET", text, 1) == 0);
  check_echo(connected(ECHO));
}

/* connect_fails ERRNO: nobody is behind PROBE_TARGET. */
PROBE(connect_fails) {
  alarm(30);
  CHECK_FAILS(dial(tcp(0), ECHO), errno_named(argv[1]));
}

/* The program has no child that it did not start. */
PROBE(has_no_children) {
  int status;
  CHECK_FAILS(wait(&status), ECHILD);
}

/* Says "ready", and waits for the end of its input. Then, with an argument, connects. */
PROBE(wait_for_input) {
  char octet;
  puts("ready");
  while (read(0, &octet, 1) > 0) {
  }
  if (argc > 1) {
    check_echo(connected(ECHO));
  }
}

/* look_up_forever FIRST: names without end, until it is killed; says how far it is. */
PROBE(look_up_forever) {
  for (int i = atoi(argv[1]);; ++i) {
    char name[32];
    snprintf(name, sizeof(name), "host%d.test", i);
    look_up(name, AF_INET);
    printf("%d\n", i);
  }
}

/* look_up_all COUNT: each name has an address, and each address its name. */
PROBE(look_up_all) {
  const int count = atoi(argv[1]);
  for (int i = 0; i < count; ++i) {
    char name[32], back[64];
    snprintf(name, sizeof(name), "host%d.test", i);
    struct sockaddr_storage address;
    const socklen_t length = address_of(look_up(name, AF_INET), 0, &address);
    CHECK_EQ(getnameinfo((struct sockaddr*)&address, length, back, sizeof(back), NULL, 0, 0), 0);
    if (strcmp(back, name) != 0) {
      fail_at(__FILE__, __LINE__, "%s is %s", name, back);
    }
  }
}
