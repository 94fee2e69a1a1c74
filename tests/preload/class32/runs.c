/* A 32-bit program that does nothing: whether this machine runs such a thing. See runs.py. */
int main(void) {
  return 0;
}
