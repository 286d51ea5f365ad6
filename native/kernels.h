// Arguments of the kernels. A replica is one structure with its own state.

#pragma once

#include <cstdint>
#include <string_view>

namespace hopgym {

constexpr int kMostInputs = 256;  // inputs of a component or an atom; also hidden units
constexpr int kMostPeriods = 16;  // sines of the step
constexpr int kLog2Degree = 8;    // degree of the polynomial for the logarithm

// Degrees of the polynomials for the Gaussians of symmetry functions and their cutoff.
template <class T>
constexpr int kDegree = sizeof(T) == 4 ? 7 : 15;
template <class T>
constexpr int kCutoffDegree = sizeof(T) == 4 ? 7 : 18;

template <class T>
struct Operand {
  const T* data;
  int64_t stride;          // from one replica to the next, 0 if all share the data
  const int64_t* offsets;  // of each replica if there is no common stride, else nullptr

  bool shared() const { return stride == 0 && !offsets; }

  const T* at(int64_t replica) const {
    return data + (offsets ? offsets[replica] : replica * stride);
  }
};

// Constants of the radial symmetry functions: the same in all calls.
struct RadialConstants {
  int kinds, etas;
  bool periodic;
  const double* cutoff;     // polynomial for the cutoff function, lowest power first
  const double* gaussians;  // (degree + 1, etas): polynomials for the Gaussians
  double cutoff_radius;
};

template <class T>
struct RadialFunctions {
  const RadialConstants* constants;
  int64_t atoms;
  Operand<T> positions, box;
  Operand<int32_t> species;
  T* functions;  // (replicas, atoms, kinds * etas)
};

// Groups of inputs of the learned optimizer (Table 1 of the paper), and their names in
// Python.
enum class Feature { gradients, positions, decays, adam, singular, species, step, radial };

constexpr struct {
  std::string_view name;
  Feature feature;
} kFeatures[] = {
    {"gradients", Feature::gradients}, {"positions", Feature::positions},
    {"decays", Feature::decays},       {"adam", Feature::adam},
    {"singular", Feature::singular},   {"species", Feature::species},
    {"step", Feature::step},           {"radial", Feature::radial},
};

// Constants of the learned optimizer: the same in all calls.
struct LearnedConstants {
  RadialConstants radial;
  uint32_t features;  // a bit for each group of inputs
  int decays;
  int periods;
  const double* decay;
  const double* period;
  const double* log2;  // polynomial for the logarithm, lowest power first
  double epsilon;
  double gradient_limit;
  double direction_limit;
  double atoms_unit;
  double log_scale;  // p: inputs are log|x| / p

  bool has(Feature feature) const { return features >> int(feature) & 1; }
  void add(Feature feature) { features |= uint32_t(1) << int(feature); }

  // The number of inputs of a group, that is, of rows of weights in the first layer. A number
  // of any magnitude has two inputs, its logarithm and its sign.
  int64_t count_inputs(Feature feature) const {
    if (!has(feature)) return 0;
    switch (feature) {
      case Feature::gradients:
      case Feature::positions:
        return 2;
      case Feature::decays:
      case Feature::adam:
        return 4 * decays;
      case Feature::singular:
        return 1;
      case Feature::species:
        return radial.kinds == 2 ? 2 : 0;
      case Feature::step:
        return periods;
      case Feature::radial:
        return 2 * radial.kinds * radial.etas;
    }
    return 0;
  }

  // Numbers of inputs of each component, of each atom, and of the step.
  int64_t count_component_inputs() const {
    return count_inputs(Feature::gradients) + count_inputs(Feature::positions) +
           count_inputs(Feature::decays) + count_inputs(Feature::adam);
  }
  int64_t count_atom_inputs() const {
    return count_inputs(Feature::species) + count_inputs(Feature::radial);
  }
  int64_t count_step_inputs() const {
    return count_inputs(Feature::singular) + count_inputs(Feature::step);
  }
};

template <class T>
struct LearnedStep {
  const LearnedConstants* constants;
  int64_t atoms;
  int64_t components;  // 3 atoms, padded
  int64_t hidden;
  int64_t inner_layers;
  Operand<T> gradient, positions, first, second;
  Operand<int32_t> step, species;
  Operand<T> box, length, energy_unit;
  Operand<T> log_alpha, beta, gamma;
  Operand<T> component_weights, atom_weights, step_weights, bias;  // of the first layer
  Operand<T> inner_weights, inner_bias, output_weights, output_bias;
  T* displacement;  // (replicas, atoms, 3)
  T* next_first;    // (replicas, decays, components)
  T* next_second;
};

// Results of all potentials: energy and gradient, or the energies of atoms.
template <class T>
struct PotentialResults {
  T* energy;
  T* gradient;
  T* atom_energies;  // nullptr if energy and gradient are to be computed
};

enum class PairKind { lennard_jones, morse };

template <class T>
struct Pairs : PotentialResults<T> {
  PairKind kind;
  int64_t atoms;
  double position_limit;
  Operand<T> positions;
  Operand<T> epsilon, d0, core;
  Operand<T> rho;  // Morse only
};

template <class T>
struct Gupta : PotentialResults<T> {
  int64_t atoms;
  int kinds;  // number of species, 1 or 2
  double position_limit;
  double smallest_density;
  Operand<T> positions;
  Operand<int32_t> species;
  Operand<T> log_a, p, log_xi, q;  // (kinds, kinds): exponents log_a - p r, log_xi - q r
  Operand<T> core;
  Operand<T> length;  // scale of the position limit
};

template <class T>
struct StillingerWeber : PotentialResults<T> {
  int64_t atoms;
  double position_limit;
  double cut;      // fraction of the cutoff at which bonds are cut
  int64_t images;  // number of interacting images on each side of the nearest one
  Operand<T> positions, box;
  Operand<T> a, big_a, big_b, epsilon, sigma, strength, gamma, core;
};

// Limits in the operand `limits` of L-BFGS, by position (`LIMITS` in Python): the force at
// convergence, the length of a step, H while the history is empty, the rise of the energy.
enum class LbfgsLimit { force, step, first, rise };

// An update of L-BFGS.
template <class T>
struct Lbfgs {
  int64_t atoms, memory;
  Operand<T> gradient, positions, value;
  Operand<T> limits;
  Operand<int32_t> patience;
  Operand<bool> fresh;
  T* displacement;
  bool* finished;
  T *last_positions, *last_gradient, *last_energy;
  T* trial;
  T* pairs;  // (2 memory, 3 atoms): steps, then changes of the gradient
  T *sy, *yy, *inverse;
  int32_t *shortened, *flat;
};

constexpr int kMostOperations = 120;  // of a point group

// Moves of clusters (hopgym/optimizers/symmetry/cluster_move.py).
enum class MoveKind : int32_t {
  none,
  start,
  drop,
  exchange,
  shake,
  search_surface,
  search_or_move,
  move_weakest,
  symmetrise,
  shake_freely,
};

template <class T>
struct ClusterMove {
  int64_t atoms, groups, most_operations;
  int32_t kinds;  // number of species
  Operand<T> positions, frame, length, reach;
  Operand<T> operations;  // (groups, most_operations, 3, 3)
  Operand<int32_t> orders;  // of the groups
  Operand<int32_t> species, group, kind, count, seed;
  T* proposal;
};

// A displacement of all atoms (hopgym/environment.py).
template <class T>
struct Displace {
  int64_t atoms;
  double position_limit;
  Operand<T> update;
  T* positions;
  int32_t* faults;
};

// What is recorded of an evaluation (hopgym/environment.py).
template <class T>
struct Record {
  int64_t atoms;
  Operand<T> positions, energy, level;
  T *best_positions, *best_energy;
  int32_t *first_hit, *step, *evaluations;
};

// Defined for each instruction set: the size of the scratch memory, and the kernel itself,
// for the replicas from `begin` to `end`.
#define HOPGYM_KERNEL(name, Call)              \
  template <class T>                           \
  int64_t name##_scratch(const Call<T>& call); \
  template <class T>                           \
  void name(const Call<T>& call, T* scratch, int64_t begin, int64_t end);

#define HOPGYM_DECLARE(isa)                        \
  namespace isa {                                  \
  HOPGYM_KERNEL(pairs, Pairs)                      \
  HOPGYM_KERNEL(gupta, Gupta)                      \
  HOPGYM_KERNEL(stillinger_weber, StillingerWeber) \
  HOPGYM_KERNEL(radial_functions, RadialFunctions) \
  HOPGYM_KERNEL(learned_step, LearnedStep)         \
  HOPGYM_KERNEL(lbfgs, Lbfgs)                      \
  HOPGYM_KERNEL(cluster_move, ClusterMove)         \
  HOPGYM_KERNEL(displace, Displace)                \
  HOPGYM_KERNEL(record, Record)                    \
  }

HOPGYM_DECLARE(baseline)
HOPGYM_DECLARE(avx2)
HOPGYM_DECLARE(avx512)

#undef HOPGYM_DECLARE
#undef HOPGYM_KERNEL

}  // namespace hopgym
