// The instruction set in use: kernels are compiled once for each, and one is chosen when
// the library is loaded.

#pragma once

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace hopgym {

enum class Isa { baseline, avx2, avx512 };

#if defined(__x86_64__)
// Asks the processor which instructions it has, and which registers the operating system
// saves (Intel SDM, volume 1, sections 14.3 and 15.2). `__builtin_cpu_supports` needs a
// runtime library that not every compiler brings: with Zig's nothing is supported.
inline Isa find_best_isa() {
  const auto has = [](unsigned flags, unsigned bits) { return (flags & bits) == bits; };
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return Isa::baseline;
  if (!has(c, bit_FMA | bit_OSXSAVE | bit_AVX)) return Isa::baseline;
  unsigned saved, high;
  __asm__("xgetbv" : "=a"(saved), "=d"(high) : "c"(0));
  const unsigned ymm = 0x06, zmm = 0xe6;
  if (!has(saved, ymm) || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !has(b, bit_AVX2))
    return Isa::baseline;
  const unsigned avx512 = bit_AVX512F | bit_AVX512DQ | bit_AVX512VL | bit_AVX512BW;
  return has(saved, zmm) && has(b, avx512) ? Isa::avx512 : Isa::avx2;
}
#else
inline Isa find_best_isa() { return Isa::baseline; }
#endif

inline Isa isa = find_best_isa();

}  // namespace hopgym

// The instance of a function template for the instruction set in use.
#if defined(__x86_64__)
#define HOPGYM_SELECT(function)                          \
  (hopgym::isa == hopgym::Isa::avx512 ? avx512::function \
   : hopgym::isa == hopgym::Isa::avx2 ? avx2::function   \
                                      : baseline::function)
#else
#define HOPGYM_SELECT(function) baseline::function
#endif
