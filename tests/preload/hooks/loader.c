/* Programs that get at functions by opening libraries. */
#include <dlfcn.h>
#include <unistd.h>

#include "rig/probe.h"

#ifdef __GLIBC__ /* musl knows neither RTLD_DEEPBIND nor versions of symbols */

typedef int Echo(const char* host, const char* port);
typedef int Connect(int fd, const struct sockaddr* address, socklen_t length);

static void* opened(const char* file, int mode) {
  void* const handle = dlopen(file, mode);
  if (handle == NULL) {
    fail_at(__FILE__, __LINE__, "%s", dlerror());
  }
  return handle;
}

/* loader_deep LIBRARY HOST PORT */
PROBE(loader_deep) {
  void* const library = opened(argv[1], RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
  Echo* echo = NULL;
  *(void**)&echo = dlsym(library, "deep_echo");
  CHECK(echo != NULL);
  CHECK_EQ(echo(argv[2], argv[3]), 0);
}

/* Whether the function is the preloaded library's. */
static int is_hook(void* function, const char* library) {
  Dl_info info;
  return function != NULL && dladdr(function, &info) != 0 && strcmp(info.dli_fname, library) == 0;
}

/* loader_handle LIBRARY HOOKS NAME...: what libc's handle has under each name is the hook. */
PROBE(loader_handle) {
  void* const libc = opened(argv[1], RTLD_NOW);
  for (int i = 3; i < argc; ++i) {
    void* const found = dlsym(libc, argv[i]);
    if (found != NULL && !is_hook(found, argv[2])) {
      fail_at(__FILE__, __LINE__, "%s of %s is another function", argv[i], argv[1]);
    }
    printf("%s %s\n", argv[i], found != NULL ? "found" : "missing");
  }
}

/* loader_version LIBRARY HOOKS NAME VERSION */
PROBE(loader_version) {
  CHECK(is_hook(dlvsym(opened(argv[1], RTLD_NOW), argv[3], argv[4]), argv[2]));
  CHECK(dlvsym(opened(argv[1], RTLD_NOW), argv[3], "NO_SUCH_VERSION") == NULL);
}

/* loader_own LIBRARY: what a library has of its own stays its own. */
PROBE(loader_own) {
  int (*own)(int, struct sockaddr*, socklen_t*, int) = NULL;
  *(void**)&own = dlsym(opened(argv[1], RTLD_NOW | RTLD_LOCAL), "accept4");
  CHECK(own != NULL);
  CHECK_EQ(own(-1, NULL, NULL, 0), 4711);
}

/* loader_next: libc answers as if nobody stood between. */
PROBE(loader_next) {
  CHECK(dlsym(RTLD_NEXT, "connect") != NULL);
  CHECK(dlsym(RTLD_NEXT, "probe_no_such_function") == NULL);
  CHECK(dlerror() != NULL);
  CHECK(dlsym(RTLD_DEFAULT, "probe_no_such_function") == NULL);
  CHECK(dlopen("/nonexistent/library.so", RTLD_NOW) == NULL);
  CHECK(strstr(dlerror(), "/nonexistent/library.so") != NULL);
}

/* loader_path OUTER: the library opens another by its bare name, along its own search path. */
PROBE(loader_path) {
  int (*open_inner)(const char*) = NULL;
  *(void**)&open_inner = dlsym(opened(argv[1], RTLD_NOW | RTLD_LOCAL), "open_inner");
  CHECK(open_inner != NULL);
  CHECK_EQ(open_inner(argv[2]), 0);
}
#endif
