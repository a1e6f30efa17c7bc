// SPDX-License-Identifier: GPL-2.0-or-later
// Step "atomic unit": each read-modify-write operation, as a function of the old value and the operand, and as one host
// atomic. Host atomics are sequentially consistent, which gives each of aq, rl and aqrl what it asks for.
#pragma once

namespace tandem::atomic_operation {

#define TANDEM_BUILTIN_OPERATION(name, builtin, expression)                                    \
  struct name {                                                                                \
    template <typename T>                                                                      \
    static T apply(T old, T v) { return static_cast<T>(expression); }                          \
    template <typename T>                                                                      \
    static T atomic(T* at, T v) { return builtin(at, v, __ATOMIC_SEQ_CST); }                   \
  };
TANDEM_BUILTIN_OPERATION(Swap, __atomic_exchange_n, ((void)old, v))
TANDEM_BUILTIN_OPERATION(Add, __atomic_fetch_add, old + v)
TANDEM_BUILTIN_OPERATION(Xor, __atomic_fetch_xor, old ^ v)
TANDEM_BUILTIN_OPERATION(And, __atomic_fetch_and, old & v)
TANDEM_BUILTIN_OPERATION(Or, __atomic_fetch_or, old | v)
#undef TANDEM_BUILTIN_OPERATION

template <typename Choice>
struct ByCompareAndSwap {
  template <typename T>
  static T apply(T old, T v) { return Choice::template apply<T>(old, v); }
  template <typename T>
  static T atomic(T* at, T v) {
    T old = __atomic_load_n(at, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(at, &old, apply(old, v), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {}
    return old;
  }
};
struct Smaller {
  template <typename T>
  static T apply(T old, T v) { return v < old ? v : old; }
};
struct Greater {
  template <typename T>
  static T apply(T old, T v) { return v > old ? v : old; }
};
using Min = ByCompareAndSwap<Smaller>;
using Max = ByCompareAndSwap<Greater>;

}  // namespace tandem::atomic_operation
