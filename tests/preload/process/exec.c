/* Programs that start others with environments of their own making. */
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig/probe.h"

enum { HUGE_COUNT = 20000, HUGE_SIZE = 56 };

static const char self[] = "/proc/self/exe";

/* What a program is left with that clears its environment: nothing, but for what a sanitizer needs
 * to keep quiet about other people's programs. */
static char** cleared(void) {
  static char* list[8];
  size_t filled = 0;
  for (char** each = environ; each != NULL && *each != NULL && filled < 7; ++each) {
    if (strstr(*each, "SAN_OPTIONS=") != NULL) {
      list[filled++] = *each;
    }
  }
  list[filled] = NULL;
  return list;
}

/* 20,000 entries, more than a megabyte. */
static char** huge(void) {
  static char* list[HUGE_COUNT + 8];
  static char text[HUGE_COUNT][HUGE_SIZE];
  size_t filled = 0;
  for (; filled < HUGE_COUNT; ++filled) {
    snprintf(text[filled], HUGE_SIZE, "HUGE_%05zu=%042zu", filled, filled);
    list[filled] = text[filled];
  }
  for (char** each = cleared(); *each != NULL; ++each) {
    list[filled++] = *each;
  }
  list[filled] = NULL;
  return list;
}

static void become(const char* how, char** arguments, char** list) {
  if (strcmp(how, "execve") == 0) {
    execve(self, arguments, list);
  }
  if (strcmp(how, "execvpe") == 0) {
    execvpe(self, arguments, list);
  }
  if (strcmp(how, "execle") == 0) {
    execle(self, arguments[0], arguments[1], (char*)NULL, list);
  }
  if (strcmp(how, "fexecve") == 0) {
    fexecve(open(self, O_RDONLY | O_CLOEXEC), arguments, list);
  }
#ifdef __GLIBC__
  if (strcmp(how, "execveat") == 0) {
    execveat(AT_FDCWD, self, arguments, list, 0);
  }
#endif
  environ = list;
  if (strcmp(how, "execv") == 0) {
    execv(self, arguments);
  }
  if (strcmp(how, "execvp") == 0) {
    execvp(self, arguments);
  }
  if (strcmp(how, "execl") == 0) {
    execl(self, arguments[0], arguments[1], (char*)NULL);
  }
  if (strcmp(how, "execlp") == 0) {
    execlp(self, arguments[0], arguments[1], (char*)NULL);
  }
  fail_at(__FILE__, __LINE__, "%s: %s", how, strerror(errno));
}

/* A child in one of the ways to have one; execNAME alone is a plain fork. */
static pid_t start(const char* how, char** arguments, char** list) {
  pid_t child = -1;
  if (strcmp(how, "posix_spawn") == 0) {
    CHECK_EQ(posix_spawn(&child, self, NULL, NULL, arguments, list), 0);
  } else if (strcmp(how, "posix_spawnp") == 0) {
    CHECK_EQ(posix_spawnp(&child, self, NULL, NULL, arguments, list), 0);
  } else if (strcmp(how, "vfork") == 0) {
    child = vfork();
    if (child == 0) {
      execve(self, arguments, list);
      _exit(127);
    }
  } else {
    child = fork();
    if (child == 0) {
      become(how, arguments, list);
    }
  }
  CHECK(child > 0);
  return child;
}

static void join(pid_t child) {
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK_EQ(status, 0);
}

/* What the others start: an ordinary program that connects. */
PROBE(started) {
  alarm(30);
  check_echo(connected(ECHO));
}

/* start_cleared HOW: it is still there for a child whose environment is empty. */
PROBE(start_cleared) {
  char* arguments[] = {"probe", "started", NULL};
  join(start(argv[1], arguments, cleared()));
}

/* As sudo and its kin leave a program: session, descriptors, directory and environment their own.
 */
PROBE(start_as_a_launcher) {
  char* arguments[] = {"probe", "started", NULL};
  const pid_t child = fork();
  if (child == 0) {
    char* list[12] = {"PATH=/usr/bin:/bin", "HOME=/", "USER=nobody", "TERM=dumb"};
    memcpy(list + 4, cleared(), 8 * sizeof(char*));
    setsid();
    closefrom(3);
    const int file = open(self, O_RDONLY | O_CLOEXEC);
    CHECK(chdir("/") == 0);
    CHECK(file == 3);
    clearenv();
    fexecve(file, arguments, list);
    _exit(127);
  }
  join(child);
}

/* Every entry arrived, in its order. */
PROBE(started_huge) {
  for (size_t i = 0; i < HUGE_COUNT; ++i) {
    char expected[HUGE_SIZE];
    snprintf(expected, sizeof(expected), "HUGE_%05zu=%042zu", i, i);
    CHECK(strcmp(environ[i], expected) == 0);
  }
  alarm(30);
  check_echo(connected(ECHO));
}

PROBE(start_huge) {
  char* arguments[] = {"probe", "started_huge", NULL};
  join(start(argv[1], arguments, huge()));
}

static long mapped_pages(void) {
  FILE* file = fopen("/proc/self/statm", "re");
  long pages = 0;
  CHECK(file != NULL && fscanf(file, "%ld", &pages) == 1);
  fclose(file);
  return pages;
}

/* A child of vfork has its parent's memory: what is mapped for its exec must not pile up there. */
PROBE(start_huge_often) {
  char** list = huge();
  char* arguments[] = {"true", NULL};
  long before = 0;
  for (int i = 0; i < 60; ++i) {
    if (i == 2) {
      before = mapped_pages();
    }
    const pid_t child = vfork();
    if (child == 0) {
      execve("/nonexistent/true", arguments, list); /* as a search in PATH does */
      execve("/bin/true", arguments, list);
      _exit(127);
    }
    join(child);
    CHECK_EQ(posix_spawn(&(pid_t){0}, "/nonexistent/true", NULL, NULL, arguments, list), ENOENT);
  }
  CHECK(mapped_pages() - before < 256); /* a single copy of the list is 40 pages */
}

PROBE(show_environment) {
  for (char** each = environ; *each != NULL; ++each) {
    puts(*each);
  }
}

/* An environment that lacks nothing arrives as it is. */
PROBE(start_with_all) {
  char* list[200];
  size_t filled = 0;
  list[filled++] = "FIRST=1";
  list[filled++] = "no equals sign";
  for (char** each = environ; *each != NULL && filled < 190; ++each) {
    list[filled++] = *each;
  }
  list[filled++] = "LAST=1";
  list[filled++] = "FIRST=2";
  list[filled] = NULL;
  int ends[2];
  CHECK(pipe(ends) == 0);
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    char* arguments[] = {"probe", "show_environment", NULL};
    dup2(ends[1], 1);
    execve(self, arguments, list);
    _exit(127);
  }
  close(ends[1]);
  FILE* shown = fdopen(ends[0], "r");
  char* line = NULL;
  size_t room = 0;
  for (size_t i = 0; i < filled; ++i) {
    const ssize_t size = getline(&line, &room, shown);
    CHECK(size > 0);
    line[size - 1] = '\0';
    if (strcmp(line, list[i]) != 0) {
      fail_at(__FILE__, __LINE__, "'%s', not '%s'", line, list[i]);
    }
  }
  CHECK(getline(&line, &room, shown) == -1);
  free(line);
  join(child);
}

/* A shell tells whether it has the library: cheaper than a connect, for many of them. */
static atomic_int started_count;
static void* start_often(void* argument) {
  char* arguments[] = {"sh", "-c", "test -n \"$LD_PRELOAD\" && test -n \"$SOCKS64_GATEWAY\"", NULL};
  char** list = cleared();
  for (intptr_t i = 0; i < 6; ++i) {
    pid_t child = -1;
    switch (((intptr_t)argument + i) % 3) {
      case 0:
        child = fork();
        if (child == 0) {
          execve("/bin/sh", arguments, list);
          _exit(127);
        }
        break;
      case 1:
        child = vfork();
        if (child == 0) {
          execve("/bin/sh", arguments, list);
          _exit(127);
        }
        break;
      default:
        CHECK_EQ(posix_spawn(&child, "/bin/sh", NULL, NULL, arguments, list), 0);
    }
    join(child);
    ++started_count;
  }
  return NULL;
}
PROBE(threads_start_others) {
  enum { THREADS = 64 };
  pthread_t threads[THREADS];
  for (intptr_t i = 0; i < THREADS; ++i) {
    CHECK_EQ(pthread_create(&threads[i], NULL, start_often, (void*)i), 0);
  }
  for (int i = 0; i < 20; ++i) {
    check_echo(connected(ECHO));
  }
  for (int i = 0; i < THREADS; ++i) {
    pthread_join(threads[i], NULL);
  }
  CHECK_EQ(started_count, THREADS * 6);
}

static void say(const char* what, int result, int error) {
  printf("%s: %d %s\n", what, result, strerrorname_np(error));
}
#define SAY(call)               \
  do {                          \
    errno = 0;                  \
    const int result_ = (call); \
    say(#call, result_, errno); \
  } while (0)

/* start_fails DIRECTORY: every way to fail, told apart. In DIRECTORY is `text`, executable and of
 * no known format, which says what it was given. */
PROBE(start_fails) {
  CHECK(chdir(argv[1]) == 0);
  char* arguments[] = {"one", "two", NULL};
  static char long_text[200 * 1024];
  memset(long_text, 'x', sizeof(long_text) - 1);
  char* too_long[] = {"one", long_text, NULL};
  void* volatile wild = (void*)8;
  char** lists[] = {cleared(), environ, NULL};
  for (int i = 0; i < 3; ++i) {
    char** list = lists[i];
    pid_t child = -1;
    SAY(execve("/nonexistent", arguments, list));
    SAY(execve("/etc/passwd/x", arguments, list));
    SAY(execve("/", arguments, list));
    SAY(execve("/etc/passwd", arguments, list));
    SAY(execve("./text", arguments, list));
    SAY(execve("/bin/true", too_long, list));
    SAY(execve(wild, arguments, list));
    SAY(execve("/bin/true", wild, list));
    SAY(execve("/bin/true", arguments, wild));
    SAY(execvpe("no-such-program", arguments, list));
    SAY(execvpe("", arguments, list));
    SAY(execle("/nonexistent", "one", (char*)NULL, list));
    SAY(fexecve(-1, arguments, list));
#ifdef __GLIBC__
    SAY(execveat(AT_FDCWD, "", arguments, list, 0));
#endif
#ifdef __GLIBC__
    SAY(execveat(AT_FDCWD, "x", arguments, list, -1));
#endif
    SAY(posix_spawn(&child, "/nonexistent", NULL, NULL, arguments, list));
    SAY(posix_spawn(&child, "./text", NULL, NULL, arguments, list));
    SAY(posix_spawn(&child, "/bin/true", NULL, NULL, too_long, list));
    SAY(posix_spawnp(&child, "no-such-program", NULL, NULL, arguments, list));
    errno = EDOM;
    SAY((posix_spawn(&child, "/bin/true", NULL, NULL, arguments, list)));
    join(child);
  }
  SAY(execl("/nonexistent", "one", "two", (char*)NULL));
  SAY(execlp("no-such-program", "one", (char*)NULL));
  SAY(execv("/nonexistent", arguments));
  SAY(execvp("no-such-program", arguments));
}

/* start_text HOW DIRECTORY: a file without a header goes to the shell where libc says so. */
PROBE(start_text) {
  CHECK(chdir(argv[2]) == 0);
  char* arguments[] = {"one", "two", "three", NULL};
  if (strcmp(argv[1], "execvpe") == 0) {
    execvpe("./text", arguments, cleared());
  }
  environ = cleared();
  if (strcmp(argv[1], "execvp") == 0) {
    execvp("./text", arguments);
  }
  if (strcmp(argv[1], "execlp") == 0) {
    execlp("./text", "one", "two", "three", (char*)NULL);
  }
}

/* start_null HOW: Linux takes a null list for an empty one. */
PROBE(start_null) {
  char** volatile none = NULL;
  char* arguments[] = {"sh", "-c", "echo $#", NULL};
  if (strcmp(argv[1], "envp") == 0) {
    execve("/bin/sh", arguments, none);
  }
  if (strcmp(argv[1], "argv") == 0) {
    execve("/bin/true", none, cleared());
  }
  if (strcmp(argv[1], "both") == 0) {
    execve("/bin/true", none, none);
  }
  environ = none;
  if (strcmp(argv[1], "environ") == 0) {
    execv("/bin/sh", arguments);
  }
  fail_at(__FILE__, __LINE__, "%s: %s", argv[1], strerror(errno));
}
