// Energy and gradient of pair potentials. Lanes hold replicas, so that each pair is computed
// once and nothing is summed across lanes, or atoms if there are few replicas.

#include "kernels.h"

namespace {

using hopgym::Pairs;

// Pair functions add the energies of `many` pairs, and return the weights of their difference
// vectors in the gradient, in units of `kWeight`. A few pairs at a time hide the latency.

// hopgym/potentials/lennard_jones.py
template <class T>
struct LennardJones {
  static constexpr T kWeight = 12;

  LennardJones(const Pairs<T>& call, int64_t begin, int64_t count) {
    const Vec<T> core = load_parameter(call.core, begin, count);
    core2 = core * core;
    edge = T(1) / core2;
    slope = T(6) * edge * edge * (edge * edge * edge - T(1));
  }

  template <int many>
  HOPGYM_INLINE void operator()(const Vec<T> (&squared)[many], Vec<T> (&energy)[many],
                                Vec<T> (&weight)[many]) const {
    // The results of a lane do not depend on overlaps of atoms in other lanes.
    const bool overlap = any_less(min_of_all<T>(squared), core2);
    HOPGYM_UNROLL
    for (int k = 0; k < many; ++k) {
      Vec<T> r2 = reciprocal(squared[k]);
      if (__builtin_expect(overlap, false)) r2 = select<T>(squared[k] < core2, edge, r2);
      const Vec<T> r6 = r2 * r2 * r2, difference = r6 - r6 * r6;
      energy[k] -= difference + r6;
      weight[k] = difference * r2;
    }
    if (__builtin_expect(overlap, false))
      for (int k = 0; k < many; ++k)
        energy[k] +=
            select<T>(squared[k] < core2, slope * edge * (T(1) - squared[k] * edge), Vec<T>{});
  }

  Vec<T> core2, edge, slope;
};

// hopgym/potentials/morse.py
template <class T>
struct Morse {
  static constexpr T kWeight = -2;

  Morse(const Pairs<T>& call, int64_t begin, int64_t count)
      : soft_core(load_parameter(call.core, begin, count)),
        rho(load_parameter(call.rho, begin, count)) {}

  template <int many>
  HOPGYM_INLINE void operator()(const Vec<T> (&squared)[many], Vec<T> (&energy)[many],
                                Vec<T> (&weight)[many]) const {
    const Distances<T, many> distance = soft_core.soften(squared);
    HOPGYM_UNROLL
    for (int k = 0; k < many; ++k) {
      const Vec<T> bond = exp<T>(rho * (T(1) - distance.length[k]));
      energy[k] += bond * (bond - T(2));
      weight[k] = rho * bond * (bond - T(1)) * distance.inverse[k];
    }
  }

  SoftCore<T> soft_core;
  Vec<T> rho;
};

// A pair function with the parameters and the units of a block.
template <class T, template <class> class Pair>
struct PairPotential {
  PairPotential(const Pairs<T>& call, int64_t begin, int64_t count) : pair(call, begin, count) {
    const Vec<T> d0 = load_parameter(call.d0, begin, count);
    energy_unit = load_parameter(call.epsilon, begin, count);
    inverse_length = T(1) / d0;
    limit = scale_limit<T>(call.position_limit, d0);
    gradient_unit = Pair<T>::kWeight * (energy_unit / d0);
  }

  Pair<T> pair;
  Vec<T> energy_unit, inverse_length, gradient_unit, limit;
};

// Energies and forces of a few atoms, summed over the atoms paired with them.
template <class T, int many>
struct PairSums {
  // Adds the pairs with another atom. Returns its gradient, which was `others` before.
  template <class Pair>
  HOPGYM_INLINE Space<T> add_pairs(const Differences<T, many>& differences, const Pair& pair,
                                   Space<T> others) {
    Vec<T> weight[many];
    pair(differences.squared, energy, weight);
    HOPGYM_UNROLL
    for (int k = 0; k < many; ++k) {
      force[k] = force[k] + weight[k] * differences.d[k];
      others = others - weight[k] * differences.d[k];
    }
    return others;
  }

  Vec<T> energy[many] = {};  // one sum per atom, for smaller rounding errors
  Space<T> force[many] = {};
};

// Adds the pairs of `many` atoms from `i` on with all atoms before them and with each other.
template <class T, int many, class Pair>
HOPGYM_INLINE void compute_rows(int64_t i, const T* x, T* g, const Pair& pair, Vec<T>& energy) {
  const Group<T, many> here(i, x);
  PairSums<T, many> sums;
  auto itself = [](const Differences<T, many>& differences) { return differences; };
  for_each_earlier(here, i, x, itself, [&](int64_t j, const Differences<T, many>& differences) {
    T* const other = g + j * 3 * lanes<T>;
    store_space(other, sums.add_pairs(differences, pair, load_space(other)));
  });
  if constexpr (many == 2) {
    PairSums<T, 1> last{{sums.energy[1]}, {sums.force[1]}};
    const Differences<T, 1> differences = Group<T, 1>(here.atom[1]).subtract(here.atom[0]);
    sums.force[0] = last.add_pairs(differences, pair, sums.force[0]);
    sums.energy[1] = last.energy[0];
    sums.force[1] = last.force[0];
  }
  HOPGYM_UNROLL
  for (int k = 0; k < many; ++k) {
    energy += sums.energy[k];
    store_space(g + (i + k) * 3 * lanes<T>, sums.force[k]);
  }
}

// Energies and gradients of a block. Positions and gradient take 6 vectors per atom.
template <class T, template <class> class Pair>
void compute_block_of_pairs(const Pairs<T>& call, T* scratch, int64_t begin, int64_t count) {
  const int64_t n = call.atoms;
  T *x = scratch, *g = scratch + n * 3 * lanes<T>;
  const PairPotential<T, Pair> of(call, begin, count);
  gather(call.positions, begin, count, 3 * n, of.limit, of.inverse_length, x);
  const Pair<T> pair = of.pair;
  Vec<T> energy{};
  for_each_two_rows(
      n, [&](int64_t i, auto many) { compute_rows<T, many>(i, x, g, pair, energy); });
  energy *= of.energy_unit;
  for (int l = 0; l < count; ++l) call.energy[begin + l] = energy[l];
  scatter(g, begin, count, 3 * n, of.gradient_unit, call.gradient);
}

// The same sums in the same order, for one replica with its atoms in lanes.
template <class T, template <class> class Pair>
void compute_one_of_pairs(const Pairs<T>& call, T* scratch, int64_t replica) {
  const PairPotential<T, Pair> of(call, replica, 1);
  const Atoms<T> atoms(call.positions.at(replica), call.atoms, of.limit,
                       of.inverse_length, scratch);
  const Pair<T> pair = of.pair;
  T energy = 0;
  atoms.for_each_vector([&](int64_t at, int64_t end) {
    PairSums<T, 1> sums;
    const Group<T, 1> here(atoms.load_vector(at));
    auto meet = [&](int64_t j) {
      sums.add_pairs(here.subtract(atoms.repeat_atom(j)), pair, Space<T>{});
    };
    for (int64_t j = 0; j < at; ++j) meet(j);
    for (int64_t j = at; j < end; ++j) {
      // An atom exerts no force on itself; energies are those with the atoms before it.
      const Vec<T> before = sums.energy[0];
      meet(j);
      sums.energy[0] =
          select<T>(get_lane_numbers<T>() > to_lane<T>(j - at), sums.energy[0], before);
    }
    for (int64_t k = at; k < end; ++k) energy += sums.energy[0][k - at];
    for (int64_t j = end; j < call.atoms; ++j) meet(j);
    atoms.store_gradient(of.gradient_unit * sums.force[0], at, call.gradient, replica);
  });
  call.energy[replica] = energy * of.energy_unit[0];
}

// The energy of each atom: half of that of its pairs.
template <class T, template <class> class Pair>
void compute_atom_energies(const Pairs<T>& call, T* scratch, int64_t replica) {
  const PairPotential<T, Pair> of(call, replica, 1);
  const Atoms<T> atoms(call.positions.at(replica), call.atoms, of.limit,
                       of.inverse_length, scratch);
  atoms.for_each_vector([&](int64_t at, int64_t end) {
    const Group<T, 1> here(atoms.load_vector(at));
    Vec<T> energy[1] = {}, weight[1];
    for (int64_t j = 0; j < call.atoms; ++j) {
      const Vec<T> before = energy[0];
      of.pair(here.subtract(atoms.repeat_atom(j)).squared, energy, weight);
      if (at <= j && j < end)
        energy[0] = select<T>(get_lane_numbers<T>() == to_lane<T>(j - at), before, energy[0]);
    }
    store_part(call.atom_energies + replica * call.atoms, at, call.atoms,
               T(0.5) * of.energy_unit * energy[0]);
  });
}

template <class T, template <class> class Pair>
void compute_pairs(const Pairs<T>& call, T* scratch, int64_t begin, int64_t end) {
  if (call.atom_energies) {
    for (; begin < end; ++begin) compute_atom_energies<T, Pair>(call, scratch, begin);
    return;
  }
  for_each_block<T>(
      begin, end, call.atoms,
      [&](int64_t r, int64_t count) {
        compute_block_of_pairs<T, Pair>(call, scratch, r, count);
      },
      [&](int64_t r) { compute_one_of_pairs<T, Pair>(call, scratch, r); });
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
    compute_pairs<T, LennardJones>(call, scratch, begin, end);
  else
    compute_pairs<T, Morse>(call, scratch, begin, end);
}

template int64_t pairs_scratch(const Pairs<float>&);
template int64_t pairs_scratch(const Pairs<double>&);
template void pairs(const Pairs<float>&, float*, int64_t, int64_t);
template void pairs(const Pairs<double>&, double*, int64_t, int64_t);

}  // namespace HOPGYM_ISA
}  // namespace hopgym
