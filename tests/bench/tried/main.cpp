// tried_bench [--rounds N] [--seconds N] [--only TEXT] [PART...]: the figures of
// docs/decisions/0009.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "rig.hpp"

int main(int argc, char** argv) {
  using namespace tried;
  struct Part {
    const char* name;
    void (*run)(const Options&);
  };
  const Part parts[] = {
      {"connection", connection_path},
      {"accepting", accept_sharing},
      {"bulk", bulk_options},
      {"busy", busy_polling},
      {"uring", uring},
      {"zerocopy", zero_copy},
      {"fastopen", fast_open},
  };
  Options options;
  std::vector<const Part*> wanted;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) {
      options.rounds = std::atoi(argv[++i]);
      continue;
    }
    if (std::strcmp(argv[i], "--seconds") == 0 && i + 1 < argc) {
      options.seconds = std::atof(argv[++i]);
      continue;
    }
    if (std::strcmp(argv[i], "--only") == 0 && i + 1 < argc) {
      options.only = argv[++i];
      continue;
    }
    bool known = false;
    for (const Part& part : parts) {
      if (std::strcmp(argv[i], part.name) != 0) {
        continue;
      }
      wanted.push_back(&part);
      known = true;
    }
    if (known) {
      continue;
    }
    std::printf("tried_bench [--rounds N] [--seconds N] [--only TEXT] [PART...]; parts:");
    for (const Part& part : parts) {
      std::printf(" %s", part.name);
    }
    std::printf("\n");
    return std::strcmp(argv[i], "--help") == 0 ? 0 : 2;
  }
  if (wanted.empty()) {
    for (const Part& part : parts) {
      wanted.push_back(&part);
    }
  }
  if (!private_network()) {
    std::fprintf(stderr, "tried_bench: no network namespace of its own is permitted here\n");
    return 1;
  }
  for (const Part* part : wanted) {
    part->run(options);
  }
  return 0;
}
