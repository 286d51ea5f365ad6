// Handlers of XLA's foreign function interface: they read a call and run its kernel.
// hopgym/native.py registers them under their symbols' names.

#include <algorithm>
#include <cstdint>

#include "call_frame.h"
#include "kernels.h"
#include "run_kernel.h"
#include "xla/ffi/api/ffi.h"

namespace hopgym {
namespace {

using Numbers = ffi::Span<const double>;

// Reads the batch and the results, which are the same for all potentials. Returns the number
// of atoms.
template <class T>
int64_t read_results(CallFrame& frame, PotentialResults<T>& results) {
  if (frame.has_result("energy") || frame.has_result("gradient")) {
    const int64_t atoms = frame.read_batch("gradient", 2);
    results.energy = frame.result<T>("energy", {});
    results.gradient = frame.result<T>("gradient", {atoms, 3});
    return atoms;
  }
  const int64_t atoms = frame.read_batch("atom_energies", 1);
  results.atom_energies = frame.result<T>("atom_energies", {atoms});
  return atoms;
}

// Number of replicas that a thread takes at a time: whole blocks, about 10 microseconds.
int64_t count_piece(int64_t atoms, int64_t pairs) {
  return 16 * std::max<int64_t>(1, pairs / (atoms * atoms));
}

template <class T>
ffi::Error compute_pairs(PairKind kind, CallFrame& frame, ffi::ThreadPool& pool) {
  Pairs<T> call{};
  call.kind = kind;
  call.atoms = read_results(frame, call);
  call.position_limit = frame.attribute<double>("position_limit");
  call.positions = frame.operand<T>("positions", {call.atoms, 3});
  call.epsilon = frame.operand<T>("epsilon", {});
  call.d0 = frame.operand<T>("d0", {});
  call.core = frame.operand<T>("core", {});
  if (kind == PairKind::morse) call.rho = frame.operand<T>("rho", {});
  if (auto error = frame.error(); error.failure()) return error;
  return HOPGYM_RUN(T, pairs, call, pool, frame.replicas(), count_piece(call.atoms, 4000));
}

template <class T>
ffi::Error compute_lennard_jones(CallFrame& frame, ffi::ThreadPool& pool) {
  return compute_pairs<T>(PairKind::lennard_jones, frame, pool);
}

template <class T>
ffi::Error compute_morse(CallFrame& frame, ffi::ThreadPool& pool) {
  return compute_pairs<T>(PairKind::morse, frame, pool);
}

template <class T>
ffi::Error compute_gupta(CallFrame& frame, ffi::ThreadPool& pool) {
  Gupta<T> call{};
  call.atoms = read_results(frame, call);
  call.position_limit = frame.attribute<double>("position_limit");
  call.smallest_density = frame.attribute<double>("smallest_density");
  const int64_t kinds = frame.attribute<int64_t>("kinds");
  if (kinds != 1 && kinds != 2) frame.refuse("attribute kinds", "must be 1 or 2");
  call.kinds = int(kinds);
  call.positions = frame.operand<T>("positions", {call.atoms, 3});
  call.species = frame.operand<int32_t>("species", {call.atoms});
  call.log_a = frame.operand<T>("log_a", {kinds, kinds});
  call.p = frame.operand<T>("p", {kinds, kinds});
  call.log_xi = frame.operand<T>("log_xi", {kinds, kinds});
  call.q = frame.operand<T>("q", {kinds, kinds});
  call.core = frame.operand<T>("core", {});
  call.length = frame.operand<T>("length", {});
  if (auto error = frame.error(); error.failure()) return error;
  return HOPGYM_RUN(T, gupta, call, pool, frame.replicas(), count_piece(call.atoms, 3000));
}

template <class T>
ffi::Error compute_stillinger_weber(CallFrame& frame, ffi::ThreadPool& pool) {
  StillingerWeber<T> call{};
  call.atoms = read_results(frame, call);
  call.position_limit = frame.attribute<double>("position_limit");
  call.cut = frame.attribute<double>("cut");
  call.images = frame.attribute<int64_t>("images");
  call.positions = frame.operand<T>("positions", {call.atoms, 3});
  call.box = frame.operand<T>("box", {3});
  call.a = frame.operand<T>("a", {});
  call.big_a = frame.operand<T>("big_a", {});
  call.big_b = frame.operand<T>("big_b", {});
  call.epsilon = frame.operand<T>("epsilon", {});
  call.sigma = frame.operand<T>("sigma", {});
  call.strength = frame.operand<T>("strength", {});
  call.gamma = frame.operand<T>("gamma", {});
  call.core = frame.operand<T>("core", {});
  if (auto error = frame.error(); error.failure()) return error;
  return HOPGYM_RUN(T, stillinger_weber, call, pool, frame.replicas(),
                    count_piece(call.atoms, 3000));
}

template <class T>
RadialConstants read_radial_constants(CallFrame& frame) {
  RadialConstants radial{};
  const auto cutoff = frame.attribute<Numbers>("cutoff");
  if (cutoff.size() != kCutoffDegree<T> + 1)
    frame.refuse("attribute cutoff", "has another degree than the kernel was made for");
  radial.cutoff = cutoff.begin();
  radial.cutoff_radius = frame.attribute<double>("cutoff_radius");
  const auto gaussians = frame.attribute<Numbers>("gaussians");
  if (gaussians.size() % (kDegree<T> + 1) != 0)
    frame.refuse("attribute gaussians", "has another degree than the kernel was made for");
  radial.gaussians = gaussians.begin();
  radial.etas = int(gaussians.size() / (kDegree<T> + 1));
  radial.kinds = int(frame.attribute<int64_t>("kinds"));
  radial.periodic = frame.attribute<bool>("periodic");
  return radial;
}

template <class T>
ffi::Error compute_radial_functions(CallFrame& frame, ffi::ThreadPool& pool) {
  const RadialConstants constants = read_radial_constants<T>(frame);
  RadialFunctions<T> call{};
  call.constants = &constants;
  const int64_t n = call.atoms = frame.read_batch("functions", 2);
  call.functions = frame.result<T>("functions", {n, constants.kinds * constants.etas});
  call.positions = frame.operand<T>("positions", {n, 3});
  call.species = frame.operand<int32_t>("species", {n});
  call.box = frame.operand<T>("box", {3});
  if (auto error = frame.error(); error.failure()) return error;
  return HOPGYM_RUN(T, radial_functions, call, pool, frame.replicas(),
                    std::max<int64_t>(1, 1000 / n));  // some 20 microseconds
}

template <class T>
LearnedConstants read_learned_constants(CallFrame& frame) {
  LearnedConstants constants{};
  constants.radial = read_radial_constants<T>(frame);
  const auto periods = frame.attribute<Numbers>("periods");
  if (periods.size() > kMostPeriods)
    frame.refuse("attribute periods", "has more than " + std::to_string(kMostPeriods));
  constants.periods = int(periods.size());
  constants.period = periods.begin();
  constants.atoms_unit = frame.attribute<double>("atoms_unit");
  const auto decays = frame.attribute<Numbers>("decays");
  constants.decays = int(decays.size());
  constants.decay = decays.begin();
  constants.direction_limit = frame.attribute<double>("direction_limit");
  constants.epsilon = frame.attribute<double>("epsilon");
  const auto list = frame.attribute<std::string_view>("features");
  Names features(list, count_names(list));
  for (const auto& [name, feature] : kFeatures)
    if (features.find(name) >= 0) constants.add(feature);
  if (const auto unknown = features.find_unused(); !unknown.empty())
    frame.refuse("feature " + std::string(unknown), "is unknown");
  constants.gradient_limit = frame.attribute<double>("gradient_limit");
  const auto log2 = frame.attribute<Numbers>("log2");
  if (log2.size() != kLog2Degree + 1)
    frame.refuse("attribute log2", "has another degree than the kernel was made for");
  constants.log2 = log2.begin();
  constants.log_scale = frame.attribute<double>("log_scale");
  return constants;
}

template <class T>
ffi::Error compute_learned_step(CallFrame& frame, ffi::ThreadPool& pool) {
  const LearnedConstants constants = read_learned_constants<T>(frame);
  const int64_t of_component = constants.count_component_inputs(),
                of_atom = constants.count_atom_inputs(),
                of_step = constants.count_step_inputs(), decays = constants.decays;
  LearnedStep<T> call{};
  call.constants = &constants;
  const int64_t width = call.components = frame.attribute<int64_t>("components");
  const int64_t hidden = call.hidden = frame.attribute<int64_t>("hidden");
  const int64_t layers = call.inner_layers = frame.attribute<int64_t>("inner_layers");
  const int64_t n = call.atoms = frame.read_batch("displacement", 2);
  if (width < 3 * n) frame.refuse("attribute components", "is less than three for each atom");
  if (std::max({hidden, of_component, of_atom}) > kMostInputs)
    frame.refuse("inputs or hidden units", "are more than " + std::to_string(kMostInputs));
  call.displacement = frame.result<T>("displacement", {n, 3});
  call.next_first = frame.result<T>("next_first", {decays, width});
  call.next_second = frame.result<T>("next_second", {decays, width});
  call.gradient = frame.operand<T>("gradient", {n, 3});
  call.positions = frame.operand<T>("positions", {n, 3});
  call.first = frame.operand<T>("first", {decays, width});
  call.second = frame.operand<T>("second", {decays, width});
  call.step = frame.operand<int32_t>("step", {});
  call.species = frame.operand<int32_t>("species", {n});
  call.box = frame.operand<T>("box", {3});
  call.length = frame.operand<T>("length", {});
  call.energy_unit = frame.operand<T>("energy_unit", {});
  call.log_alpha = frame.operand<T>("log_alpha", {});
  call.beta = frame.operand<T>("beta", {});
  call.gamma = frame.operand<T>("gamma", {});
  call.component_weights = frame.operand<T>("component_weights", {of_component, hidden});
  call.atom_weights = frame.operand<T>("atom_weights", {of_atom, hidden});
  call.step_weights = frame.operand<T>("step_weights", {of_step, hidden});
  call.bias = frame.operand<T>("bias", {hidden});
  call.inner_weights = frame.operand<T>("inner_weights", {layers, hidden, hidden});
  call.inner_bias = frame.operand<T>("inner_bias", {layers, hidden});
  call.output_weights = frame.operand<T>("output_weights", {hidden, 2});
  call.output_bias = frame.operand<T>("output_bias", {2});
  if (auto error = frame.error(); error.failure()) return error;
  return HOPGYM_RUN(T, learned_step, call, pool, frame.replicas(),
                    std::max<int64_t>(1, 400 / n));  // some 50 microseconds
}

template <class T>
ffi::Error compute_lbfgs(CallFrame& frame, ffi::ThreadPool& pool) {
  Lbfgs<T> call{};
  const int64_t n = call.atoms = frame.read_batch("displacement", 2);
  const int64_t m = call.memory = frame.attribute<int64_t>("memory");
  call.displacement = frame.result<T>("displacement", {n, 3});
  call.finished = frame.result<bool>("finished", {});
  call.gradient = frame.operand<T>("gradient", {n, 3});
  call.positions = frame.operand<T>("positions", {n, 3});
  call.value = frame.operand<T>("value", {});
  call.limits = frame.operand<T>("limits", {4});
  call.patience = frame.operand<int32_t>("patience", {});
  call.fresh = frame.operand<bool>("fresh", {});
  call.pairs = frame.changed_in_place<T>("pairs", {2 * m, 3 * n});
  call.sy = frame.changed_in_place<T>("sy", {m, m});
  call.yy = frame.changed_in_place<T>("yy", {m, m});
  call.inverse = frame.changed_in_place<T>("inverse", {m});
  call.trial = frame.changed_in_place<T>("trial", {n, 3});
  call.shortened = frame.changed_in_place<int32_t>("shortened", {});
  call.flat = frame.changed_in_place<int32_t>("flat", {});
  call.last_positions = frame.changed_in_place<T>("last_positions", {n, 3});
  call.last_gradient = frame.changed_in_place<T>("last_gradient", {n, 3});
  call.last_energy = frame.changed_in_place<T>("last_energy", {});
  if (auto error = frame.error(); error.failure()) return error;
  // Whole blocks, some 20 microseconds.
  return HOPGYM_RUN(T, lbfgs, call, pool, frame.replicas(),
                    16 * std::max<int64_t>(1, 400 / n));
}

template <class T>
ffi::Error compute_cluster_move(CallFrame& frame, ffi::ThreadPool& pool) {
  ClusterMove<T> call{};
  const int64_t n = call.atoms = frame.read_batch("proposal", 2);
  const int64_t groups = call.groups = frame.attribute<int64_t>("groups");
  call.kinds = int32_t(frame.attribute<int64_t>("kinds"));
  const int64_t most = call.most_operations = frame.attribute<int64_t>("operations");
  if (most > kMostOperations) frame.refuse("attribute operations", "is too large");
  call.proposal = frame.result<T>("proposal", {n, 3});
  call.positions = frame.operand<T>("positions", {n, 3});
  call.species = frame.operand<int32_t>("species", {n});
  call.seed = frame.operand<int32_t>("seed", {2});
  call.kind = frame.operand<int32_t>("kind", {});
  call.count = frame.operand<int32_t>("count", {});
  call.reach = frame.operand<T>("reach", {});
  call.group = frame.operand<int32_t>("group", {});
  call.frame = frame.operand<T>("frame", {3, 3});
  call.length = frame.operand<T>("length", {});
  call.operations = frame.operand<T>("operation_matrices", {groups, most, 3, 3});
  call.orders = frame.operand<int32_t>("orders", {groups});
  if (auto error = frame.error(); error.failure()) return error;
  return HOPGYM_RUN(T, cluster_move, call, pool, frame.replicas(), 1);
}

// Some 20 microseconds of copying.
int64_t count_moved_replicas(int64_t atoms) { return std::max<int64_t>(1, 60000 / atoms); }

template <class T>
ffi::Error compute_displace(CallFrame& frame, ffi::ThreadPool& pool) {
  Displace<T> call{};
  const int64_t n = call.atoms = frame.read_batch("positions", 2);
  call.position_limit = frame.attribute<double>("position_limit");
  call.update = frame.operand<T>("update", {n, 3});
  call.positions = frame.changed_in_place<T>("positions", {n, 3});
  call.faults = frame.changed_in_place<int32_t>("faults", {});
  if (auto error = frame.error(); error.failure()) return error;
  return HOPGYM_RUN(T, displace, call, pool, frame.replicas(), count_moved_replicas(n));
}

template <class T>
ffi::Error compute_record(CallFrame& frame, ffi::ThreadPool& pool) {
  Record<T> call{};
  const int64_t n = call.atoms = frame.read_batch("best_positions", 2);
  call.positions = frame.operand<T>("positions", {n, 3});
  call.energy = frame.operand<T>("energy", {});
  call.level = frame.operand<T>("level", {});
  call.best_positions = frame.changed_in_place<T>("best_positions", {n, 3});
  call.best_energy = frame.changed_in_place<T>("best_energy", {});
  call.first_hit = frame.changed_in_place<int32_t>("first_hit", {});
  call.step = frame.changed_in_place<int32_t>("step", {});
  call.evaluations = frame.changed_in_place<int32_t>("evaluations", {});
  if (auto error = frame.error(); error.failure()) return error;
  return HOPGYM_RUN(T, record, call, pool, frame.replicas(), count_moved_replicas(n));
}

auto bind() {
  return ffi::Ffi::Bind()
      .Ctx<ffi::ThreadPool>()
      .RemainingArgs()
      .RemainingRets()
      .Attrs<Attributes>();
}

}  // namespace
}  // namespace hopgym

#define HOPGYM_HANDLER(symbol, kernel, T)                                     \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(                                              \
      symbol,                                                                 \
      [](hopgym::ffi::ThreadPool pool, hopgym::ffi::RemainingArgs operands,   \
         hopgym::ffi::RemainingRets results, hopgym::Attributes attributes) { \
        hopgym::CallFrame frame(#kernel, operands, results, attributes);      \
        return hopgym::compute_##kernel<T>(frame, pool);                      \
      },                                                                      \
      hopgym::bind())

#define HOPGYM_HANDLERS(kernel)                         \
  HOPGYM_HANDLER(hopgym_##kernel##_f32, kernel, float); \
  HOPGYM_HANDLER(hopgym_##kernel##_f64, kernel, double)

#pragma GCC visibility push(default)
HOPGYM_HANDLERS(lennard_jones);
HOPGYM_HANDLERS(morse);
HOPGYM_HANDLERS(gupta);
HOPGYM_HANDLERS(stillinger_weber);
HOPGYM_HANDLERS(radial_functions);
HOPGYM_HANDLERS(learned_step);
HOPGYM_HANDLERS(lbfgs);
HOPGYM_HANDLERS(cluster_move);
HOPGYM_HANDLERS(displace);
HOPGYM_HANDLERS(record);
#pragma GCC visibility pop
