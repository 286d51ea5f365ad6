// Energy and gradient of pair potentials. Replicas are in lanes, so that each pair is
// computed once and nothing is summed across lanes; of few replicas, atoms.

#include "kernels.h"

namespace {

using hopgym::Pairs;

// What a pair adds: to the energy, and to the gradient by its weight of the difference
// vector, in units of `kWeight`.
//
// hopgym/potentials/lennard_jones.py. Parameters: epsilon, d0, core.
template <class T>
struct LennardJones {
  static constexpr T kWeight = 12;

  explicit LennardJones(const Vec<T>* parameters) : core2(parameters[2] * parameters[2]) {
    edge = T(1) / core2;
    slope = T(6) * edge * edge * (edge * edge * edge - T(1));
  }

  HOPGYM_INLINE Vec<T> operator()(Vec<T> squared, Vec<T>& energy) const {
    Vec<T> r2 = reciprocal(squared), core{};
    const bool overlap = any_below(squared, core2);
    // Lanes are computed alike whether others overlap or not.
    if (__builtin_expect(overlap, false)) {
      r2 = choose<T>(squared < core2, edge, r2);
      core = choose<T>(squared < core2, slope * edge * (T(1) - squared * edge), core);
    }
    const Vec<T> r6 = r2 * r2 * r2;
    energy += r6 * (r6 - T(2));
    if (__builtin_expect(overlap, false)) energy += core;
    return (r6 - r6 * r6) * r2;
  }

  Vec<T> core2, edge, slope;
};

// hopgym/potentials/morse.py. Parameters: epsilon, d0, core, rho.
template <class T>
struct Morse {
  static constexpr T kWeight = -2;

  explicit Morse(const Vec<T>* parameters)
      : core2(parameters[2] * parameters[2]),
        rho(parameters[3]),
        half(T(0.5) / parameters[2]),
        longest(T(1) / parameters[2]) {}

  HOPGYM_INLINE Vec<T> operator()(Vec<T> squared, Vec<T>& energy) const {
    const Vec<T> inside = larger<T>(core2 - squared, Vec<T>{}) * half;
    const Vec<T> softened = squared + inside * inside;
    const Vec<T> inverse = inverse_root(softened);
    const Vec<T> bond = exponential<T>(rho * (T(1) - softened * inverse));
    energy += bond * (bond - T(2));
    return rho * bond * (bond - T(1)) * smaller<T>(inverse, longest);
  }

  Vec<T> core2, rho, half, longest;
};

// A potential with the parameters of a block, and its units.
template <class T, template <class> class Pair>
struct PairsOf {
  PairsOf(const Pairs<T>& call, int64_t begin, int64_t count) : pair(read(call, begin, count)) {
    energy_unit = parameters[0];
    inverse_length = T(1) / parameters[1];
    gradient_unit = Pair<T>::kWeight * (parameters[0] / parameters[1]);
  }

  const Vec<T>* read(const Pairs<T>& call, int64_t begin, int64_t count) {
    for (int k = 0; k < hopgym::kMostParameters; ++k)
      parameters[k] =
          k < call.count ? parameter(call.parameters[k], begin, count) : all<T>(T(1));
    return parameters;
  }

  Vec<T> parameters[hopgym::kMostParameters];
  Pair<T> pair;
  Vec<T> energy_unit, inverse_length, gradient_unit;
};

// An atom, and what the others that it meets add up to.
template <class T>
struct Meeting {
  template <class Pair>
  HOPGYM_INLINE Space<T> with(const Space<T>& other, const Pair& pair) {
    const Space<T> d = here - other;
    const Space<T> f = pair(dot(d, d), energy) * d;
    force = force + f;
    return f;
  }

  Space<T> here;
  Vec<T> energy{};  // sums of sums lose less
  Space<T> force{};
};

// The replicas of a block, whose positions and gradient take 6 vectors for every atom.
// Two atoms meet all before them at once, which halves what is loaded and stored.
template <class T, template <class> class Pair>
void pairs_of_block(const Pairs<T>& call, T* scratch, int64_t begin, int64_t count) {
  const int64_t n = call.atoms, wide = 3 * lanes<T>;
  T *x = scratch, *g = scratch + n * wide;
  const PairsOf<T, Pair> of(call, begin, count);
  gather(call.positions, begin, count, 3 * n, T(call.position_limit), of.inverse_length, x);
  const Pair<T> pair = of.pair;
  Vec<T> energy{};
  int64_t i = 0;
  for (; i + 1 < n; i += 2) {
    Meeting<T> first{load_space(x + i * wide)}, second{load_space(x + (i + 1) * wide)};
    for (int64_t j = 0; j < i; ++j) {
      const Space<T> other = load_space(x + j * wide);
      const Space<T> less = load_space(g + j * wide) - first.with(other, pair);
      store_space(g + j * wide, less - second.with(other, pair));
    }
    store_space(g + i * wide, first.force - second.with(first.here, pair));
    store_space(g + (i + 1) * wide, second.force);
    energy += first.energy;
    energy += second.energy;
  }
  if (i < n) {
    Meeting<T> last{load_space(x + i * wide)};
    for (int64_t j = 0; j < i; ++j)
      store_space(g + j * wide,
                  load_space(g + j * wide) - last.with(load_space(x + j * wide), pair));
    store_space(g + i * wide, last.force);
    energy += last.energy;
  }
  energy *= of.energy_unit;
  for (int l = 0; l < count; ++l) call.energy[begin + l] = energy[l];
  scatter(g, begin, count, 3 * n, of.gradient_unit, call.gradient);
}

// The same sums in the same order, of one replica with its atoms in lanes.
template <class T, template <class> class Pair>
void pairs_of_one(const Pairs<T>& call, T* scratch, int64_t replica) {
  const PairsOf<T, Pair> of(call, replica, 1);
  const Atoms<T> atoms(call.positions.at(replica), call.atoms, T(call.position_limit),
                       of.inverse_length, scratch);
  const Pair<T> pair = of.pair;
  T energy = 0;
  atoms.by_vectors([&](int64_t at, int64_t end) {
    Meeting<T> meeting{atoms.from(at)};
    for (int64_t j = 0; j < at; ++j) meeting.with(atoms.each(j), pair);
    for (int64_t j = at; j < end; ++j) {
      // Of itself an atom feels no force. It counts the energy with those before it.
      const Vec<T> before = meeting.energy;
      meeting.with(atoms.each(j), pair);
      meeting.energy = choose<T>(lane_numbers<T>() > lane<T>(j - at), meeting.energy, before);
    }
    for (int64_t k = at; k < end; ++k) energy += meeting.energy[k - at];
    for (int64_t j = end; j < call.atoms; ++j) meeting.with(atoms.each(j), pair);
    atoms.put(of.gradient_unit * meeting.force, at, end, call.gradient, replica);
  });
  call.energy[replica] = energy * of.energy_unit[0];
}

template <class T, template <class> class Pair>
void pairs_of(const Pairs<T>& call, T* scratch, int64_t begin, int64_t end) {
  by_blocks<T>(
      begin, end, call.atoms,
      [&](int64_t r, int64_t count) { pairs_of_block<T, Pair>(call, scratch, r, count); },
      [&](int64_t r) { pairs_of_one<T, Pair>(call, scratch, r); });
}

}  // namespace

namespace hopgym {
namespace HOPGYM_ISA {

template <class T>
int64_t pairs_scratch(const Pairs<T>& call) {
  return 6 * call.atoms * lanes<T>;
}

template <class T>
void pairs(const Pairs<T>& call, T* scratch, int64_t begin, int64_t end) {
  if (call.kind == PairKind::lennard_jones)
    pairs_of<T, LennardJones>(call, scratch, begin, end);
  else
    pairs_of<T, Morse>(call, scratch, begin, end);
}

template int64_t pairs_scratch(const Pairs<float>&);
template int64_t pairs_scratch(const Pairs<double>&);
template void pairs(const Pairs<float>&, float*, int64_t, int64_t);
template void pairs(const Pairs<double>&, double*, int64_t, int64_t);

}  // namespace HOPGYM_ISA
}  // namespace hopgym
