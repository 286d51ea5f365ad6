// What the library exports beside its handlers.

#include <cstdint>
#include <cstring>

#include "instruction_set.h"
#include "parallel_for.h"
#include "xla/ffi/api/c_api.h"

#define HOPGYM_EXPORT extern "C" __attribute__((visibility("default")))

// Version of XLA's interface that the library was built for. Handlers for a newer one than
// the running jaxlib has would disable its whole CPU backend: to be checked before they
// are registered.
HOPGYM_EXPORT int hopgym_ffi_major() { return XLA_FFI_API_MAJOR; }
HOPGYM_EXPORT int hopgym_ffi_minor() { return XLA_FFI_API_MINOR; }

// Digest of the sources that it was built from, as CMakeLists.txt forms it.
HOPGYM_EXPORT const char* hopgym_sources() { return HOPGYM_SOURCES; }

// Sets how many threads a call may use, the caller's among them.
HOPGYM_EXPORT void hopgym_use_threads(int64_t count) { hopgym::threads = count; }

// The instruction set in use; a name chooses a lesser one, for tests.
HOPGYM_EXPORT const char* hopgym_isa(const char* wanted) {
  using hopgym::Isa;
  static const char* const names[] = {"baseline", "avx2", "avx512"};
  if (wanted)
    for (int k = 0; k <= int(hopgym::find_best_isa()); ++k)
      if (!std::strcmp(wanted, names[k])) hopgym::isa = Isa(k);
  return names[int(hopgym::isa)];
}
