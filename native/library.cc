// What the library offers to JAX: handlers of XLA's foreign function interface.

#include <atomic>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <vector>

#ifdef HOPGYM_SANITIZE
#include <sanitizer/asan_interface.h>
#endif

#include "kernels.h"
#include "operands.h"
#include "share.h"
#include "xla/ffi/api/c_api.h"
#include "xla/ffi/api/ffi.h"

namespace hopgym {
namespace {

enum class Isa { baseline, avx2, avx512 };

Isa best_isa() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
    return Isa::avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Isa::avx2;
#endif
  return Isa::baseline;
}

Isa isa = best_isa();

// Calls what is compiled for the instruction set in use.
#if defined(__x86_64__)
#define HOPGYM_DISPATCH(function, ...)                            \
  (isa == Isa::avx512 ? avx512::function(__VA_ARGS__)             \
   : isa == Isa::avx2 ? avx2::function(__VA_ARGS__)               \
                      : baseline::function(__VA_ARGS__))
#else
#define HOPGYM_DISPATCH(function, ...) baseline::function(__VA_ARGS__)
#endif

// Numbers that no other call sees, or nothing where there is no room for so many.
template <class T>
T* scratch(int64_t size) {
  thread_local std::unique_ptr<char[]> room;
  thread_local size_t held = 0;
  const size_t bytes = size * sizeof(T) + 64;
  if (held < bytes) {
    room.reset();
    room.reset(new (std::nothrow) char[bytes]);
    held = room ? bytes : 0;
    if (!room) return nullptr;
  }
  const auto address = reinterpret_cast<uintptr_t>(room.get());
  T* const numbers = reinterpret_cast<T*>((address + 63) / 64 * 64);
#ifdef HOPGYM_SANITIZE
  // What is there for alignment, or for other calls, is out of bounds.
  ASAN_POISON_MEMORY_REGION(room.get(), held);
  ASAN_UNPOISON_MEMORY_REGION(numbers, size * sizeof(T));
#endif
  return numbers;
}

ffi::Error wrong(const std::string& problem) {
  return ffi::Error(ffi::ErrorCode::kInvalidArgument, problem);
}

// Shares the replicas of `call`, of which `next` has read the operands, over threads.
#define HOPGYM_RUN(T, kernel, piece)                                                   \
  do {                                                                                 \
    const int64_t size = HOPGYM_DISPATCH(kernel##_scratch<T>, call);                   \
    std::atomic<bool> room{true};                                                      \
    share(pool, next.replicas(), piece, [&](int64_t begin, int64_t end) {              \
      T* const mine = scratch<T>(size);                                                \
      if (mine)                                                                        \
        HOPGYM_DISPATCH(kernel<T>, call, mine, begin, end);                            \
      else                                                                             \
        room = false;                                                                  \
    });                                                                                \
    if (!room)                                                                         \
      return ffi::Error(ffi::ErrorCode::kResourceExhausted,                            \
                        "hopgym: no memory for what a kernel computes with");          \
  } while (false)

// Whether they are those that the library was made for.
template <class T>
bool read(RadialConstants& radial, int64_t kinds, int64_t periodic,
          ffi::Span<const double> cutoff, ffi::Span<const double> table, double radius) {
  radial.kinds = int(kinds);
  radial.periodic = periodic != 0;
  radial.etas = int(table.size() / (kDegree<T> + 1));
  radial.cutoff = cutoff.begin();
  radial.table = table.begin();
  radial.radius = radius;
  return table.size() % (kDegree<T> + 1) == 0 && cutoff.size() == kCutoffDegree<T> + 1;
}

template <class T>
ffi::Error radial(ffi::ThreadPool pool, const ffi::RemainingArgs& arguments,
                  const ffi::RemainingRets& results, int64_t kinds, int64_t periodic,
                  ffi::Span<const double> cutoff, ffi::Span<const double> table,
                  double radius) {
  auto functions = results.get<ffi::AnyBuffer>(0);
  if (!functions || (*functions)->dimensions().size() < 2)
    return wrong("hopgym: functions of atoms have two dimensions");
  const auto shape = (*functions)->dimensions();
  const std::vector<int64_t> batch(shape.begin(), shape.end() - 2);
  const int64_t n = shape[shape.size() - 2];
  RadialConstants constants{};
  if (!read<T>(constants, kinds, periodic, cutoff, table, radius) ||
      kinds * constants.etas != shape[shape.size() - 1])
    return wrong("hopgym: radial functions that the library was not made for");
  Operands next(arguments, batch);
  RadialFunctions<T> call{};
  call.constants = &constants;
  call.atoms = n;
  call.positions = next.next<T>("positions", {n, 3});
  call.species = next.next<int32_t>("species", {n});
  call.box = next.next<T>("box", {3});
  if (!next.problem().empty()) return wrong(next.problem());
  call.functions = static_cast<T*>((*functions)->untyped_data());
  HOPGYM_RUN(T, radial_functions, std::max<int64_t>(1, 1000 / n));  // some 20 microseconds
  return ffi::Error::Success();
}

template <class T>
ffi::Error learned(ffi::ThreadPool pool, const ffi::RemainingArgs& arguments,
                   const ffi::RemainingRets& results, int64_t features, int64_t kinds,
                   int64_t periodic, ffi::Span<const double> decays,
                   ffi::Span<const double> periods, ffi::Span<const double> cutoff,
                   ffi::Span<const double> table, ffi::Span<const double> log2,
                   ffi::Span<const double> numbers) {
  auto moved = results.get<ffi::AnyBuffer>(0);
  auto first = results.get<ffi::AnyBuffer>(1);
  auto second = results.get<ffi::AnyBuffer>(2);
  auto weights = arguments.get<ffi::AnyBuffer>(12);
  auto inner = arguments.get<ffi::AnyBuffer>(16);
  if (!moved || !first || !second || !weights || !inner)
    return wrong("hopgym: operands are missing");
  const auto shape = (*moved)->dimensions();
  if (shape.size() < 2) return wrong("hopgym: a displacement has two dimensions");
  const std::vector<int64_t> batch(shape.begin(), shape.end() - 2);
  const int64_t n = shape[shape.size() - 2];
  const auto averages = (*first)->dimensions();
  const int64_t width = averages[averages.size() - 1];
  const int64_t hidden = weights->dimensions().back();
  const auto inner_shape = inner->dimensions();
  const int64_t layers = inner_shape[batch.size()];

  LearnedConstants constants{};
  constants.features = int(features);
  constants.decays = int(decays.size());
  constants.periods = int(periods.size());
  constants.decay = decays.begin();
  constants.period = periods.begin();
  constants.log2 = log2.begin();
  constants.epsilon = numbers[1];
  constants.gradient_limit = numbers[2];
  constants.direction_limit = numbers[3];
  constants.atoms_unit = numbers[4];
  constants.logarithms = numbers[5];
  if (!read<T>(constants.radial, kinds, periodic, cutoff, table, numbers[0]) ||
      int64_t(log2.size()) != kLog2Degree + 1 || constants.periods > kMostPeriods ||
      width < 3 * n)
    return wrong("hopgym: constants of the learned step that the library was not made for");

  auto bit = [&](int k) { return int64_t(features >> k & 1); };
  const int64_t of_component =
      2 * (bit(0) + bit(1) + 2 * constants.decays * (bit(2) + bit(3)));
  const int64_t of_atom =
      (kinds == 2 ? 2 * bit(5) : 0) + 2 * kinds * constants.radial.etas * bit(7);
  const int64_t of_step = bit(4) + constants.periods * bit(6);

  if (hidden > kMostInputs || of_component > kMostInputs || of_atom > kMostInputs)
    return wrong("hopgym: more inputs or hidden units than the library was made for");

  Operands next(arguments, batch);
  LearnedStep<T> call{};
  call.constants = &constants;
  call.atoms = n;
  call.components = width;
  call.hidden = hidden;
  call.inner_layers = layers;
  call.gradient = next.next<T>("gradient", {n, 3});
  call.positions = next.next<T>("positions", {n, 3});
  call.first = next.next<T>("first", {constants.decays, width});
  call.second = next.next<T>("second", {constants.decays, width});
  call.step = next.next<int32_t>("step", {});
  call.species = next.next<int32_t>("species", {n});
  call.box = next.next<T>("box", {3});
  call.length = next.next<T>("length", {});
  call.energy = next.next<T>("energy", {});
  call.log_alpha = next.next<T>("log_alpha", {});
  call.beta = next.next<T>("beta", {});
  call.gamma = next.next<T>("gamma", {});
  call.of_component = next.next<T>("weights of components", {of_component, hidden});
  call.of_atom = next.next<T>("weights of atoms", {of_atom, hidden});
  call.of_step = next.next<T>("weights of the step", {of_step, hidden});
  call.bias = next.next<T>("bias", {hidden});
  call.inner = next.next<T>("inner weights", {layers, hidden, hidden});
  call.inner_bias = next.next<T>("inner bias", {layers, hidden});
  call.output = next.next<T>("output weights", {hidden, 2});
  call.output_bias = next.next<T>("output bias", {2});
  if (!next.problem().empty()) return wrong(next.problem());
  call.moved = static_cast<T*>((*moved)->untyped_data());
  call.next_first = static_cast<T*>((*first)->untyped_data());
  call.next_second = static_cast<T*>((*second)->untyped_data());

  HOPGYM_RUN(T, learned_step, std::max<int64_t>(1, 400 / n));  // some 50 microseconds
  return ffi::Error::Success();
}

template <class T>
ffi::Error lbfgs_of(ffi::ThreadPool pool, const ffi::RemainingArgs& arguments,
                    const ffi::RemainingRets& results) {
  auto step = results.get<ffi::AnyBuffer>(0);
  auto inverse = results.get<ffi::AnyBuffer>(4);
  if (!step || !inverse || (*step)->dimensions().size() < 2 ||
      (*inverse)->dimensions().size() < 1)
    return wrong("hopgym: results of L-BFGS are missing");
  const auto shape = (*step)->dimensions();
  const std::vector<int64_t> batch(shape.begin(), shape.end() - 2);
  const int64_t n = shape[shape.size() - 2];
  Lbfgs<T> call{};
  call.coordinates = 3 * n;
  const int64_t m = call.memory = (*inverse)->dimensions().back();
  Operands next(arguments, batch);
  call.gradient = next.next<T>("gradient", {n, 3});
  call.positions = next.next<T>("positions", {n, 3});
  call.last_gradient = next.next<T>("last gradient", {n, 3});
  call.last_positions = next.next<T>("last positions", {n, 3});
  const Operand<T> history[] = {
      next.next<T>("pairs", {2 * m, 3 * n}), next.next<T>("sy", {m, m}),
      next.next<T>("yy", {m, m}), next.next<T>("inverse", {m})};
  call.first = next.next<T>("first", {});
  call.keep = next.next<int32_t>("keep", {});
  if (!next.problem().empty()) return wrong(next.problem());
  call.step = static_cast<T*>((*step)->untyped_data());
  T** const where[] = {&call.pairs, &call.sy, &call.yy, &call.inverse};
  for (int k = 0; k < 4; ++k) {
    auto result = results.get<ffi::AnyBuffer>(k + 1);
    if (!result || (*result)->untyped_data() != history[k].data)
      return wrong("hopgym: the history of L-BFGS must be changed in place");
    *where[k] = static_cast<T*>((*result)->untyped_data());
  }
  HOPGYM_RUN(T, lbfgs, std::max<int64_t>(1, 4000 / n));  // some 20 microseconds
  return ffi::Error::Success();
}

// What all potentials have: results, the number of atoms, and the batch. The results are
// energy and gradient, or the energies of atoms.
template <class Call>
ffi::Error begin(Call& call, std::vector<int64_t>& batch, const ffi::RemainingRets& results,
                 double position_limit) {
  const bool of_atoms = results.size() == 1;
  const size_t core = of_atoms ? 1 : 2;
  auto last = results.get<ffi::AnyBuffer>(core - 1);
  auto energy = results.get<ffi::AnyBuffer>(0);
  if (!energy || !last || (*last)->dimensions().size() < core)
    return wrong("hopgym: results of a potential are missing");
  const auto shape = (*last)->dimensions();
  batch.assign(shape.begin(), shape.end() - core);
  call.atoms = shape[shape.size() - core];
  call.position_limit = position_limit;
  auto* const data = static_cast<decltype(call.energy)>((*last)->untyped_data());
  if (of_atoms) {
    call.atom_energies = data;
  } else {
    call.energy = static_cast<decltype(call.energy)>((*energy)->untyped_data());
    call.gradient = data;
  }
  return ffi::Error::Success();
}

// Replicas that a thread takes at once: whole blocks of lanes, some 10 microseconds.
int64_t piece(int64_t atoms, int64_t pairs) {
  return 16 * std::max<int64_t>(1, pairs / (atoms * atoms));
}

template <class T>
ffi::Error pairs_of(PairKind kind, int parameters, ffi::ThreadPool pool,
                    const ffi::RemainingArgs& arguments, const ffi::RemainingRets& results,
                    double position_limit) {
  Pairs<T> call{};
  std::vector<int64_t> batch;
  if (auto error = begin(call, batch, results, position_limit); error.failure()) return error;
  call.kind = kind;
  call.count = parameters;
  Operands next(arguments, batch);
  call.positions = next.next<T>("positions", {call.atoms, 3});
  for (int k = 0; k < parameters; ++k)
    call.parameters[k] = next.next<T>("parameter of the potential", {});
  if (!next.problem().empty()) return wrong(next.problem());
  HOPGYM_RUN(T, pairs, piece(call.atoms, 4000));
  return ffi::Error::Success();
}

template <class T>
ffi::Error lennard_jones(ffi::ThreadPool pool, const ffi::RemainingArgs& arguments,
                         const ffi::RemainingRets& results, double position_limit) {
  return pairs_of<T>(PairKind::lennard_jones, 3, pool, arguments, results, position_limit);
}

template <class T>
ffi::Error morse(ffi::ThreadPool pool, const ffi::RemainingArgs& arguments,
                 const ffi::RemainingRets& results, double position_limit) {
  return pairs_of<T>(PairKind::morse, 4, pool, arguments, results, position_limit);
}

template <class T>
ffi::Error gupta_of(ffi::ThreadPool pool, const ffi::RemainingArgs& arguments,
                    const ffi::RemainingRets& results, double position_limit,
                    double smallest_density) {
  Gupta<T> call{};
  std::vector<int64_t> batch;
  if (auto error = begin(call, batch, results, position_limit); error.failure()) return error;
  call.smallest_density = smallest_density;
  auto table = arguments.get<ffi::AnyBuffer>(2);
  if (!table || table->dimensions().size() == 0)
    return wrong("hopgym: operands are missing");
  call.kinds = int(table->dimensions().back());
  if (call.kinds != 1 && call.kinds != 2) return wrong("hopgym: Gupta has one or two metals");
  Operands next(arguments, batch);
  call.positions = next.next<T>("positions", {call.atoms, 3});
  call.species = next.next<int32_t>("species", {call.atoms});
  for (auto* of_pairs : {&call.log_a, &call.p, &call.log_xi, &call.q})
    *of_pairs = next.next<T>("parameter of the potential", {call.kinds, call.kinds});
  call.core = next.next<T>("core", {});
  if (!next.problem().empty()) return wrong(next.problem());
  HOPGYM_RUN(T, gupta, piece(call.atoms, 3000));
  return ffi::Error::Success();
}

template <class T>
ffi::Error stillinger_weber_of(ffi::ThreadPool pool, const ffi::RemainingArgs& arguments,
                               const ffi::RemainingRets& results, double position_limit,
                               double cut, int64_t images) {
  StillingerWeber<T> call{};
  std::vector<int64_t> batch;
  if (auto error = begin(call, batch, results, position_limit); error.failure()) return error;
  call.cut = cut;
  call.images = images;
  Operands next(arguments, batch);
  call.positions = next.next<T>("positions", {call.atoms, 3});
  call.box = next.next<T>("box", {3});
  for (auto& parameter : call.parameters)
    parameter = next.next<T>("parameter of the potential", {});
  if (!next.problem().empty()) return wrong(next.problem());
  HOPGYM_RUN(T, stillinger_weber, piece(call.atoms, 3000));
  return ffi::Error::Success();
}

auto pairs_binding() {
  return ffi::Ffi::Bind()
      .Ctx<ffi::ThreadPool>()
      .RemainingArgs()
      .RemainingRets()
      .Attr<double>("position_limit");
}

auto gupta_binding() { return pairs_binding().Attr<double>("smallest_density"); }

auto stillinger_weber_binding() {
  return pairs_binding().Attr<double>("cut").Attr<int64_t>("images");
}

auto lbfgs_binding() {
  return ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().RemainingArgs().RemainingRets();
}

auto radial_binding() {
  return ffi::Ffi::Bind()
      .Ctx<ffi::ThreadPool>()
      .RemainingArgs()
      .RemainingRets()
      .Attr<int64_t>("kinds")
      .Attr<int64_t>("periodic")
      .Attr<ffi::Span<const double>>("cutoff")
      .Attr<ffi::Span<const double>>("table")
      .Attr<double>("radius");
}

auto learned_binding() {
  return ffi::Ffi::Bind()
      .Ctx<ffi::ThreadPool>()
      .RemainingArgs()
      .RemainingRets()
      .Attr<int64_t>("features")
      .Attr<int64_t>("kinds")
      .Attr<int64_t>("periodic")
      .Attr<ffi::Span<const double>>("decays")
      .Attr<ffi::Span<const double>>("periods")
      .Attr<ffi::Span<const double>>("cutoff")
      .Attr<ffi::Span<const double>>("table")
      .Attr<ffi::Span<const double>>("log2")
      .Attr<ffi::Span<const double>>("numbers");
}

}  // namespace
}  // namespace hopgym

#define HOPGYM_EXPORT extern "C" __attribute__((visibility("default")))

// Of the interface the library was built for: one newer than that of the running jaxlib
// takes the whole backend down, so it is asked for before anything is registered.
HOPGYM_EXPORT int hopgym_ffi_major() { return XLA_FFI_API_MAJOR; }
HOPGYM_EXPORT int hopgym_ffi_minor() { return XLA_FFI_API_MINOR; }

// The sources it was built from, as CMakeLists.txt digests them.
HOPGYM_EXPORT const char* hopgym_sources() { return HOPGYM_SOURCES; }

// How many threads a call may use, the caller's among them.
HOPGYM_EXPORT void hopgym_use_threads(int64_t count) { hopgym::threads = count; }

// The instruction set in use; a name chooses a lesser one, for tests.
HOPGYM_EXPORT const char* hopgym_isa(const char* wanted) {
  using hopgym::Isa;
  static const char* const names[] = {"baseline", "avx2", "avx512"};
  if (wanted)
    for (int k = 0; k <= int(hopgym::best_isa()); ++k)
      if (!std::strcmp(wanted, names[k])) hopgym::isa = Isa(k);
  return names[int(hopgym::isa)];
}

#define HOPGYM_HANDLERS(name, function, binding)                                          \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(hopgym_##name##_f32, hopgym::function<float>, binding);    \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(hopgym_##name##_f64, hopgym::function<double>, binding)

#pragma GCC visibility push(default)
HOPGYM_HANDLERS(lennard_jones, lennard_jones, hopgym::pairs_binding());
HOPGYM_HANDLERS(morse, morse, hopgym::pairs_binding());
HOPGYM_HANDLERS(gupta, gupta_of, hopgym::gupta_binding());
HOPGYM_HANDLERS(stillinger_weber, stillinger_weber_of, hopgym::stillinger_weber_binding());
HOPGYM_HANDLERS(lbfgs, lbfgs_of, hopgym::lbfgs_binding());
HOPGYM_HANDLERS(radial_functions, radial, hopgym::radial_binding());
HOPGYM_HANDLERS(learned_step, learned, hopgym::learned_binding());
#pragma GCC visibility pop
