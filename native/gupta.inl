// Energy and gradient of clusters of one or two metals (hopgym/potentials/gupta.py).
// Lanes hold replicas, or the atoms of one replica if there are few replicas. Because of the
// square root of the density there are two passes; pair terms are stored between them.

#include "kernels.h"

namespace {

// The state of a block: parameters, positions, gradient, densities and species.
template <class T, bool mixed>
struct GuptaBlock {
  static constexpr int64_t L = lanes<T>, of_term = 2 * L, wide = 3 * L;

  Int<T> kind_of(int64_t i) const { return mixed ? load<T>(kinds + i * L) > T(0.5) : Int<T>{}; }

  // Adds the pairs of `many` atoms from `i` on with all atoms before them and with each
  // other. Returns the place of the next terms.
  template <int many>
  HOPGYM_INLINE T* add_densities(int64_t i, T* term, Vec<T>& energy) const {
    const Group<T, many> here(i, x);
    MetalAtoms<T, mixed, many> atoms(of, [&](int k) { return kind_of(i + k); });
    auto distances = [&](const Differences<T, many>& differences) {
      return of.soft_core.soften(differences.squared);
    };
    for_each_earlier(here, i, x, distances, [&](int64_t j, const Distances<T, many>& r) {
      T* const other = density + j * L;
      store<T>(other, atoms.add_pairs(r, kind_of(j), term, load<T>(other)));
      term += many * of_term;
    });
    if constexpr (many == 2) {
      MetalAtoms<T, mixed, 1> last(of, [&](int) { return kind_of(i + 1); });
      const Differences<T, 1> differences = Group<T, 1>(here.atom[1]).subtract(here.atom[0]);
      atoms.density[0] = last.add_pairs(of.soft_core.soften(differences.squared), kind_of(i),
                                        term, atoms.density[0]);
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

  // Adds the forces of the same pairs. Returns the place of the next terms.
  template <int many>
  HOPGYM_INLINE const T* add_forces(int64_t i, const T* term) const {
    EmbeddedAtoms<T, many> atoms{Group<T, many>(i, x), {}};
    HOPGYM_UNROLL
    for (int k = 0; k < many; ++k) atoms.own[k] = load<T>(density + (i + k) * L);
    for (int64_t j = 0; j < i; ++j, term += many * of_term) {
      T* const other = g + j * wide;
      store_space(other, atoms.add_pairs(load_space(x + j * wide), load<T>(density + j * L),
                                         term, load_space(other)));
    }
    if constexpr (many == 2) {
      const Space<T> first = atoms.here.atom[0];
      EmbeddedAtoms<T, 1> last{
          Group<T, 1>(atoms.here.atom[1]), {atoms.own[1]}, {atoms.force[1]}};
      atoms.force[0] = last.add_pairs(first, atoms.own[0], term, atoms.force[0]);
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
void compute_gupta_of_block(const Gupta<T>& call, T* scratch, int64_t begin, int64_t count) {
  constexpr int64_t L = lanes<T>, wide = 3 * L;
  const int64_t n = call.atoms;
  const Metals<T> of(call, begin, count);
  T* const x = scratch;
  T *const g = x + n * wide, *const density = g + n * wide, *const kinds = density + n * L,
           *const terms = kinds + n * L;
  const GuptaBlock<T, mixed> block{of, x, g, density, kinds};
  gather(call.positions, begin, count, 3 * n, of.limit, broadcast<T>(T(1)), x);
  if (mixed)
    for (int l = 0; l < L; ++l) {
      const int32_t* species = call.species.at(begin + (l < count ? l : 0));
      for (int64_t i = 0; i < n; ++i) kinds[i * L + l] = T(species[i]);
    }

  Vec<T> energy{};
  T* term = terms;
  for_each_two_rows(n, [&](int64_t i, auto many) {
    term = block.template add_densities<many>(i, term, energy);
  });

  energy *= T(2);
  for (int64_t i = 0; i < n; ++i) {
    const Vec<T> sum = load<T>(density + i * L);
    const Vec<T> inverse = rsqrt(max<T>(sum, of.smallest));
    energy -= embed<T>(sum, inverse);
    store<T>(density + i * L, of.cohesion * inverse);
  }

  const T* known = terms;
  for_each_two_rows(
      n, [&](int64_t i, auto many) { known = block.template add_forces<many>(i, known); });
  for (int l = 0; l < count; ++l) call.energy[begin + l] = energy[l];
  scatter(g, begin, count, 3 * n, broadcast<T>(kForceUnit<T>), call.gradient);
}

// The same sums in the same order, for one replica with its atoms in lanes.
template <class T, bool mixed>
struct GuptaOfOne {
  static constexpr int64_t of_term = 2 * lanes<T>;

  GuptaOfOne(const Gupta<T>& call, T* scratch, int64_t replica)
      : n(call.atoms),
        of(call, replica, 1),
        kinds(scratch + 3 * round_up_to_vectors<T>(n)),
        density(kinds + round_up_to_vectors<T>(n)),
        terms(density + round_up_to_vectors<T>(n)),
        atoms(call.positions.at(replica), n, of.limit, broadcast<T>(T(1)), scratch) {
    const int32_t* species = call.species.at(replica);
    for (int64_t i = 0; i < round_up_to_vectors<T>(n); ++i)
      kinds[i] = i < n ? T(species[i]) : T(0);
  }

  // Computes densities and stores the terms required for the gradient. Calls
  // `repelled(at, end, whole, before)` with the repulsion between each atom and all others,
  // and between it and the atoms before it.
  template <class Repelled>
  HOPGYM_INLINE void compute_densities(Repelled repelled) const {
    T* term = terms;
    atoms.for_each_vector([&](int64_t at, int64_t end) {
      const Group<T, 1> here(atoms.load_vector(at));
      MetalAtoms<T, mixed, 1> metal(of, [&](int) { return load<T>(kinds + at) > T(0.5); });
      Vec<T> before{};
      auto meet = [&](int64_t j) {
        const Differences<T, 1> differences = here.subtract(atoms.repeat_atom(j));
        metal.add_pairs(of.soft_core.soften(differences.squared),
                        broadcast<T>(kinds[j]) > T(0.5), term, Vec<T>{});
        term += of_term;
      };
      for (int64_t j = 0; j < at; ++j) meet(j);
      before = metal.repulsion[0];
      for (int64_t j = at; j < end; ++j) {
        // An atom is not its own neighbour.
        const Vec<T> density_before = metal.density[0], repulsion_before = metal.repulsion[0];
        meet(j);
        const Int<T> number = get_lane_numbers<T>(), itself = number == to_lane<T>(j - at);
        metal.density[0] = select<T>(itself, density_before, metal.density[0]);
        metal.repulsion[0] = select<T>(itself, repulsion_before, metal.repulsion[0]);
        before = select<T>(number > to_lane<T>(j - at), metal.repulsion[0], before);
      }
      for (int64_t j = end; j < n; ++j) meet(j);
      store<T>(density + at, metal.density[0]);
      repelled(at, end, metal.repulsion[0], before);
    });
  }

  // Calls `embedded(at, end, energy, inverse)` with the embedding energy of each atom and
  // the inverse root of its density.
  template <class Embedded>
  HOPGYM_INLINE void for_each_embedding(Embedded embedded) const {
    atoms.for_each_vector([&](int64_t at, int64_t end) {
      const Vec<T> sum = load<T>(density + at);
      const Vec<T> inverse = rsqrt(max<T>(sum, of.smallest));
      embedded(at, end, embed<T>(sum, inverse), inverse);
    });
  }

  void compute_energy_and_gradient(const Gupta<T>& call, int64_t replica) const {
    T energy = 0;
    compute_densities([&](int64_t at, int64_t end, Vec<T>, Vec<T> before) {
      for (int64_t k = at; k < end; ++k) energy += before[k - at];
    });
    energy *= T(2);
    for_each_embedding([&](int64_t at, int64_t end, Vec<T> own, Vec<T> inverse) {
      for (int64_t k = at; k < end; ++k) energy -= own[k - at];
      store<T>(density + at, of.cohesion * inverse);
    });
    const T* known = terms;
    atoms.for_each_vector([&](int64_t at, int64_t) {
      EmbeddedAtoms<T, 1> atom{Group<T, 1>(atoms.load_vector(at)), {load<T>(density + at)}};
      for (int64_t j = 0; j < n; ++j, known += of_term)
        atom.add_pairs(atoms.repeat_atom(j), broadcast<T>(density[j]), known, Space<T>{});
      atoms.store_gradient(broadcast<T>(kForceUnit<T>) * atom.force[0], at, call.gradient,
                           replica);
    });
    call.energy[replica] = energy;
  }

  void compute_atom_energies(const Gupta<T>& call, int64_t replica) const {
    T* const energies = call.atom_energies + replica * n;
    compute_densities(
        [&](int64_t at, int64_t, Vec<T> whole, Vec<T>) { store_part(energies, at, n, whole); });
    for_each_embedding([&](int64_t at, int64_t, Vec<T> own, Vec<T>) {
      store_part(energies, at, n, load_part(energies, at, n) - own);
    });
  }

  const int64_t n;
  const Metals<T> of;
  T *const kinds, *const density, *const terms;
  const Atoms<T> atoms;
};

template <class T, bool mixed>
void compute_gupta(const Gupta<T>& call, T* scratch, int64_t begin, int64_t end) {
  using One = GuptaOfOne<T, mixed>;
  if (call.atom_energies) {
    for (; begin < end; ++begin) One(call, scratch, begin).compute_atom_energies(call, begin);
    return;
  }
  for_each_block<T>(
      begin, end, call.atoms,
      [&](int64_t r, int64_t count) {
        compute_gupta_of_block<T, mixed>(call, scratch, r, count);
      },
      [&](int64_t r) { One(call, scratch, r).compute_energy_and_gradient(call, r); });
}

}  // namespace

namespace hopgym {
namespace HOPGYM_ISA {

// A block needs 8 vectors for every atom and 2 for every pair; a single replica needs less.
template <class T>
int64_t gupta_scratch(const Gupta<T>& call) {
  return (8 + call.atoms - 1) * call.atoms * lanes<T>;
}

template <class T>
void gupta(const Gupta<T>& call, T* scratch, int64_t begin, int64_t end) {
  if (call.kinds == 1)
    compute_gupta<T, false>(call, scratch, begin, end);
  else
    compute_gupta<T, true>(call, scratch, begin, end);
}

template int64_t gupta_scratch(const Gupta<float>&);
template int64_t gupta_scratch(const Gupta<double>&);
template void gupta(const Gupta<float>&, float*, int64_t, int64_t);
template void gupta(const Gupta<double>&, double*, int64_t, int64_t);

}  // namespace HOPGYM_ISA
}  // namespace hopgym
