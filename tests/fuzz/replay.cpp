// Runs every file of a corpus folder through one fuzz target, without libFuzzer.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "fuzz.hpp"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s CORPUS-FOLDER\n", argv[0]);
    return 2;
  }
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) {
    std::ifstream file(entry.path(), std::ios::binary);
    if (!file) {
      std::fprintf(stderr, "cannot read %s\n", entry.path().c_str());
      return 1;
    }
    // A copy on the heap, as libFuzzer makes: AddressSanitizer then sees a read past the end.
    const std::vector<char> seed{std::istreambuf_iterator<char>(file), {}};
    std::vector<std::uint8_t> data(seed.begin(), seed.end());
    data.shrink_to_fit();
    std::printf("%s\n", entry.path().filename().c_str());
    std::fflush(stdout);
    LLVMFuzzerTestOneInput(data.data(), data.size());
    ++files;
  }
  std::printf("%zu seeds\n", files);
  return files == 0 ? 1 : 0;  // an empty corpus tests nothing
}
