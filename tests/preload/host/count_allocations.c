/* Preloaded: counts what a program, and everything in it, asks of the heap, and says so at its end.
 */
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* block, size_t size);

static atomic_long count;

void* malloc(size_t size) {
  ++count;
  return __libc_malloc(size);
}

void* calloc(size_t members, size_t size) {
  ++count;
  return __libc_calloc(members, size);
}

void* realloc(void* block, size_t size) {
  ++count;
  return __libc_realloc(block, size);
}

__attribute__((destructor)) static void report(void) {
  fprintf(stderr, "allocations %ld\n", (long)count);
}
