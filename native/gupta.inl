// Energy and gradient of clusters of one or two metals (hopgym/potentials/gupta.py).
// Replicas are in lanes; of few replicas, atoms. Terms of pairs are kept between the two
// passes that the square root of the density needs.

#include "kernels.h"

namespace {

using hopgym::Gupta;

// What a parameter is for pairs of alike and unlike atoms, times log2(e): exponents are
// those of powers of two.
template <class T>
struct OfBond {
  OfBond(const Operand<T>& table, int kinds, int64_t begin, int64_t count)
      : first(read(table, begin, count, 0)), unlike(first), second(first) {
    if (kinds == 1) return;
    unlike = read(table, begin, count, 1);
    second = read(table, begin, count, 3);
  }

  static Vec<T> read(const Operand<T>& table, int64_t begin, int64_t count, int64_t index) {
    return T(1.4426950408889634) * parameter(table, begin, count, index);
  }

  Vec<T> first, unlike, second;
};

// The same seen from an atom: for neighbours of the first and of the second kind.
template <class T>
struct OfNeighbour {
  HOPGYM_INLINE OfNeighbour() = default;
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
  Metals(const Gupta<T>& call, int64_t begin, int64_t count)
      : log_a(call.log_a, call.kinds, begin, count),
        p(call.p, call.kinds, begin, count),
        log_xi(call.log_xi, call.kinds, begin, count),
        q(call.q, call.kinds, begin, count),
        soft(parameter(call.core, begin, count)),
        smallest(all<T>(T(call.smallest_density))),
        cohesion(all<T>(T(-0.25))) {
    if (call.kinds == 1) cohesion *= q.first;
  }

  OfBond<T> log_a, p, log_xi, q;
  SoftCore<T> soft;
  Vec<T> smallest;
  Vec<T> cohesion;  // its factor in forces, with the decay rate where all have one
};

// The unit of forces: -2 ln 2.
template <class T>
constexpr T kForceUnit = T(-1.3862943611198906);

// A few atoms, and what the others that they meet add up to.
template <class T, bool mixed, int many>
struct MetalAtoms {
  template <class KindOf>
  HOPGYM_INLINE MetalAtoms(const Metals<T>& of, KindOf kind_of) {
    HOPGYM_UNROLL
    for (int k = 0; k < many; ++k) {
      const Int<T> kind = kind_of(k);
      a[k] = {of.log_a, kind};
      p[k] = {of.p, kind};
      xi[k] = {of.log_xi, kind};
      q[k] = {of.q, kind};
    }
  }

  // Adds to the density of the other atom. What the gradient needs goes into `term`.
  HOPGYM_INLINE Vec<T> with(const Distances<T, many>& r, Int<T> kind, T* term, Vec<T> others) {
    HOPGYM_UNROLL
    for (int k = 0; k < many; ++k) {
      const Vec<T> decay_a = p[k].template of<mixed>(kind);
      const Vec<T> decay_xi = q[k].template of<mixed>(kind);
      const Vec<T> repelled =
          power_of_two<T>(a[k].template of<mixed>(kind) - decay_a * r.length[k]);
      const Vec<T> bond =
          power_of_two<T>(xi[k].template of<mixed>(kind) - decay_xi * r.length[k]);
      repulsion[k] += repelled;
      density[k] += bond;
      others += bond;
      const Vec<T> by_xi = mixed ? bond * decay_xi : bond;
      store<T>(term + 2 * k * lanes<T>, repelled * decay_a * r.inverse[k]);
      store<T>(term + (2 * k + 1) * lanes<T>, by_xi * r.inverse[k]);
    }
    return others;
  }

  OfNeighbour<T> a[many], p[many], xi[many], q[many];
  Vec<T> repulsion[many] = {}, density[many] = {};
};

// Of an atom with this density. The product is rounded by itself, not within the sum over
// atoms, whatever lanes these are in.
template <class T>
HOPGYM_INLINE Vec<T> embedding(Vec<T> density, Vec<T> inverse_root) {
  return larger<T>(density * inverse_root, Vec<T>{});
}

// The atoms again, when densities are known and replaced by what they do to forces.
template <class T, int many>
struct EmbeddedAtoms {
  // Returns the gradient of the other atom, which had `others` before.
  HOPGYM_INLINE Space<T> with(const Space<T>& other, Vec<T> density, const T* term,
                              Space<T> others) {
    HOPGYM_UNROLL
    for (int k = 0; k < many; ++k) {
      const Vec<T> weight = load<T>(term + (2 * k + 1) * lanes<T>) * (own[k] + density) +
                            load<T>(term + 2 * k * lanes<T>);
      const Space<T> d = here.atom[k] - other;
      force[k] = force[k] + weight * d;
      others = others - weight * d;
    }
    return others;
  }

  Here<T, many> here;
  Vec<T> own[many];
  Space<T> force[many] = {};
};

// Numbers of a block, and room for them.
template <class T, bool mixed>
struct GuptaBlock {
  static constexpr int64_t L = lanes<T>, of_term = 2 * L, wide = 3 * L;

  Int<T> kind_of(int64_t i) const {
    return mixed ? load<T>(kinds + i * L) > T(0.5) : Int<T>{};
  }

  // So many atoms from `i` on meet all before them, and each other. Returns where the next
  // terms go.
  template <int many>
  HOPGYM_INLINE T* densities(int64_t i, T* term, Vec<T>& energy) const {
    const Here<T, many> here(i, x);
    MetalAtoms<T, mixed, many> atoms(of, [&](int k) { return kind_of(i + k); });
    auto distances = [&](const Apart<T, many>& apart) {
      return of.soft.distances(apart.squared);
    };
    by_others(here, i, x, distances, [&](int64_t j, const Distances<T, many>& r) {
      T* const other = density + j * L;
      store<T>(other, atoms.with(r, kind_of(j), term, load<T>(other)));
      term += many * of_term;
    });
    if constexpr (many == 2) {
      MetalAtoms<T, mixed, 1> last(of, [&](int) { return kind_of(i + 1); });
      const Apart<T, 1> apart = Here<T, 1>(here.atom[1]).from(here.atom[0]);
      atoms.density[0] =
          last.with(of.soft.distances(apart.squared), kind_of(i), term, atoms.density[0]);
      atoms.density[1] += last.density[0];
      atoms.repulsion[1] += last.repulsion[0];
      term += of_term;
    }
    HOPGYM_UNROLL
    for (int k = 0; k < many; ++k) {
      energy += atoms.repulsion[k];
      store<T>(density + (i + k) * L, atoms.density[k]);
    }
    return term;
  }

  template <int many>
  HOPGYM_INLINE const T* forces(int64_t i, const T* term) const {
    EmbeddedAtoms<T, many> atoms{Here<T, many>(i, x), {}};
    HOPGYM_UNROLL
    for (int k = 0; k < many; ++k) atoms.own[k] = load<T>(density + (i + k) * L);
    for (int64_t j = 0; j < i; ++j, term += many * of_term) {
      T* const other = g + j * wide;
      store_space(other, atoms.with(load_space(x + j * wide), load<T>(density + j * L), term,
                                    load_space(other)));
    }
    if constexpr (many == 2) {
      const Space<T> first = atoms.here.atom[0];
      EmbeddedAtoms<T, 1> last{Here<T, 1>(atoms.here.atom[1]), {atoms.own[1]}, {atoms.force[1]}};
      atoms.force[0] = last.with(first, atoms.own[0], term, atoms.force[0]);
      atoms.force[1] = last.force[0];
      term += of_term;
    }
    HOPGYM_UNROLL
    for (int k = 0; k < many; ++k) store_space(g + (i + k) * wide, atoms.force[k]);
    return term;
  }

  const Metals<T>& of;
  T *x, *g, *density, *kinds;
};

template <class T, bool mixed>
void gupta_of_block(const Gupta<T>& call, T* scratch, int64_t begin, int64_t count) {
  constexpr int64_t L = lanes<T>, wide = 3 * L;
  const int64_t n = call.atoms;
  const Metals<T> of(call, begin, count);
  T* const x = scratch;
  T *const g = x + n * wide, *const density = g + n * wide, *const kinds = density + n * L,
           *const terms = kinds + n * L;
  const GuptaBlock<T, mixed> block{of, x, g, density, kinds};
  gather(call.positions, begin, count, 3 * n, T(call.position_limit), all<T>(T(1)), x);
  if (mixed)
    for (int l = 0; l < L; ++l) {
      const int32_t* species = call.species.at(begin + (l < count ? l : 0));
      for (int64_t i = 0; i < n; ++i) kinds[i * L + l] = T(species[i]);
    }

  Vec<T> energy{};
  T* term = terms;
  by_rows(n, [&](int64_t i, auto many) {
    term = block.template densities<many>(i, term, energy);
  });

  energy *= T(2);
  for (int64_t i = 0; i < n; ++i) {
    const Vec<T> sum = load<T>(density + i * L);
    const Vec<T> inverse = inverse_root(larger<T>(sum, of.smallest));
    energy -= embedding<T>(sum, inverse);
    store<T>(density + i * L, of.cohesion * inverse);
  }

  const T* known = terms;
  by_rows(n, [&](int64_t i, auto many) { known = block.template forces<many>(i, known); });
  for (int l = 0; l < count; ++l) call.energy[begin + l] = energy[l];
  scatter(g, begin, count, 3 * n, all<T>(kForceUnit<T>), call.gradient);
}

// The same sums in the same order, of one replica with its atoms in lanes.
template <class T, bool mixed>
struct GuptaOfOne {
  static constexpr int64_t of_term = 2 * lanes<T>;

  GuptaOfOne(const Gupta<T>& call, T* scratch, int64_t replica)
      : n(call.atoms),
        of(call, replica, 1),
        kinds(scratch + 3 * whole_vectors<T>(n)),
        density(kinds + whole_vectors<T>(n)),
        terms(density + whole_vectors<T>(n)),
        atoms(call.positions.at(replica), n, T(call.position_limit), all<T>(T(1)), scratch) {
    const int32_t* species = call.species.at(replica);
    for (int64_t i = 0; i < whole_vectors<T>(n); ++i) kinds[i] = i < n ? T(species[i]) : T(0);
  }

  // Densities, and what the gradient needs. Calls `repelled(at, end, whole, before)` with
  // the repulsion of each atom and all others, and the others before it.
  template <class Repelled>
  HOPGYM_INLINE void densities(Repelled repelled) const {
    T* term = terms;
    atoms.by_vectors([&](int64_t at, int64_t end) {
      const Here<T, 1> here(atoms.from(at));
      MetalAtoms<T, mixed, 1> metal(of, [&](int) { return load<T>(kinds + at) > T(0.5); });
      Vec<T> before{};
      auto meet = [&](int64_t j) {
        const Apart<T, 1> apart = here.from(atoms.each(j));
        metal.with(of.soft.distances(apart.squared), all<T>(kinds[j]) > T(0.5), term, Vec<T>{});
        term += of_term;
      };
      for (int64_t j = 0; j < at; ++j) meet(j);
      before = metal.repulsion[0];
      for (int64_t j = at; j < end; ++j) {
        // An atom is not its own neighbour.
        const Vec<T> density_before = metal.density[0], repulsion_before = metal.repulsion[0];
        meet(j);
        const Int<T> number = lane_numbers<T>(), itself = number == lane<T>(j - at);
        metal.density[0] = choose<T>(itself, density_before, metal.density[0]);
        metal.repulsion[0] = choose<T>(itself, repulsion_before, metal.repulsion[0]);
        before = choose<T>(number > lane<T>(j - at), metal.repulsion[0], before);
      }
      for (int64_t j = end; j < n; ++j) meet(j);
      store<T>(density + at, metal.density[0]);
      repelled(at, end, metal.repulsion[0], before);
    });
  }

  // Calls `embedded(at, end, energy, inverse)` with that of each atom, and the inverse root
  // of its density.
  template <class Embedded>
  HOPGYM_INLINE void embedding_energies(Embedded embedded) const {
    atoms.by_vectors([&](int64_t at, int64_t end) {
      const Vec<T> sum = load<T>(density + at);
      const Vec<T> inverse = inverse_root(larger<T>(sum, of.smallest));
      embedded(at, end, embedding<T>(sum, inverse), inverse);
    });
  }

  void energy_and_gradient(const Gupta<T>& call, int64_t replica) const {
    T energy = 0;
    densities([&](int64_t at, int64_t end, Vec<T>, Vec<T> before) {
      for (int64_t k = at; k < end; ++k) energy += before[k - at];
    });
    energy *= T(2);
    embedding_energies([&](int64_t at, int64_t end, Vec<T> own, Vec<T> inverse) {
      for (int64_t k = at; k < end; ++k) energy -= own[k - at];
      store<T>(density + at, of.cohesion * inverse);
    });
    const T* known = terms;
    atoms.by_vectors([&](int64_t at, int64_t) {
      EmbeddedAtoms<T, 1> atom{Here<T, 1>(atoms.from(at)), {load<T>(density + at)}};
      for (int64_t j = 0; j < n; ++j, known += of_term)
        atom.with(atoms.each(j), all<T>(density[j]), known, Space<T>{});
      atoms.put(all<T>(kForceUnit<T>) * atom.force[0], at, call.gradient, replica);
    });
    call.energy[replica] = energy;
  }

  void atom_energies(const Gupta<T>& call, int64_t replica) const {
    T* const energies = call.atom_energies + replica * n;
    densities([&](int64_t at, int64_t, Vec<T> whole, Vec<T>) { keep(energies, at, n, whole); });
    embedding_energies([&](int64_t at, int64_t, Vec<T> own, Vec<T>) {
      keep(energies, at, n, part(energies, at, n) - own);
    });
  }

  const int64_t n;
  const Metals<T> of;
  T *const kinds, *const density, *const terms;
  const Atoms<T> atoms;
};

template <class T, bool mixed>
void gupta_of(const Gupta<T>& call, T* scratch, int64_t begin, int64_t end) {
  using One = GuptaOfOne<T, mixed>;
  if (call.atom_energies) {
    for (; begin < end; ++begin) One(call, scratch, begin).atom_energies(call, begin);
    return;
  }
  by_blocks<T>(
      begin, end, call.atoms,
      [&](int64_t r, int64_t count) { gupta_of_block<T, mixed>(call, scratch, r, count); },
      [&](int64_t r) { One(call, scratch, r).energy_and_gradient(call, r); });
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
