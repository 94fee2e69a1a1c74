#include "relay/sockmap_program.hpp"

#include <array>
#include <utility>

namespace socks64::gateway {
namespace {

enum Register : std::uint8_t { r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, fp };
using Label = std::size_t;

/// Instructions one after the other, with labels for what comes later.
class Assembler {
 public:
  void copy(Register to, Register from) { alu(BPF_MOV, to, from); }
  void load_low(Register to, Register from) { add(BPF_ALU | BPF_MOV | BPF_X, to, from, 0, 0); }
  void alu(std::uint8_t operation, Register to, Register from) {
    add(static_cast<std::uint8_t>(BPF_ALU64 | operation | BPF_X), to, from, 0, 0);
  }
  void alu(std::uint8_t operation, Register to, std::int32_t value) {
    add(static_cast<std::uint8_t>(BPF_ALU64 | operation | BPF_K), to, r0, 0, value);
  }
  void load(std::uint8_t size, Register to, Register base, std::int16_t offset) {
    add(static_cast<std::uint8_t>(BPF_LDX | size | BPF_MEM), to, base, offset, 0);
  }
  void store(std::uint8_t size, Register base, std::int16_t offset, Register from) {
    add(static_cast<std::uint8_t>(BPF_STX | size | BPF_MEM), base, from, offset, 0);
  }
  void load_map(Register to, int descriptor) {
    // NOLINTNEXTLINE(misc-redundant-expression): BPF_LD and BPF_IMM are both 0, and both are meant
    add(BPF_LD | BPF_DW | BPF_IMM, to, static_cast<Register>(BPF_PSEUDO_MAP_FD), 0, descriptor);
    add(0, r0, r0, 0, 0);
  }
  /// If *(u64*)(base + offset) is r0, `value` takes its place; r0 is what was there.
  void compare_and_swap(Register base, std::int16_t offset, Register value) {
    add(BPF_STX | BPF_DW | BPF_ATOMIC, base, value, offset, BPF_CMPXCHG);
  }
  void fetch_add(Register base, std::int16_t offset, Register value) {
    add(BPF_STX | BPF_DW | BPF_ATOMIC, base, value, offset, BPF_ADD);
  }
  void call(std::int32_t helper) { add(BPF_JMP | BPF_CALL, r0, r0, 0, helper); }
  void leave(std::int32_t verdict) {
    alu(BPF_MOV, r0, verdict);
    leave();
  }
  void leave() { add(BPF_JMP | BPF_EXIT, r0, r0, 0, 0); }

  [[nodiscard]] Label label() {
    labels_.push_back(0);
    return labels_.size() - 1;
  }
  void place(Label label) { labels_[label] = code_.size(); }
  void jump(Label to) { jump_if(BPF_JA, r0, 0, to); }
  void jump_if(std::uint8_t condition, Register left, Register right, Label to) {
    jumps_.emplace_back(code_.size(), to);
    add(static_cast<std::uint8_t>(BPF_JMP | condition | BPF_X), left, right, 0, 0);
  }
  void jump_if(std::uint8_t condition, Register left, std::int32_t right, Label to) {
    jumps_.emplace_back(code_.size(), to);
    add(static_cast<std::uint8_t>(BPF_JMP | condition | BPF_K), left, r0, 0, right);
  }

  [[nodiscard]] std::vector<bpf_insn> finish() {
    for (const auto& [at, to] : jumps_) {
      code_[at].off = static_cast<std::int16_t>(labels_[to] - at - 1);
    }
    return std::move(code_);
  }

 private:
  void add(std::uint8_t code, Register to, Register from, std::int16_t offset, std::int32_t value) {
    bpf_insn instruction{};
    instruction.code = code;
    instruction.dst_reg = static_cast<std::uint8_t>(to & 0xfU);
    instruction.src_reg = static_cast<std::uint8_t>(from & 0xfU);
    instruction.off = offset;
    instruction.imm = value;
    code_.push_back(instruction);
  }

  std::vector<bpf_insn> code_;
  std::vector<std::size_t> labels_;
  std::vector<std::pair<std::size_t, Label>> jumps_;
};

constexpr std::int16_t cookie_at = -8;  // on the program's stack
constexpr std::int16_t slot_at = -12;

/// r0 = the value in `map` of what lies at fp + `key`; to `missing` if there is none.
void look_up(Assembler& code, int map, std::int16_t key, Label missing) {
  code.load_map(r1, map);
  code.copy(r2, fp);
  code.alu(BPF_ADD, r2, key);
  code.call(BPF_FUNC_map_lookup_elem);
  code.jump_if(BPF_JEQ, r0, 0, missing);
}

}  // namespace

std::vector<bpf_insn> sockmap_program(const SockmapLayout& layout) {
  Assembler code;
  const Label pass = code.label();
  const Label drop = code.label();
  const Label redirect = code.label();
  const Register length = r7;
  const Register entry = r8;
  const Register word = r9;

  code.copy(r6, r1);
  code.load(BPF_W, length, r1, static_cast<std::int16_t>(offsetof(__sk_buff, len)));
  code.jump_if(BPF_JEQ, length, 0, drop);  // FIN alone, which TCP has noted already
  code.call(BPF_FUNC_get_socket_cookie);
  code.store(BPF_DW, fp, cookie_at, r0);
  look_up(code, layout.slots, cookie_at, pass);
  code.load(BPF_W, r1, r0, 0);
  code.store(BPF_W, fp, slot_at, r1);
  look_up(code, layout.entries, slot_at, pass);
  code.copy(entry, r0);
  code.load(BPF_DW, word, entry, layout.word);
  // A source's segments come one at a time, so only the worker can have changed the word in
  // between, and it makes system calls between any two changes: more than two tries are not needed.
  for (int attempt = 0; attempt < 4; ++attempt) {
    const Label leased = code.label();
    const Label exceeded = code.label();
    const Label changed = code.label();
    code.jump_if(BPF_JSLT, word, 0, leased);
    code.copy(r1, word);
    code.alu(BPF_ADD, r1, length);
    code.copy(r0, word);
    code.compare_and_swap(entry, layout.word, r1);
    code.jump_if(BPF_JEQ, r0, word, pass);
    code.jump(changed);

    code.place(leased);
    code.load_low(r1, word);  // octets
    code.copy(r2, word);      // messages
    code.alu(BPF_LSH, r2, 1);
    code.alu(BPF_RSH, r2, 33);
    code.jump_if(BPF_JGT, length, r1, exceeded);
    code.jump_if(BPF_JEQ, r2, 0, exceeded);
    code.copy(r1, word);
    code.alu(BPF_SUB, r1, length);
    code.alu(BPF_MOV, r2, 1);
    code.alu(BPF_LSH, r2, 32);
    code.alu(BPF_SUB, r1, r2);
    code.copy(r0, word);
    code.compare_and_swap(entry, layout.word, r1);
    code.jump_if(BPF_JEQ, r0, word, redirect);
    code.jump(changed);

    code.place(exceeded);
    code.copy(r1, length);
    code.copy(r0, word);
    code.compare_and_swap(entry, layout.word, r1);
    code.jump_if(BPF_JEQ, r0, word, pass);

    code.place(changed);
    code.copy(word, r0);
  }
  code.place(pass);
  code.leave(SK_PASS);
  code.place(drop);
  code.leave(SK_DROP);

  // Counted before it is queued, so that no reader of the count can miss what the sink has got.
  code.place(redirect);
  code.fetch_add(entry, layout.redirected, length);
  code.call(BPF_FUNC_ktime_get_ns);
  code.store(BPF_DW, entry, layout.last, r0);
  code.copy(r1, r6);
  code.load_map(r2, layout.sockets);
  code.load(BPF_W, r3, fp, slot_at);
  code.alu(BPF_XOR, r3, 1);
  code.alu(BPF_MOV, r4, 0);
  code.call(BPF_FUNC_sk_redirect_map);
  code.leave();
  return code.finish();
}

}  // namespace socks64::gateway
