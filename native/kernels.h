// What the kernels are called with. One replica is one structure with its own state.

#pragma once

#include <cstdint>

namespace hopgym {

constexpr int kMostInputs = 256;  // of a component or an atom, and hidden units
constexpr int kMostPeriods = 16;  // sines of the step
constexpr int kLog2Degree = 8;    // of the polynomial for the logarithm

// Degrees of the polynomials for the Gaussians of symmetry functions and their cutoff.
template <class T>
constexpr int kDegree = sizeof(T) == 4 ? 7 : 15;
template <class T>
constexpr int kCutoffDegree = sizeof(T) == 4 ? 7 : 18;

template <class T>
struct Operand {
  const T* data;
  int64_t stride;          // from one replica to the next, 0 if all share it
  const int64_t* offsets;  // of every replica, where no stride gives them, or nullptr

  bool shared() const { return stride == 0 && !offsets; }

  const T* at(int64_t replica) const {
    return data + (offsets ? offsets[replica] : replica * stride);
  }
};

// Constants of radial symmetry functions: the same in all calls.
struct RadialConstants {
  int kinds, etas;
  bool periodic;
  const double* cutoff;  // coefficients of the cutoff function, lowest first
  const double* table;   // (degree + 1, etas): functions from moments
  double radius;         // of the cutoff
};

template <class T>
struct RadialFunctions {
  const RadialConstants* constants;
  int64_t atoms;
  Operand<T> positions, box;
  Operand<int32_t> species;
  T* functions;  // (replicas, atoms, kinds * etas)
};

// Constants of the learned optimizer: the same in all calls.
struct LearnedConstants {
  RadialConstants radial;
  int features;  // bits, in the order of Table 1
  int decays;
  int periods;
  const double* decay;
  const double* period;
  const double* log2;  // coefficients of the logarithm
  double epsilon;
  double gradient_limit;
  double direction_limit;
  double atoms_unit;
  double logarithms;  // p: log|x| / p
};

template <class T>
struct LearnedStep {
  const LearnedConstants* constants;
  int64_t atoms;
  int64_t components;  // 3 atoms, filled up
  int64_t hidden;
  int64_t inner_layers;
  Operand<T> gradient, positions, first, second;
  Operand<int32_t> step, species;
  Operand<T> box, length, energy;
  Operand<T> log_alpha, beta, gamma;
  Operand<T> of_component, of_atom, of_step, bias, inner, inner_bias, output, output_bias;
  T* moved;       // (replicas, atoms, 3)
  T* next_first;  // (replicas, decays, components)
  T* next_second;
};

enum class PairKind { lennard_jones, morse };

constexpr int kMostParameters = 4;

template <class T>
struct Pairs {
  PairKind kind;
  int64_t atoms;
  double position_limit;
  int count;
  Operand<T> positions;
  Operand<T> parameters[kMostParameters];  // epsilon, d0, core, and the kind's own
  T* energy;
  T* gradient;
  T* atom_energies;  // alone where it is given
};

template <class T>
struct Gupta {
  int64_t atoms;
  int kinds;  // of species, 1 or 2
  double position_limit;
  double smallest_density;
  Operand<T> positions;
  Operand<int32_t> species;
  Operand<T> log_a, p, log_xi, q;  // (kinds, kinds): exponents log_a - p r, log_xi - q r
  Operand<T> core;
  T* energy;
  T* gradient;
  T* atom_energies;  // alone where it is given
};

constexpr int kSiliconParameters = 8;

template <class T>
struct StillingerWeber {
  int64_t atoms;
  double position_limit;
  double cut;      // fraction of the cutoff at which bonds are cut
  int64_t images;  // that are met on each side of the nearest one
  Operand<T> positions, box;
  Operand<T> parameters[kSiliconParameters];  // in the order of the class in Python
  T* energy;
  T* gradient;
  T* atom_energies;  // alone where it is given
};

// History and direction of L-BFGS.
template <class T>
struct Lbfgs {
  int64_t coordinates, memory;
  Operand<T> gradient, positions, last_gradient, last_positions;
  Operand<T> first;       // H before there is a history
  Operand<int32_t> keep;  // whether the last step may be remembered
  T* step;
  T* pairs;  // (2 memory, coordinates): steps, then changes of the gradient
  T *sy, *yy, *inverse;
};

// Defined once for each instruction set: room for temporary numbers, and replicas from
// `begin` to `end`.
#define HOPGYM_KERNEL(name, Call)                                                      \
  template <class T>                                                                   \
  int64_t name##_scratch(const Call<T>& call);                                         \
  template <class T>                                                                   \
  void name(const Call<T>& call, T* scratch, int64_t begin, int64_t end);

#define HOPGYM_DECLARE(isa)                                                            \
  namespace isa {                                                                      \
  HOPGYM_KERNEL(pairs, Pairs)                                                          \
  HOPGYM_KERNEL(gupta, Gupta)                                                          \
  HOPGYM_KERNEL(stillinger_weber, StillingerWeber)                                     \
  HOPGYM_KERNEL(radial_functions, RadialFunctions)                                     \
  HOPGYM_KERNEL(learned_step, LearnedStep)                                             \
  HOPGYM_KERNEL(lbfgs, Lbfgs)                                                          \
  }

HOPGYM_DECLARE(baseline)
HOPGYM_DECLARE(avx2)
HOPGYM_DECLARE(avx512)

#undef HOPGYM_DECLARE
#undef HOPGYM_KERNEL

}  // namespace hopgym
