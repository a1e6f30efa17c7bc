// SPDX-License-Identifier: GPL-2.0-or-later
#include "compute/float_lane.h"

#include "compute/soft_float.h"

namespace tandem::compute {

const uint32_t kUnboxed32 = kCanonicalNan32;
namespace {

using soft::Env;

template <typename F>
F unbox(uint64_t value) {
  if constexpr (sizeof(F) == 8) return value;
  else return (value & kBox) == kBox ? static_cast<uint32_t>(value) : kCanonicalNan32;
}

template <typename F>
uint64_t box(F value) {
  if constexpr (sizeof(F) == 8) return value;
  else return kBox | value;
}

template <typename F>
F negated(F a) {
  return a ^ (F{1} << (sizeof(F) * 8 - 1));
}

uint64_t extend_word(uint32_t word) { return static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(word))); }

template <typename F>
uint64_t inject_sign(F a, F sign_source) {
  constexpr F kSign = F{1} << (sizeof(F) * 8 - 1);
  return box<F>(static_cast<F>((a & ~kSign) | (sign_source & kSign)));
}

// Both formats of an operation.
#define TANDEM_BOTH(name, expression)                                                                          \
  case Op::name##S: { using F = uint32_t; const F x = unbox<F>(a), y = unbox<F>(b), z = unbox<F>(c);           \
    (void)x, (void)y, (void)z; return expression; }                                                            \
  case Op::name##D: { using F = uint64_t; const F x = unbox<F>(a), y = unbox<F>(b), z = unbox<F>(c);           \
    (void)x, (void)y, (void)z; return expression; }

uint64_t value_of(Op op, uint64_t a, uint64_t b, uint64_t c, Env& env) {
  switch (op) {
    TANDEM_BOTH(Fadd, box<F>(soft::add(x, y, env)))
    TANDEM_BOTH(Fsub, box<F>(soft::sub(x, y, env)))
    TANDEM_BOTH(Fmul, box<F>(soft::mul(x, y, env)))
    TANDEM_BOTH(Fdiv, box<F>(soft::div(x, y, env)))
    TANDEM_BOTH(Fsqrt, box<F>(soft::sqrt(x, env)))
    TANDEM_BOTH(Fmadd, box<F>(soft::fma(x, y, z, env)))
    TANDEM_BOTH(Fmsub, box<F>(soft::fma(x, y, negated(z), env)))
    TANDEM_BOTH(Fnmsub, box<F>(soft::fma(negated(x), y, z, env)))
    TANDEM_BOTH(Fnmadd, box<F>(soft::fma(negated(x), y, negated(z), env)))
    TANDEM_BOTH(Fsgnj, inject_sign<F>(x, y))
    TANDEM_BOTH(Fsgnjn, inject_sign<F>(x, static_cast<F>(~y)))
    TANDEM_BOTH(Fsgnjx, inject_sign<F>(x, x ^ y))
    TANDEM_BOTH(Fmin, box<F>(soft::min(x, y, env)))
    TANDEM_BOTH(Fmax, box<F>(soft::max(x, y, env)))
    TANDEM_BOTH(Feq, soft::equal(x, y, env))
    TANDEM_BOTH(Flt, soft::less(x, y, env))
    TANDEM_BOTH(Fle, soft::less_or_equal(x, y, env))
    TANDEM_BOTH(Fclass, soft::classify(x))
    TANDEM_BOTH(FcvtW, extend_word(static_cast<uint32_t>(soft::to_int<int32_t>(x, env))))
    TANDEM_BOTH(FcvtWu, extend_word(soft::to_int<uint32_t>(x, env)))
    TANDEM_BOTH(FcvtL, static_cast<uint64_t>(soft::to_int<int64_t>(x, env)))
    TANDEM_BOTH(FcvtLu, soft::to_int<uint64_t>(x, env))
    case Op::FcvtSW: return box(soft::from_int<uint32_t>(static_cast<int32_t>(a), env));
    case Op::FcvtDW: return soft::from_int<uint64_t>(static_cast<int32_t>(a), env);
    case Op::FcvtSWu: return box(soft::from_uint<uint32_t>(static_cast<uint32_t>(a), env));
    case Op::FcvtDWu: return soft::from_uint<uint64_t>(static_cast<uint32_t>(a), env);
    case Op::FcvtSL: return box(soft::from_int<uint32_t>(static_cast<int64_t>(a), env));
    case Op::FcvtDL: return soft::from_int<uint64_t>(static_cast<int64_t>(a), env);
    case Op::FcvtSLu: return box(soft::from_uint<uint32_t>(a, env));
    case Op::FcvtDLu: return soft::from_uint<uint64_t>(a, env);
    case Op::FcvtSD: return box(soft::convert<uint32_t, uint64_t>(a, env));
    case Op::FcvtDS: return soft::convert<uint64_t, uint32_t>(unbox<uint32_t>(a), env);
    case Op::FmvXW: return extend_word(static_cast<uint32_t>(a));
    case Op::FmvWX: return box(static_cast<uint32_t>(a));
    default: return a;  // FmvXD, FmvDX
  }
}
#undef TANDEM_BOTH

}  // namespace

FloatResult float_lane(Op op, uint64_t a, uint64_t b, uint64_t c, uint32_t rounding) {
  Env env{.rounding = static_cast<soft::Rounding>(rounding)};
  const uint64_t value = value_of(op, a, b, c, env);
  return {.value = value, .flags = env.flags};
}

}  // namespace tandem::compute
