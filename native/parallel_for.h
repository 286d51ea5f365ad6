// A loop whose iterations are shared by the threads of XLA.

#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>

#include "xla/ffi/api/ffi.h"

namespace hopgym {

// The number of threads that a call may use.
inline std::atomic<int64_t> threads{1};

// Calls `work(begin, end)` for pieces of [0, count) until all are done. The caller takes part
// and only waits for pieces that other threads have started, so it cannot deadlock if these
// are busy and never start.
template <class Work>
void parallel_for(xla::ffi::ThreadPool& pool, int64_t count, int64_t piece, const Work& work) {
  const int64_t pieces = (count + piece - 1) / piece;
  const int64_t wanted = std::min<int64_t>(threads, pieces) - 1;
  const int64_t helpers = wanted < 1 ? 0 : std::min<int64_t>(pool.num_threads(), wanted);
  if (helpers < 1) {
    work(0, count);
    return;
  }
  struct Progress {
    std::atomic<int64_t> claimed{0}, done{0};
  };
  auto progress = std::make_shared<Progress>();
  // `work` belongs to the caller: a thread uses it only after claiming a piece.
  auto take = [progress, &work, pieces, piece, count] {
    for (;;) {
      const int64_t k = progress->claimed.fetch_add(1, std::memory_order_relaxed);
      if (k >= pieces) return;
      work(k * piece, std::min(count, (k + 1) * piece));
      progress->done.fetch_add(1, std::memory_order_release);
    }
  };
  for (int64_t k = 0; k < helpers; ++k) {
    auto task = take;
    pool.Schedule(std::move(task));
  }
  take();
  for (int spins = 0; progress->done.load(std::memory_order_acquire) < pieces; ++spins)
    if (spins > 1000) std::this_thread::yield();
}

}  // namespace hopgym
