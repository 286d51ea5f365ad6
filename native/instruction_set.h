// The instruction set in use: kernels are compiled once for each, and one is chosen when
// the library is loaded.

#pragma once

namespace hopgym {

enum class Isa { baseline, avx2, avx512 };

inline Isa find_best_isa() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
    return Isa::avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Isa::avx2;
#endif
  return Isa::baseline;
}

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
