// Energy and gradient of pair potentials. Replicas are in lanes, so that each pair is
// computed once and nothing is summed across lanes; of few replicas, atoms.

#include "kernels.h"

namespace {

using hopgym::Pairs;

// What pairs add: to energies, and to the gradient by its weight of the difference vector,
// in units of `kWeight`. A few pairs at once, since each waits long for its own results.
//
// hopgym/potentials/lennard_jones.py.
template <class T>
struct LennardJones {
  static constexpr T kWeight = 12;

  LennardJones(const Pairs<T>& call, int64_t begin, int64_t count) {
    const Vec<T> core = parameter(call.core, begin, count);
    core2 = core * core;
    edge = T(1) / core2;
    slope = T(6) * edge * edge * (edge * edge * edge - T(1));
  }

  template <int many>
  HOPGYM_INLINE void operator()(const Vec<T> (&squared)[many], Vec<T> (&energy)[many],
                                Vec<T> (&weight)[many]) const {
    // Lanes are computed alike whether others overlap or not.
    const bool overlap = any_below(least<T>(squared), core2);
    HOPGYM_UNROLL
    for (int k = 0; k < many; ++k) {
      Vec<T> r2 = reciprocal(squared[k]);
      if (__builtin_expect(overlap, false)) r2 = choose<T>(squared[k] < core2, edge, r2);
      const Vec<T> r6 = r2 * r2 * r2, difference = r6 - r6 * r6;
      energy[k] -= difference + r6;
      weight[k] = difference * r2;
    }
    if (__builtin_expect(overlap, false))
      for (int k = 0; k < many; ++k)
        energy[k] += choose<T>(squared[k] < core2,
                               slope * edge * (T(1) - squared[k] * edge), Vec<T>{});
  }

  Vec<T> core2, edge, slope;
};

// hopgym/potentials/morse.py.
template <class T>
struct Morse {
  static constexpr T kWeight = -2;

  Morse(const Pairs<T>& call, int64_t begin, int64_t count)
      : soft(parameter(call.core, begin, count)), rho(parameter(call.rho, begin, count)) {}

  template <int many>
  HOPGYM_INLINE void operator()(const Vec<T> (&squared)[many], Vec<T> (&energy)[many],
                                Vec<T> (&weight)[many]) const {
    const Distances<T, many> distance = soft.distances(squared);
    HOPGYM_UNROLL
    for (int k = 0; k < many; ++k) {
      const Vec<T> bond = exponential<T>(rho * (T(1) - distance.length[k]));
      energy[k] += bond * (bond - T(2));
      weight[k] = rho * bond * (bond - T(1)) * distance.inverse[k];
    }
  }

  SoftCore<T> soft;
  Vec<T> rho;
};

// A potential with the parameters of a block, and its units.
template <class T, template <class> class Pair>
struct PairsOf {
  PairsOf(const Pairs<T>& call, int64_t begin, int64_t count) : pair(call, begin, count) {
    const Vec<T> d0 = parameter(call.d0, begin, count);
    energy_unit = parameter(call.epsilon, begin, count);
    inverse_length = T(1) / d0;
    gradient_unit = Pair<T>::kWeight * (energy_unit / d0);
  }

  Pair<T> pair;
  Vec<T> energy_unit, inverse_length, gradient_unit;
};

// A few atoms, and what the others that they meet add up to.
template <class T, int many>
struct Meeting {
  // Returns the gradient of the other atom, which had `others` before.
  template <class Pair>
  HOPGYM_INLINE Space<T> with(const Apart<T, many>& apart, const Pair& pair, Space<T> others) {
    Vec<T> weight[many];
    pair(apart.squared, energy, weight);
    HOPGYM_UNROLL
    for (int k = 0; k < many; ++k) {
      force[k] = force[k] + weight[k] * apart.d[k];
      others = others - weight[k] * apart.d[k];
    }
    return others;
  }

  Vec<T> energy[many] = {};  // sums of sums lose less
  Space<T> force[many] = {};
};

// So many atoms from `i` on meet all before them, and each other.
template <class T, int many, class Pair>
HOPGYM_INLINE void rows(int64_t i, const T* x, T* g, const Pair& pair, Vec<T>& energy) {
  const Here<T, many> here(i, x);
  Meeting<T, many> meeting;
  auto itself = [](const Apart<T, many>& apart) { return apart; };
  by_others(here, i, x, itself, [&](int64_t j, const Apart<T, many>& apart) {
    T* const other = g + j * 3 * lanes<T>;
    store_space(other, meeting.with(apart, pair, load_space(other)));
  });
  if constexpr (many == 2) {
    Meeting<T, 1> last{{meeting.energy[1]}, {meeting.force[1]}};
    const Apart<T, 1> apart = Here<T, 1>(here.atom[1]).from(here.atom[0]);
    meeting.force[0] = last.with(apart, pair, meeting.force[0]);
    meeting.energy[1] = last.energy[0];
    meeting.force[1] = last.force[0];
  }
  HOPGYM_UNROLL
  for (int k = 0; k < many; ++k) {
    energy += meeting.energy[k];
    store_space(g + (i + k) * 3 * lanes<T>, meeting.force[k]);
  }
}

// The replicas of a block, whose positions and gradient take 6 vectors for every atom.
template <class T, template <class> class Pair>
void pairs_of_block(const Pairs<T>& call, T* scratch, int64_t begin, int64_t count) {
  const int64_t n = call.atoms;
  T *x = scratch, *g = scratch + n * 3 * lanes<T>;
  const PairsOf<T, Pair> of(call, begin, count);
  gather(call.positions, begin, count, 3 * n, T(call.position_limit), of.inverse_length, x);
  const Pair<T> pair = of.pair;
  Vec<T> energy{};
  by_rows(n, [&](int64_t i, auto many) { rows<T, many>(i, x, g, pair, energy); });
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
    Meeting<T, 1> meeting;
    const Here<T, 1> here(atoms.from(at));
    auto meet = [&](int64_t j) { meeting.with(here.from(atoms.each(j)), pair, Space<T>{}); };
    for (int64_t j = 0; j < at; ++j) meet(j);
    for (int64_t j = at; j < end; ++j) {
      // Of itself an atom feels no force. It counts the energy with those before it.
      const Vec<T> before = meeting.energy[0];
      meet(j);
      meeting.energy[0] =
          choose<T>(lane_numbers<T>() > lane<T>(j - at), meeting.energy[0], before);
    }
    for (int64_t k = at; k < end; ++k) energy += meeting.energy[0][k - at];
    for (int64_t j = end; j < call.atoms; ++j) meet(j);
    atoms.put(of.gradient_unit * meeting.force[0], at, call.gradient, replica);
  });
  call.energy[replica] = energy * of.energy_unit[0];
}

// Half of what each atom shares with all others.
template <class T, template <class> class Pair>
void atom_energies_of_one(const Pairs<T>& call, T* scratch, int64_t replica) {
  const PairsOf<T, Pair> of(call, replica, 1);
  const Atoms<T> atoms(call.positions.at(replica), call.atoms, T(call.position_limit),
                       of.inverse_length, scratch);
  atoms.by_vectors([&](int64_t at, int64_t end) {
    const Here<T, 1> here(atoms.from(at));
    Vec<T> energy[1] = {}, weight[1];
    for (int64_t j = 0; j < call.atoms; ++j) {
      const Vec<T> before = energy[0];
      of.pair(here.from(atoms.each(j)).squared, energy, weight);
      if (at <= j && j < end)
        energy[0] = choose<T>(lane_numbers<T>() == lane<T>(j - at), before, energy[0]);
    }
    keep(call.atom_energies + replica * call.atoms, at, call.atoms,
         T(0.5) * of.energy_unit * energy[0]);
  });
}

template <class T, template <class> class Pair>
void pairs_of(const Pairs<T>& call, T* scratch, int64_t begin, int64_t end) {
  if (call.atom_energies) {
    for (; begin < end; ++begin) atom_energies_of_one<T, Pair>(call, scratch, begin);
    return;
  }
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
