// What a step of the environment does besides evaluating energy and gradient
// (hopgym/environment.py), for one replica after the other.

#include "kernels.h"

namespace hopgym {
namespace HOPGYM_ISA {

template <class T>
int64_t displace_scratch(const Displace<T>&) {
  return 0;
}

// Adds the update, with zeros for components that are not finite, which are counted.
template <class T>
void displace(const Displace<T>& call, T*, int64_t begin, int64_t end) {
  const int64_t size = 3 * call.atoms;
  const Vec<T> limit = broadcast<T>(T(call.position_limit));
  for (int64_t r = begin; r < end; ++r) {
    const T* const update = call.update.at(r);
    T* const positions = call.positions + r * size;
    Int<T> finite{};  // minus their number
    for (int64_t at = 0; at < size; at += lanes<T>) {
      const Vec<T> change = load_part(update, at, size), x = load_part(positions, at, size);
      const Int<T> is_finite = change - change == Vec<T>{};
      const Vec<T> bounded = select<T>(is_finite, clamp_keep_nan<T>(change, limit), Vec<T>{});
      store_part(positions, at, size, clamp_keep_nan<T>(x + bounded, limit));
      finite += is_finite;
    }
    int64_t count = 0;
    for (int l = 0; l < lanes<T>; ++l) count -= finite[l];
    call.faults[r] += int32_t(round_up_to_vectors<T>(size) - count);
  }
}

template <class T>
int64_t record_scratch(const Record<T>&) {
  return 0;
}

// Counts the evaluation, and keeps the structure if it is the best.
template <class T>
void record(const Record<T>& call, T*, int64_t begin, int64_t end) {
  const int64_t size = 3 * call.atoms;
  for (int64_t r = begin; r < end; ++r) {
    const T energy = *call.energy.at(r);
    const int32_t evaluations = ++call.evaluations[r];
    ++call.step[r];
    if (call.first_hit[r] < 0 && energy < *call.level.at(r)) call.first_hit[r] = evaluations;
    if (energy < call.best_energy[r]) {
      call.best_energy[r] = energy;
      std::copy_n(call.positions.at(r), size, call.best_positions + r * size);
    }
  }
}

template int64_t displace_scratch(const Displace<float>&);
template int64_t displace_scratch(const Displace<double>&);
template void displace(const Displace<float>&, float*, int64_t, int64_t);
template void displace(const Displace<double>&, double*, int64_t, int64_t);
template int64_t record_scratch(const Record<float>&);
template int64_t record_scratch(const Record<double>&);
template void record(const Record<float>&, float*, int64_t, int64_t);
template void record(const Record<double>&, double*, int64_t, int64_t);

}  // namespace HOPGYM_ISA
}  // namespace hopgym
