// Energy and gradient of pair potentials. Replicas are in lanes: each pair is computed
// once, and nothing is summed across lanes.

#include "kernels.h"

namespace {

using hopgym::Pairs;

// Energies of a pair in all lanes: `energy`, and `core`, which is 0 but for overlaps; and
// the weight of the difference vector in the gradient.
template <class T>
struct OfPair {
  Vec<T> energy, core, weight;
};

// hopgym/potentials/lennard_jones.py. Parameters: epsilon, d0, core.
template <class T>
struct LennardJones {
  explicit LennardJones(const Vec<T>* parameters) : core2(parameters[2] * parameters[2]) {
    edge = T(1) / core2;
    slope = T(6) * edge * edge * (edge * edge * edge - T(1));
  }

  HOPGYM_INLINE OfPair<T> operator()(Vec<T> squared) const {
    const Int<T> overlap = squared < core2;
    Vec<T> r2 = reciprocal(squared), core{};
    // Lanes are computed alike whether others overlap or not.
    if (__builtin_expect(any<T>(overlap), false)) {
      r2 = choose<T>(overlap, edge, r2);
      core = choose<T>(overlap, slope * edge * (T(1) - squared * edge), core);
    }
    const Vec<T> r6 = r2 * r2 * r2;
    return {r6 * (r6 - T(2)), core, T(12) * (r6 - r6 * r6) * r2};
  }

  Vec<T> core2, edge, slope;
};

// hopgym/potentials/morse.py. Parameters: epsilon, d0, core, rho.
template <class T>
struct Morse {
  explicit Morse(const Vec<T>* parameters)
      : core2(parameters[2] * parameters[2]),
        rho(parameters[3]),
        half(T(0.5) / parameters[2]),
        longest(T(1) / parameters[2]) {}

  HOPGYM_INLINE OfPair<T> operator()(Vec<T> squared) const {
    const Vec<T> inside = larger<T>(core2 - squared, Vec<T>{}) * half;
    const Vec<T> softened = squared + inside * inside;
    const Vec<T> inverse = inverse_root(softened);
    const Vec<T> bond = exponential<T>(rho * (T(1) - softened * inverse));
    const Vec<T> weight = T(-2) * rho * bond * (bond - T(1)) * smaller<T>(inverse, longest);
    return {bond * (bond - T(2)), Vec<T>{}, weight};
  }

  Vec<T> core2, rho, half, longest;
};

// The replicas of a block, whose positions and gradient take 6 vectors for every atom.
template <class T, template <class> class Pair>
void pairs_of_block(const Pairs<T>& call, T* scratch, int64_t begin, int64_t count) {
  constexpr int64_t L = lanes<T>;
  const int64_t n = call.atoms;
  T *x = scratch, *g = scratch + 3 * n * L;
  Vec<T> parameters[hopgym::kMostParameters];
  for (int k = 0; k < hopgym::kMostParameters; ++k)
    parameters[k] = k < call.count ? parameter(call.parameters[k], begin, count) : all<T>(T(1));
  gather(call.positions, begin, count, 3 * n, T(call.position_limit), T(1) / parameters[1], x);
  const Pair<T> pair(parameters);
  for (int64_t k = 0; k < 3 * n * L; ++k) g[k] = 0;
  Vec<T> energy{};
  for (int64_t i = 0; i < n; ++i) {
    const Space<T> here = load_space(x + 3 * i * L);
    Vec<T> row{};  // sums of sums lose less
    Space<T> force{};
    for (int64_t j = 0; j < i; ++j) {
      const Space<T> d = here - load_space(x + 3 * j * L);
      const OfPair<T> found = pair(dot(d, d));
      row += found.energy;
      row += found.core;
      const Space<T> f = found.weight * d;
      force = force + f;
      subtract(g + 3 * j * L, f);
    }
    energy += row;
    add(g + 3 * i * L, force);
  }
  const Vec<T> epsilon = parameters[0];
  for (int l = 0; l < count; ++l) call.energy[begin + l] = epsilon[l] * energy[l];
  scatter(g, begin, count, 3 * n, epsilon / parameters[1], call.gradient);
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
  for (int64_t r = begin; r < end; r += lanes<T>) {
    const int64_t count = end - r < lanes<T> ? end - r : lanes<T>;
    if (call.kind == PairKind::lennard_jones)
      pairs_of_block<T, LennardJones>(call, scratch, r, count);
    else
      pairs_of_block<T, Morse>(call, scratch, r, count);
  }
}

template int64_t pairs_scratch(const Pairs<float>&);
template int64_t pairs_scratch(const Pairs<double>&);
template void pairs(const Pairs<float>&, float*, int64_t, int64_t);
template void pairs(const Pairs<double>&, double*, int64_t, int64_t);

}  // namespace HOPGYM_ISA
}  // namespace hopgym
