// Runs a kernel on all replicas of a call.

#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <new>

#ifdef HOPGYM_SANITIZE
#include <sanitizer/asan_interface.h>
#endif

#include "call_frame.h"
#include "instruction_set.h"
#include "parallel_for.h"

namespace hopgym {

// Scratch memory of this thread, or nullptr if there is not enough.
template <class T>
T* reserve_scratch(int64_t size) {
  thread_local std::unique_ptr<char[]> memory;
  thread_local size_t held = 0;
  const size_t bytes = size * sizeof(T) + 64;
  if (held < bytes) {
    memory.reset();
    memory.reset(new (std::nothrow) char[bytes]);
    held = memory ? bytes : 0;
    if (!memory) return nullptr;
  }
  const auto address = reinterpret_cast<uintptr_t>(memory.get());
  T* const numbers = reinterpret_cast<T*>((address + 63) / 64 * 64);
#ifdef HOPGYM_SANITIZE
  // Memory for alignment, or for larger calls, is out of bounds.
  ASAN_POISON_MEMORY_REGION(memory.get(), held);
  ASAN_UNPOISON_MEMORY_REGION(numbers, size * sizeof(T));
#endif
  return numbers;
}

// Distributes the replicas over threads, `piece` at a time.
template <class T, class Call>
ffi::Error run_kernel(ffi::ThreadPool& pool, const Call& call, int64_t replicas, int64_t piece,
                      int64_t (*scratch_size)(const Call&),
                      void (*kernel)(const Call&, T*, int64_t, int64_t)) {
  const int64_t size = scratch_size(call);
  std::atomic<bool> enough_memory{true};
  parallel_for(pool, replicas, piece, [&](int64_t begin, int64_t end) {
    if (T* const scratch = reserve_scratch<T>(size))
      kernel(call, scratch, begin, end);
    else
      enough_memory = false;
  });
  if (enough_memory) return ffi::Error::Success();
  return ffi::Error(ffi::ErrorCode::kResourceExhausted,
                    "hopgym: not enough memory for the temporary numbers of a kernel");
}

}  // namespace hopgym

#define HOPGYM_RUN(T, kernel, call, pool, replicas, piece)                               \
  hopgym::run_kernel<T>(pool, call, replicas, piece, HOPGYM_SELECT(kernel##_scratch<T>), \
                        HOPGYM_SELECT(kernel<T>))
