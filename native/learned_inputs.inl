// Inputs of the learned optimizer's network, and the moving averages from which some are
// computed (hopgym/optimizers/learned/learn2hop.py). Lanes hold the components of a replica,
// so that replicas with their own weights cost no more than replicas that share them.

#include "kernels.h"

namespace {

using hopgym::Feature;
using hopgym::kMostInputs;
using hopgym::kMostPeriods;
using hopgym::LearnedConstants;
using hopgym::LearnedStep;
using hopgym::RadialConstants;

// Allocates pieces of scratch memory, or only adds up their sizes if there is no memory.
template <class T>
class Scratch {
 public:
  explicit Scratch(T* memory) : memory_(memory) {}

  T* take(int64_t size) {
    T* const taken = memory_ ? memory_ + used_ : nullptr;
    used_ += size;
    return taken;
  }

  int64_t used() const { return used_; }

 private:
  T* const memory_;
  int64_t used_ = 0;
};

// Rows of inputs, each with a pointer to its weights in the first layer.
template <class T>
struct InputRows {
  int64_t count;
  T* values;
  int64_t stride;  // from one row to the next
  const T* weights[kMostInputs];
};

template <class T>
class LearnedInputs {
 public:
  LearnedInputs(const LearnedStep<T>& call, Scratch<T>& scratch)
      : call_(call),
        c_(*call.constants),
        atoms_(call.atoms),
        hidden_(call.hidden),
        end_(round_up_to_vectors<T>(3 * call.atoms)),
        raw_(int(c_.count_component_inputs() / 2)),
        smallest_(std::exp(-T(c_.log_scale))),
        largest_(std::exp(T(c_.log_scale))),
        log_(c_.log2, c_.log_scale) {
    const int64_t stride = pad_row(3 * atoms_ + kWidest), atom_stride = pad_row(atoms_);
    component.stride = stride;
    // 3 rows are scratch memory if averages are not inputs.
    component.values = scratch.take((2 * raw_ + 3) * stride);
    atom.stride = atom_stride;
    atom.values = scratch.take(c_.count_atom_inputs() * atom_stride);
    bias = scratch.take(pad_row(hidden_));
    merged_ = scratch.take(3 * c_.decays * pad_row(hidden_));
    gradient_ = scratch.take(stride);
    positions_ = scratch.take(stride);
    radial_scratch_ = scratch.take(Radial<T>::count_scratch(atoms_));
  }

  LearnedInputs(const LearnedInputs&) = delete;

  void compute(int64_t r) {
    scale_positions(r);
    compute_bias(r);
    compute_component_inputs(r);
    compute_atom_inputs(r);
  }

  InputRows<T> component, atom;
  T* bias;   // of the first layer, including the inputs shared by all components
  T length;  // the unit of lengths

 private:
  bool has(Feature feature) const { return c_.has(feature); }
  Radial<T> radial() const { return Radial<T>(c_.radial, atoms_, radial_scratch_); }

  // log|x| / p, at least -1.
  Vec<T> log_magnitude(Vec<T> x) const {
    return log_(max<T>(abs<T>(x), broadcast<T>(smallest_)));
  }

  // The sign of x, or x e^p where this is smaller.
  Vec<T> direction(Vec<T> x) const { return clamp<T>(x * largest_, T(1)); }

  // Position relative to the centre of the box, wrapped into it; the box starts at zero.
  static Vec<T> wrap(Vec<T> x, T edge) {
    Vec<T> whole;
    for (int l = 0; l < lanes<T>; ++l) whole[l] = std::floor(x[l] / edge);
    return x - (whole + T(0.5)) * edge;
  }

  // Gradient and positions in reduced units, by component.
  void scale_positions(int64_t r) {
    const T* gradient = call_.gradient.at(r);
    const T* positions = call_.positions.at(r);
    const T* box = call_.box.at(r);
    length = *call_.length.at(r);
    const T unit = length / *call_.energy_unit.at(r);
    const T limit = T(c_.gradient_limit);
    const T inverse = 1 / length;
    Space<T> mean{};
    if (!c_.radial.periodic) {
      Space<T> sum{};
      for (int64_t at = 0; at < atoms_; at += lanes<T>)
        sum = sum + load_coordinates(positions, at, atoms_);
      for (int l = 1; l < lanes<T>; ++l)
        sum.x[0] += sum.x[l], sum.y[0] += sum.y[l], sum.z[0] += sum.z[l];
      mean = {broadcast<T>(sum.x[0] / atoms_), broadcast<T>(sum.y[0] / atoms_),
              broadcast<T>(sum.z[0] / atoms_)};
    }
    // From the last atoms to the first: the next axis overwrites what is beyond the last.
    Radial<T> near = radial();
    for (int64_t at = round_up_to_vectors<T>(atoms_) - lanes<T>; at >= 0; at -= lanes<T>) {
      const Space<T> slope = load_coordinates(gradient, at, atoms_);
      Space<T> x = load_coordinates(positions, at, atoms_);
      if (c_.radial.periodic) x = {wrap(x.x, box[0]), wrap(x.y, box[1]), wrap(x.z, box[2])};
      x = broadcast<T>(inverse) * (x - mean);
      near.set_positions(at, x);
      const Vec<T> slopes[] = {slope.x, slope.y, slope.z}, places[] = {x.x, x.y, x.z};
      for (int a = 0; a < 3; ++a) {
        store<T>(gradient_ + a * atoms_ + at, clamp<T>(unit * slopes[a], limit));
        store<T>(positions_ + a * atoms_ + at, places[a]);
      }
    }
    for (int64_t k = 3 * atoms_; k < component.stride; ++k) gradient_[k] = positions_[k] = 0;
  }

  // Adds an input of components, with its weights.
  T* add_input(const T* weights) {
    component.weights[component.count] = weights;
    return component.values + component.count++ * component.stride;
  }

  // The sum over the inputs shared by all components: number of atoms, sines of the step.
  void compute_bias(int64_t r) {
    const int32_t step = *call_.step.at(r);
    const T* weights = call_.step_weights.at(r);
    const T* start = call_.bias.at(r);
    if (has(Feature::step) && (step != last_step_ || !sines_known_)) {
      for (int k = 0; k < c_.periods; ++k) sines_[k] = std::sin(T(step) / T(c_.period[k]));
      last_step_ = step;
      sines_known_ = true;
    }
    for (int64_t h = 0; h < hidden_; ++h) bias[h] = start[h];
    if (has(Feature::singular)) {
      add_to_bias(weights, T(atoms_ / c_.atoms_unit));
      weights += hidden_;
    }
    if (has(Feature::step))
      for (int k = 0; k < c_.periods; ++k) add_to_bias(weights + k * hidden_, sines_[k]);
  }

  void add_to_bias(const T* weights, T factor) {
    int64_t h = 0;
    for (; h + lanes<T> <= hidden_; h += lanes<T>)
      store<T>(bias + h, load<T>(bias + h) + factor * load<T>(weights + h));
    for (; h < hidden_; ++h) bias[h] += factor * weights[h];
  }

  // Computes the next moving averages and all inputs of components. The weights of an
  // input's logarithm are in row `k`, those of its sign in row `raw_ + k`.
  void compute_component_inputs(int64_t r) {
    const T* weights = call_.component_weights.at(r);
    const int many = c_.decays;
    auto row = [&](int k) { return weights + k * hidden_; };
    component.count = 0;
    int k = 0;
    const T* const given[] = {has(Feature::gradients) ? gradient_ : nullptr,
                              has(Feature::positions) ? positions_ : nullptr};
    for (const T* x : given) {
      if (!x) continue;
      T* size = add_input(row(k));
      T* sign = add_input(row(raw_ + k));
      for (int64_t at = 0; at < end_; at += lanes<T>) {
        store<T>(size + at, log_magnitude(load<T>(x + at)));
        store<T>(sign + at, direction(load<T>(x + at)));
      }
      ++k;
    }
    const bool has_decays = has(Feature::decays), has_adam = has(Feature::adam);
    for (int d = 0; d < many; ++d) {
      const int m = k + d, v = m + many;
      const int inverse = has_decays ? v + many : m, quotient = inverse + many;
      const bool ordinary = update_averages(r, d);
      if (!has_decays && !has_adam) continue;
      if (ordinary && has_decays && has_adam) {
        merge_inputs(row(m), row(v), row(inverse), row(quotient), row(raw_ + m), row(raw_ + v),
                     row(raw_ + inverse), row(raw_ + quotient),
                     merged_ + 3 * d * pad_row(hidden_));
        continue;
      }
      T *decays[4] = {}, *adam[3] = {};
      if (has_decays) {
        const int of[] = {m, v, raw_ + m, raw_ + v};
        for (int i = 0; i < 4; ++i) decays[i] = add_input(row(of[i]));
      }
      if (has_adam) {
        const int of[] = {inverse, quotient, raw_ + quotient};
        for (int i = 0; i < 3; ++i) adam[i] = add_input(row(of[i]));
        // The sign of the inverse root of a bounded square is always 1.
        add_to_bias(row(raw_ + inverse), T(1));
      }
      store_inputs(r, d, decays, adam);
    }
  }

  // Updates the averages of one rate, and stores their logarithms and the signs of the first
  // average as the next three inputs. Returns whether these suffice: whether no input derived
  // from them is at its lower limit, so that all logarithms are sums of these two and all
  // signs are those of the first average.
  bool update_averages(int64_t r, int d) {
    const int64_t width = call_.components, row = (r * c_.decays + d) * width;
    const T* first = call_.first.at(r) + d * width;
    const T* second = call_.second.at(r) + d * width;
    T *next_first = call_.next_first + row, *next_second = call_.next_second + row;
    T *log_m = component.values + component.count * component.stride,
      *log_v = log_m + component.stride, *sign = log_v + component.stride;
    const T rate = T(c_.decay[d]), rest = T(1) - rate;
    const Vec<T> tiny = broadcast<T>(sizeof(T) == 4 ? T(1e-37) : T(1e-300));
    Vec<T> least = broadcast<T>(T(0));
    const Int<T> filled_lanes =
        get_lane_numbers<T>() < to_lane<T>(3 * atoms_ - (end_ - lanes<T>));
    // Rows of states are as wide as the arrays of JAX, which may end within a vector.
    for (int64_t at = 0; at < end_; at += lanes<T>) {
      const Vec<T> g = load<T>(gradient_ + at);
      const Vec<T> m = rate * load_part(first, at, width) + rest * g;
      const Vec<T> v = rate * load_part(second, at, width) + rest * (g * g);
      store_part(next_first, at, width, m);
      store_part(next_second, at, width, v);
      const Vec<T> of_m = log_(max<T>(abs<T>(m), tiny));
      const Vec<T> of_v = log_(v + T(c_.epsilon));
      store<T>(log_m + at, of_m);
      store<T>(log_v + at, of_v);
      store<T>(sign + at, direction(m));
      const Vec<T> lowest = min<T>(min<T>(of_m, of_v), of_m - T(0.5) * of_v);
      if (at + lanes<T> <= 3 * atoms_)
        least = min<T>(least, lowest);
      else
        least = min<T>(least, select<T>(filled_lanes, lowest, least));
    }
    // Rows of states may be longer than the vectors that hold components.
    for (int64_t k = end_; k < width; ++k) {
      next_first[k] = rate * first[k];
      next_second[k] = rate * second[k];
    }
    // In double precision epsilon matters for any square.
    if (sizeof(T) == 8) return false;
    return !any<T>(!(least > T(-1)));
  }

  // Merges four logarithms that are sums of two, and four signs, into three inputs.
  void merge_inputs(const T* m, const T* v, const T* inverse, const T* quotient,
                    const T* sign_m, const T* sign_v, const T* sign_inverse,
                    const T* sign_quotient, T* merged) {
    T *of_m = merged, *of_v = of_m + pad_row(hidden_), *of_sign = of_v + pad_row(hidden_);
    int64_t h = 0;
    for (; h + lanes<T> <= hidden_; h += lanes<T>) {
      const Vec<T> both = load<T>(quotient + h);
      store<T>(of_m + h, load<T>(m + h) + both);
      store<T>(of_v + h, load<T>(v + h) - T(0.5) * (load<T>(inverse + h) + both));
      store<T>(of_sign + h, load<T>(sign_m + h) + load<T>(sign_quotient + h));
      store<T>(bias + h, load<T>(bias + h) + (load<T>(sign_v + h) + load<T>(sign_inverse + h)));
    }
    for (; h < hidden_; ++h) {
      of_m[h] = m[h] + quotient[h];
      of_v[h] = v[h] - T(0.5) * (inverse[h] + quotient[h]);
      of_sign[h] = sign_m[h] + sign_quotient[h];
      bias[h] += sign_v[h] + sign_inverse[h];
    }
    for (const T* weights : {of_m, of_v, of_sign}) add_input(weights);
  }

  // Stores the inputs derived from averages separately: for `decays`, logarithms and signs
  // of both; for `adam`, logarithms of the inverse root and of the quotient, and signs of the
  // quotient. The first of these rows contain the logarithms stored by `update_averages`.
  void store_inputs(int64_t r, int d, T* const (&decays)[4], T* const (&adam)[3]) {
    const int64_t width = call_.components, row = (r * c_.decays + d) * width;
    const T *first = call_.next_first + row, *second = call_.next_second + row;
    const T* log_m = decays[0] ? decays[0] : adam[0];
    const T* log_v = log_m + component.stride;
    const Vec<T> lowest = broadcast<T>(T(-1));
    for (int64_t at = 0; at < end_; at += lanes<T>) {
      const Vec<T> of_m = load<T>(log_m + at), of_v = load<T>(log_v + at);
      const Vec<T> m = load_part(first, at, width), v = load_part(second, at, width);
      if (decays[0]) {
        store<T>(decays[0] + at, max<T>(of_m, lowest));
        store<T>(decays[1] + at, log_magnitude(v));
        store<T>(decays[2] + at, direction(m));
        store<T>(decays[3] + at, direction(v));
      }
      if (adam[0]) {
        store<T>(adam[0] + at, T(-0.5) * of_v);
        store<T>(adam[1] + at, max<T>(of_m - T(0.5) * of_v, lowest));
        store<T>(adam[2] + at, direction(m / sqrt(v + T(c_.epsilon))));
      }
    }
  }

  void compute_atom_inputs(int64_t r) {
    int rows = 0;
    const int32_t* species = call_.species.at(r);
    for (int kind = 0; kind < c_.count_inputs(Feature::species); ++kind, ++rows)
      for (int64_t i = 0; i < atoms_; ++i)
        atom.values[rows * atom.stride + i] = species[i] == kind;
    if (has(Feature::radial)) {
      const int count = c_.radial.kinds * c_.radial.etas;
      T* const sizes = atom.values + rows * atom.stride;
      T* const signs = sizes + count * atom.stride;
      Radial<T> near = radial();
      near.set_species(species, call_.box.at(r), length);
      near.compute_functions([&](int k, int64_t at, Vec<T> x) {
        store<T>(sizes + k * atom.stride + at, log_magnitude(x));
        store<T>(signs + k * atom.stride + at, direction(x));
      });
      rows += 2 * count;
    }
    const T* weights = call_.atom_weights.at(r);
    atom.count = rows;
    for (int k = 0; k < rows; ++k) atom.weights[k] = weights + k * hidden_;
  }

  const LearnedStep<T>& call_;
  const LearnedConstants& c_;
  const int64_t atoms_, hidden_;
  const int64_t end_;           // end of the vectors that hold components
  const int raw_;               // number of inputs of a component before each becomes two
  const T smallest_, largest_;  // e^-p, e^p
  const Logarithm<T> log_;      // log / p
  T *merged_, *gradient_, *positions_, *radial_scratch_;
  T sines_[kMostPeriods];
  bool sines_known_ = false;
  int32_t last_step_;
};

}  // namespace
