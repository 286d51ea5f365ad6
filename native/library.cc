// Functions that the library exports in addition to its handlers.

#include <cstdint>
#include <cstring>

#include "instruction_set.h"
#include "parallel_for.h"
#include "xla/ffi/api/c_api.h"

#define HOPGYM_EXPORT extern "C" __attribute__((visibility("default")))

// Version of XLA's interface that the library was built for. To be checked before handlers
// are registered: if it is newer than that of the running jaxlib, they would disable its
// whole CPU backend.
HOPGYM_EXPORT int hopgym_ffi_major() { return XLA_FFI_API_MAJOR; }
HOPGYM_EXPORT int hopgym_ffi_minor() { return XLA_FFI_API_MINOR; }

// Digest of the sources that the library was built from, see CMakeLists.txt.
HOPGYM_EXPORT const char* hopgym_sources() { return HOPGYM_SOURCES; }

// Sets the number of threads that a call may use, including the caller's.
HOPGYM_EXPORT void hopgym_use_threads(int64_t count) { hopgym::threads = count; }

// Returns the instruction set in use. For tests, a name selects a smaller one.
HOPGYM_EXPORT const char* hopgym_isa(const char* wanted) {
  using hopgym::Isa;
  static const char* const names[] = {"baseline", "avx2", "avx512"};
  if (wanted)
    for (int k = 0; k <= int(hopgym::find_best_isa()); ++k)
      if (!std::strcmp(wanted, names[k])) hopgym::isa = Isa(k);
  return names[int(hopgym::isa)];
}
