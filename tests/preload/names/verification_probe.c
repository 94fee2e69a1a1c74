/* What a program sees of names while the gateway is asked whether they exist. Prints what it was
 * told; the test compares. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char* told(int error) {
  switch (error) {
    case 0:
      return "found";
    case EAI_NONAME:
      return "EAI_NONAME";
    case EAI_AGAIN:
      return "EAI_AGAIN";
    default:
      return gai_strerror(error);
  }
}

static const char* host_told(const struct hostent* entry, int error) {
  if (entry != NULL) {
    return "found";
  }
  return error == HOST_NOT_FOUND ? "HOST_NOT_FOUND" : error == TRY_AGAIN ? "TRY_AGAIN" : "other";
}

static int look_up(const char* name) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
  struct addrinfo* result = NULL;
  const int error = getaddrinfo(name, "80", &hints, &result);
  if (error == 0) {
    freeaddrinfo(result);
  }
  return error;
}

static int descriptors(void) {
  int count = 0;
  DIR* directory = opendir("/proc/self/fd");
  while (readdir(directory) != NULL) {
    ++count;
  }
  closedir(directory);
  return count;
}

/* Every entry point, with errno and the descriptors as they were. */
static int ask(const char* name) {
  const int before = descriptors();
  errno = 4711;
  printf("getaddrinfo %s\n", told(look_up(name)));
  const int kept = errno;
  const struct hostent* own = gethostbyname(name);
  printf("gethostbyname %s\n", host_told(own, h_errno));
  own = gethostbyname2(name, AF_INET6);
  printf("gethostbyname2 %s\n", host_told(own, h_errno));
  char buffer[4096];
  struct hostent entry;
  struct hostent* found = NULL;
  int host_error = 0;
  gethostbyname_r(name, &entry, buffer, sizeof buffer, &found, &host_error);
  printf("gethostbyname_r %s\n", host_told(found, host_error));
  if (kept != 4711) {
    printf("errno became %d\n", kept);
  }
  if (descriptors() != before) {
    printf("%d descriptors became %d\n", before, descriptors());
  }
  return 0;
}

static int exhausted(const char* name) {
  const struct rlimit none = {0, 0};
  setrlimit(RLIMIT_NOFILE, &none);
  printf("%s\n", told(look_up(name)));
  return 0;
}

/* Descriptors 0 to 2 are free: somebody may write there meanwhile, so nothing of ours may be there.
 */
static volatile int asking = 1;
static void* write_blindly(void* unused) {
  while (asking) {
    if (write(1, "rubbish", 7) >= 0 || write(2, "rubbish", 7) >= 0 || write(0, "rubbish", 7) >= 0) {
      return "written";
    }
  }
  (void)unused;
  return NULL;
}
static int low(const char* name, const char* report) {
  signal(SIGPIPE, SIG_IGN);
  if (freopen(report, "w", stdin) == NULL) {
    return 1;
  }
  const int out = dup(0);
  for (int fd = 0; fd < 3; ++fd) {
    close(fd);
  }
  pthread_t writer;
  pthread_create(&writer, NULL, write_blindly, NULL);
  const char* said = told(look_up(name));
  asking = 0;
  void* written = NULL;
  pthread_join(writer, &written);
  dprintf(out, "%s%s\n", said, written != NULL ? ", and somebody wrote into it" : "");
  return 0;
}

static const char* shared_name;
static void* asks(void* unused) {
  (void)unused;
  return (void*)told(look_up(shared_name));
}
static int threads(const char* name) {
  shared_name = name;
  pthread_t all[16];
  for (int i = 0; i < 16; ++i) {
    pthread_create(&all[i], NULL, asks, NULL);
  }
  for (int i = 0; i < 16; ++i) {
    void* said = NULL;
    pthread_join(all[i], &said);
    printf("%s\n", (const char*)said);
  }
  return 0;
}

static void* asks_on(void* unused) {
  while (asking) {
    look_up(shared_name);
  }
  return unused;
}
static int forks(const char* name) {
  shared_name = name;
  pthread_t all[4];
  for (int i = 0; i < 4; ++i) {
    pthread_create(&all[i], NULL, asks_on, NULL);
  }
  int bad = 0;
  for (int i = 0; i < 50; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(30);
      _exit(look_up(name) == EAI_NONAME ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    bad += status != 0;
  }
  asking = 0;
  for (int i = 0; i < 4; ++i) {
    pthread_join(all[i], NULL);
  }
  printf("%d of 50 children were told something else\n", bad);
  return 0;
}

static volatile sig_atomic_t ticks;
static void tick(int unused) {
  (void)unused;
  ++ticks;
}
static int interrupted(const char* name) {
  signal(SIGALRM, tick);
  const struct itimerval often = {{0, 2000}, {0, 2000}};
  setitimer(ITIMER_REAL, &often, NULL);
  const int error = look_up(name);
  const struct itimerval never = {{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &never, NULL);
  printf("%s%s\n", told(error), ticks < 10 ? ", without an interruption" : "");
  return 0;
}

static double seconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}
/* One name after the other: "found 0.001". */
static int each(char** names) {
  for (; *names != NULL; ++names) {
    const double start = seconds();
    const char* said = told(look_up(*names));
    printf("%s %.3f\n", said, seconds() - start);
  }
  return 0;
}

/* getaddrinfo_a: the one that waits may, the other must not. */
static int background(const char* name) {
  for (int wait = 0; wait < 2; ++wait) {
    struct gaicb one = {.ar_name = name};
    struct gaicb* list[] = {&one};
    if (getaddrinfo_a(wait ? GAI_WAIT : GAI_NOWAIT, list, 1, NULL) != 0) {
      return 1;
    }
    const struct gaicb* const all[] = {&one};
    while (gai_error(&one) == EAI_INPROGRESS) {
      gai_suspend(all, 1, NULL);
    }
    printf("%s\n", told(gai_error(&one)));
  }
  return 0;
}

static int reach(const char* name, const char* port) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_INET};
  struct addrinfo* result = NULL;
  if (getaddrinfo(name, port, &hints, &result) != 0) {
    return 1;
  }
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  char octets[4] = "";
  if (connect(fd, result->ai_addr, result->ai_addrlen) != 0 || send(fd, "ping", 4, 0) != 4 ||
      recv(fd, octets, 4, MSG_WAITALL) != 4 || memcmp(octets, "ping", 4) != 0) {
    perror("connect");
    return 1;
  }
  return 0;
}

static int reach_each(const char* port, char** names) {
  for (; *names != NULL; ++names) {
    if (reach(*names, port) != 0) {
      return 1;
    }
  }
  return 0;
}

int main(int count, char** arguments) {
  if (count < 3) {
    return 2;
  }
  const char* what = arguments[1];
  const char* name = arguments[2];
  if (strcmp(what, "ask") == 0) {
    return ask(name);
  }
  if (strcmp(what, "exhausted") == 0) {
    return exhausted(name);
  }
  if (strcmp(what, "low") == 0) {
    return low(name, arguments[3]);
  }
  if (strcmp(what, "threads") == 0) {
    return threads(name);
  }
  if (strcmp(what, "forks") == 0) {
    return forks(name);
  }
  if (strcmp(what, "interrupted") == 0) {
    return interrupted(name);
  }
  if (strcmp(what, "each") == 0) {
    return each(arguments + 2);
  }
  if (strcmp(what, "background") == 0) {
    return background(name);
  }
  if (strcmp(what, "reach") == 0) {
    return reach(name, arguments[3]);
  }
  if (strcmp(what, "reach_each") == 0) {
    return reach_each(name, arguments + 3);
  }
  return 2;
}
