// Energy and gradient of clusters of one or two metals (hopgym/potentials/gupta.py).
// Replicas are in lanes; of few replicas, atoms. Terms of pairs are kept between the two passes that the square
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

// The parameters of a block.
template <class T>
struct Metals {
  static constexpr T kLog2e = T(1.4426950408889634);

  Metals(const Gupta<T>& call, int64_t begin, int64_t count)
      : log_a(call.log_a, call.kinds, begin, count),
        p(call.p, call.kinds, begin, count),
        log_xi(call.log_xi, call.kinds, begin, count),
        q(call.q, call.kinds, begin, count),
        core(parameter(call.core, begin, count)),
        core2(core * core),
        half(T(0.5) / core),
        longest(T(1) / core),
        smallest(all<T>(T(call.smallest_density))) {}

  OfBond<T> log_a, p, log_xi, q;
  Vec<T> core, core2, half, longest, smallest;
};

// An atom, and what the others that it meets add up to.
template <class T, bool mixed>
struct MetalAtom {
  HOPGYM_INLINE MetalAtom(const Metals<T>& of, const Space<T>& where, Int<T> kind)
      : a(of.log_a, kind), p(of.p, kind), xi(of.log_xi, kind), q(of.q, kind), here(where) {}

  // Returns the density, and puts what the gradient needs into `term`.
  HOPGYM_INLINE Vec<T> with(const Space<T>& other, Int<T> kind, const Metals<T>& of, T* term) {
    const Space<T> d = here - other;
    const Vec<T> decay_a = p.template of<mixed>(kind), decay_xi = q.template of<mixed>(kind);
    const Vec<T> squared = dot(d, d), inside = larger<T>(of.core2 - squared, Vec<T>{}) * of.half;
    const Vec<T> softened = squared + inside * inside, closeness = inverse_root(softened);
    const Vec<T> distance = softened * closeness;
    const Vec<T> repelled =
        power_of_two<T>((a.template of<mixed>(kind) - decay_a * distance) * Metals<T>::kLog2e);
    const Vec<T> bond =
        power_of_two<T>((xi.template of<mixed>(kind) - decay_xi * distance) * Metals<T>::kLog2e);
    repulsion += repelled;
    density += bond;
    const Vec<T> inverse = smaller<T>(closeness, of.longest);
    store<T>(term, T(-2) * decay_a * repelled * inverse);
    store<T>(term + lanes<T>, decay_xi * bond * inverse);
    return bond;
  }

  OfNeighbour<T> a, p, xi, q;
  Space<T> here;
  Vec<T> repulsion{}, density{};
};

// Of an atom with this density. The product is rounded by itself, not within the sum over
// atoms, whatever lanes these are in.
template <class T>
HOPGYM_INLINE Vec<T> embedding(Vec<T> density, Vec<T> inverse_root) {
  return larger<T>(density * inverse_root, Vec<T>{});
}

// The atom again, when densities are known and replaced by half their inverse roots.
template <class T>
struct EmbeddedAtom {
  HOPGYM_INLINE Space<T> with(const Space<T>& other, Vec<T> density, const T* term) {
    const Vec<T> weight = load<T>(term + lanes<T>) * (own + density) + load<T>(term);
    const Space<T> f = weight * (here - other);
    force = force + f;
    return f;
  }

  Space<T> here;
  Vec<T> own;
  Space<T> force{};
};

template <class T, bool mixed>
void gupta_of_block(const Gupta<T>& call, T* scratch, int64_t begin, int64_t count) {
  constexpr int64_t L = lanes<T>, two = 2 * L, wide = 3 * L;
  const int64_t n = call.atoms;
  T *x = scratch, *g = x + n * wide, *density = g + n * wide, *kinds = density + n * L,
    *terms = kinds + n * L;
  gather(call.positions, begin, count, 3 * n, T(call.position_limit), all<T>(T(1)), x);
  if (mixed)
    for (int l = 0; l < L; ++l) {
      const int32_t* species = call.species.at(begin + (l < count ? l : 0));
      for (int64_t i = 0; i < n; ++i) kinds[i * L + l] = T(species[i]);
    }
  auto kind_of = [&](int64_t i) -> Int<T> {
    return mixed ? load<T>(kinds + i * L) > T(0.5) : Int<T>{};
  };
  const Metals<T> of(call, begin, count);

  Vec<T> energy{};
  T* term = terms;
  for (int64_t i = 0; i < n; ++i) {
    MetalAtom<T, mixed> atom(of, load_space(x + i * wide), kind_of(i));
    for (int64_t j = 0; j < i; ++j, term += two) {
      const Vec<T> bond = atom.with(load_space(x + j * wide), kind_of(j), of, term);
      store<T>(density + j * L, load<T>(density + j * L) + bond);
    }
    energy += atom.repulsion;
    store<T>(density + i * L, atom.density);
  }

  energy *= T(2);
  for (int64_t i = 0; i < n; ++i) {
    const Vec<T> sum = load<T>(density + i * L);
    const Vec<T> inverse = inverse_root(larger<T>(sum, of.smallest));
    energy -= embedding<T>(sum, inverse);
    store<T>(density + i * L, T(0.5) * inverse);
  }

  term = terms;
  for (int64_t i = 0; i < n; ++i) {
    EmbeddedAtom<T> atom{load_space(x + i * wide), load<T>(density + i * L)};
    for (int64_t j = 0; j < i; ++j, term += two) {
      const Space<T> f = atom.with(load_space(x + j * wide), load<T>(density + j * L), term);
      store_space(g + j * wide, load_space(g + j * wide) - f);
    }
    store_space(g + i * wide, atom.force);
  }
  for (int l = 0; l < count; ++l) call.energy[begin + l] = energy[l];
  scatter(g, begin, count, 3 * n, all<T>(T(1)), call.gradient);
}

// The same sums in the same order, of one replica with its atoms in lanes.
template <class T, bool mixed>
void gupta_of_one(const Gupta<T>& call, T* scratch, int64_t replica) {
  constexpr int64_t L = lanes<T>, two = 2 * L;
  const int64_t n = call.atoms, stride = whole_vectors<T>(n);
  T *kinds = scratch + 3 * stride, *density = kinds + stride, *terms = density + stride;
  const Atoms<T> atoms(call.positions.at(replica), n, T(call.position_limit), all<T>(T(1)),
                       scratch);
  const int32_t* species = call.species.at(replica);
  for (int64_t i = 0; i < stride; ++i) kinds[i] = i < n ? T(species[i]) : T(0);
  auto kind_of = [&](int64_t j) -> Int<T> { return all<T>(kinds[j]) > T(0.5); };
  const Metals<T> of(call, replica, 1);

  T energy = 0;
  T* term = terms;
  atoms.by_vectors([&](int64_t at, int64_t end) {
    MetalAtom<T, mixed> atom(of, atoms.from(at), load<T>(kinds + at) > T(0.5));
    for (int64_t j = 0; j < at; ++j, term += two) atom.with(atoms.each(j), kind_of(j), of, term);
    for (int64_t j = at; j < end; ++j, term += two) {
      // An atom is not its own neighbour. It counts the repulsion of those before it.
      const MetalAtom<T, mixed> before = atom;
      atom.with(atoms.each(j), kind_of(j), of, term);
      const Int<T> number = lane_numbers<T>();
      atom.density = choose<T>(number == lane<T>(j - at), before.density, atom.density);
      atom.repulsion = choose<T>(number > lane<T>(j - at), atom.repulsion, before.repulsion);
    }
    for (int64_t k = at; k < end; ++k) energy += atom.repulsion[k - at];
    for (int64_t j = end; j < n; ++j, term += two) atom.with(atoms.each(j), kind_of(j), of, term);
    store<T>(density + at, atom.density);
  });

  energy *= T(2);
  atoms.by_vectors([&](int64_t at, int64_t end) {
    const Vec<T> sum = load<T>(density + at);
    const Vec<T> inverse = inverse_root(larger<T>(sum, of.smallest));
    const Vec<T> own = embedding<T>(sum, inverse);
    for (int64_t k = at; k < end; ++k) energy -= own[k - at];
    store<T>(density + at, T(0.5) * inverse);
  });

  term = terms;
  atoms.by_vectors([&](int64_t at, int64_t end) {
    EmbeddedAtom<T> atom{atoms.from(at), load<T>(density + at)};
    for (int64_t j = 0; j < n; ++j, term += two)
      atom.with(atoms.each(j), all<T>(density[j]), term);
    atoms.put(atom.force, at, end, call.gradient, replica);
  });
  call.energy[replica] = energy;
}

template <class T, bool mixed>
void gupta_of(const Gupta<T>& call, T* scratch, int64_t begin, int64_t end) {
  by_blocks<T>(
      begin, end, call.atoms,
      [&](int64_t r, int64_t count) { gupta_of_block<T, mixed>(call, scratch, r, count); },
      [&](int64_t r) { gupta_of_one<T, mixed>(call, scratch, r); });
}

}  // namespace

namespace hopgym {
namespace HOPGYM_ISA {

// Of a block: 8 vectors for every atom and 2 for every pair. One replica needs less.
template <class T>
int64_t gupta_scratch(const Gupta<T>& call) {
  return (8 + call.atoms - 1) * call.atoms * lanes<T>;
}

template <class T>
void gupta(const Gupta<T>& call, T* scratch, int64_t begin, int64_t end) {
  if (call.kinds == 1)
    gupta_of<T, false>(call, scratch, begin, end);
  else
    gupta_of<T, true>(call, scratch, begin, end);
}

template int64_t gupta_scratch(const Gupta<float>&);
template int64_t gupta_scratch(const Gupta<double>&);
template void gupta(const Gupta<float>&, float*, int64_t, int64_t);
template void gupta(const Gupta<double>&, double*, int64_t, int64_t);

}  // namespace HOPGYM_ISA
}  // namespace hopgym
