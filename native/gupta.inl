// Energy and gradient of clusters of one or two metals (hopgym/potentials/gupta.py).
// Replicas are in lanes. Terms of pairs are kept between the two passes that the square
// root of the density needs.

#include "kernels.h"

namespace {

using hopgym::Gupta;

// What a parameter is for pairs of alike and unlike atoms.
template <class T>
struct OfBond {
  OfBond(const Operand<T>& table, int kinds, int64_t begin, int64_t count)
      : first(parameter(table, begin, count)), unlike(first), second(first) {
    if (kinds == 1) return;
    unlike = parameter(table, begin, count, 1);
    second = parameter(table, begin, count, 3);
  }

  Vec<T> first, unlike, second;
};

// The same seen from an atom: for neighbours of the first and of the second kind.
template <class T>
struct OfNeighbour {
  HOPGYM_INLINE OfNeighbour(const OfBond<T>& bond, Int<T> kind)
      : first(choose<T>(kind, bond.unlike, bond.first)),
        second(choose<T>(kind, bond.second, bond.unlike)) {}

  template <bool mixed>
  HOPGYM_INLINE Vec<T> of(Int<T> kind) const {
    return mixed ? choose<T>(kind, second, first) : first;
  }

  Vec<T> first, second;
};

template <class T, bool mixed>
void gupta_of_block(const Gupta<T>& call, T* scratch, int64_t begin, int64_t count) {
  constexpr int64_t L = lanes<T>;
  constexpr T log2e = T(1.4426950408889634);
  const int64_t n = call.atoms;
  T *x = scratch, *g = x + 3 * n * L, *density = g + 3 * n * L, *kinds = density + n * L,
    *terms = kinds + n * L;
  gather(call.positions, begin, count, 3 * n, T(call.position_limit), all<T>(T(1)), x);
  if (mixed)
    for (int l = 0; l < L; ++l) {
      const int32_t* species = call.species.at(begin + (l < count ? l : 0));
      for (int64_t i = 0; i < n; ++i) kinds[i * L + l] = T(species[i]);
    }
  const OfBond<T> log_a(call.log_a, call.kinds, begin, count),
      p(call.p, call.kinds, begin, count), log_xi(call.log_xi, call.kinds, begin, count),
      q(call.q, call.kinds, begin, count);
  const Vec<T> core = parameter(call.core, begin, count), core2 = core * core,
               half = T(0.5) / core, longest = T(1) / core;
  auto kind_of = [&](int64_t i) -> Int<T> { return load<T>(kinds + i * L) > T(0.5); };

  for (int64_t k = 0; k < n * L; ++k) density[k] = 0;
  for (int64_t k = 0; k < 3 * n * L; ++k) g[k] = 0;
  Vec<T> energy{};
  T* term = terms;
  for (int64_t i = 0; i < n; ++i) {
    const Space<T> here = load_space(x + 3 * i * L);
    const Int<T> kind = mixed ? kind_of(i) : Int<T>{};
    const OfNeighbour<T> of_a(log_a, kind), of_p(p, kind), of_xi(log_xi, kind), of_q(q, kind);
    Vec<T> row{}, bonds{};
    for (int64_t j = 0; j < i; ++j, term += 2 * L) {
      const Space<T> d = here - load_space(x + 3 * j * L);
      const Int<T> other = mixed ? kind_of(j) : Int<T>{};
      const Vec<T> decay_a = of_p.template of<mixed>(other),
                   decay_xi = of_q.template of<mixed>(other);
      const Vec<T> squared = dot(d, d), inside = larger<T>(core2 - squared, Vec<T>{}) * half;
      const Vec<T> softened = squared + inside * inside, closeness = inverse_root(softened);
      const Vec<T> distance = softened * closeness;
      const Vec<T> repulsion =
          power_of_two<T>((of_a.template of<mixed>(other) - decay_a * distance) * log2e);
      const Vec<T> bond =
          power_of_two<T>((of_xi.template of<mixed>(other) - decay_xi * distance) * log2e);
      row += repulsion;
      bonds += bond;
      store<T>(density + j * L, load<T>(density + j * L) + bond);
      const Vec<T> inverse = smaller<T>(closeness, longest);
      store<T>(term, decay_a * repulsion * inverse);
      store<T>(term + L, decay_xi * bond * inverse);
    }
    energy += row;
    store<T>(density + i * L, load<T>(density + i * L) + bonds);
  }

  // From here on densities are half their inverse roots.
  energy *= T(2);
  const Vec<T> smallest = all<T>(T(call.smallest_density));
  for (int64_t i = 0; i < n; ++i) {
    const Vec<T> sum = load<T>(density + i * L);
    const Vec<T> inverse = inverse_root(larger<T>(sum, smallest));
    energy -= sum * inverse;
    store<T>(density + i * L, T(0.5) * inverse);
  }

  term = terms;
  for (int64_t i = 0; i < n; ++i) {
    const Space<T> here = load_space(x + 3 * i * L);
    const Vec<T> own = load<T>(density + i * L);
    Space<T> force{};
    for (int64_t j = 0; j < i; ++j, term += 2 * L) {
      const Vec<T> weight = load<T>(term + L) * (own + load<T>(density + j * L)) -
                            T(2) * load<T>(term);
      const Space<T> f = weight * (here - load_space(x + 3 * j * L));
      force = force + f;
      subtract(g + 3 * j * L, f);
    }
    add(g + 3 * i * L, force);
  }
  for (int l = 0; l < count; ++l) call.energy[begin + l] = energy[l];
  scatter(g, begin, count, 3 * n, all<T>(T(1)), call.gradient);
}

}  // namespace

namespace hopgym {
namespace HOPGYM_ISA {

template <class T>
int64_t gupta_scratch(const Gupta<T>& call) {
  return (8 + call.atoms - 1) * call.atoms * lanes<T>;
}

template <class T>
void gupta(const Gupta<T>& call, T* scratch, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; r += lanes<T>) {
    const int64_t count = end - r < lanes<T> ? end - r : lanes<T>;
    if (call.kinds == 1)
      gupta_of_block<T, false>(call, scratch, r, count);
    else
      gupta_of_block<T, true>(call, scratch, r, count);
  }
}

template int64_t gupta_scratch(const Gupta<float>&);
template int64_t gupta_scratch(const Gupta<double>&);
template void gupta(const Gupta<float>&, float*, int64_t, int64_t);
template void gupta(const Gupta<double>&, double*, int64_t, int64_t);

}  // namespace HOPGYM_ISA
}  // namespace hopgym
