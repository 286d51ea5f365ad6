// A step of the learned optimizer: hopgym/optimizers/learned/learn2hop.py says what
// it computes. Components of a replica are in lanes, so that replicas with weights of
// their own cost no more than replicas that share them.

#include "kernels.h"

namespace {

using hopgym::LearnedConstants;
using hopgym::LearnedStep;
using hopgym::kMostInputs;
using hopgym::kMostPeriods;
using hopgym::RadialConstants;

enum Feature { kGradients, kPositions, kDecays, kAdam, kSingular, kSpecies, kStep, kRadial };

// Hidden units and vectors of components that are summed at once: what registers hold.
constexpr int kUnits = HOPGYM_BYTES == 64 ? 8 : 4;
constexpr int kVectors = 3;

// sum += weights^T inputs for `units` hidden units and `vectors` vectors of columns.
// `weights` has the weights of each row of inputs.
template <class T, int units, int vectors>
HOPGYM_INLINE void multiply(const T* const* weights, int64_t rows, int64_t first,
                            const T* inputs, int64_t stride, Vec<T> (&sum)[units][vectors]) {
  for (int64_t k = 0; k < rows; ++k) {
    const T* w = weights[k] + first;
    asm("" : "+r"(w));  // one address, not one for every hidden unit
    const T* x = inputs + k * stride;
    Vec<T> column[vectors];
    HOPGYM_UNROLL
    for (int v = 0; v < vectors; ++v) column[v] = load<T>(x + v * lanes<T>);
    HOPGYM_UNROLL
    for (int u = 0; u < units; ++u)
      HOPGYM_UNROLL
      for (int v = 0; v < vectors; ++v) sum[u][v] += w[u] * column[v];
  }
}

template <class T>
class Learned {
 public:
  Learned(const LearnedStep<T>& call, T* scratch)
      : call_(call),
        c_(*call.constants),
        atoms_(call.atoms),
        atom_stride_(filled(call.atoms)),
        stride_(filled(3 * call.atoms + kWidest)),
        hidden_(call.hidden),
        smallest_(std::exp(-T(c_.logarithms))),
        largest_(std::exp(T(c_.logarithms))),
        log_(c_.log2, c_.logarithms),
        end_((3 * call.atoms + lanes<T> - 1) / lanes<T> * lanes<T>) {
    const int of_atom = (has(kSpecies) && radial().kinds == 2 ? 2 : 0) +
                        (has(kRadial) ? 2 * radial().kinds * radial().etas : 0);
    raw_ = has(kGradients) + has(kPositions) +
           2 * c_.decays * (has(kDecays) + has(kAdam));
    int64_t used = 0;
    auto take = [&](int64_t size) {
      T* taken = scratch ? scratch + used : nullptr;
      used += size;
      return taken;
    };
    inputs_ = take((2 * raw_ + 3) * stride_);  // 3 are scratch where averages are no inputs
    merged_ = take(3 * c_.decays * filled(hidden_));
    values_ = take(hidden_ * stride_);
    more_ = take(hidden_ * stride_);
    g_ = take(stride_);
    here_ = take(stride_);
    outputs_ = take(2 * stride_);
    shared_ = take(filled(hidden_));
    atom_inputs_ = take(of_atom * atom_stride_);
    surroundings_ = take(Radial<T>::room(atoms_));
    size = used;
  }

  int64_t size;  // of the scratch space, in numbers

  void replica(int64_t r) {
    place(r);
    shared(r);
    averages(r);
    of_atoms(r);
    network(r);
    displacement(r);
  }

 private:
  bool has(Feature feature) const { return c_.features >> feature & 1; }
  const RadialConstants& radial() const { return c_.radial; }
  Radial<T> surroundings() const { return Radial<T>(radial(), atoms_, surroundings_); }

  // log|x| / p, at least -1.
  Vec<T> log_magnitude(Vec<T> x) const {
    return log_(larger<T>(magnitude<T>(x), all<T>(smallest_)));
  }

  // The sign of x, or x e^p where that is smaller.
  Vec<T> direction(Vec<T> x) const { return bounded<T>(x * largest_, T(1)); }

  // Both numbers that stand for an input of atoms.
  void scale(T* inputs, int row, int count, int64_t stride, int64_t at, Vec<T> x) const {
    store<T>(inputs + row * stride + at, log_magnitude(x));
    store<T>(inputs + (count + row) * stride + at, direction(x));
  }

  // Within half an edge of the middle of a box that begins at zero.
  static Vec<T> middled(Vec<T> x, T edge) {
    Vec<T> whole;
    for (int l = 0; l < lanes<T>; ++l) whole[l] = std::floor(x[l] / edge);
    return x - (whole + T(0.5)) * edge;
  }

  // Gradient and positions in reduced units, by component.
  void place(int64_t r) {
    const T* gradient = call_.gradient.at(r);
    const T* positions = call_.positions.at(r);
    const T* box = call_.box.at(r);
    length_ = *call_.length.at(r);
    const T unit = length_ / *call_.energy.at(r);
    const T limit = T(c_.gradient_limit);
    const T inverse = 1 / length_;
    Space<T> mean{};
    if (!radial().periodic) {
      Space<T> sum{};
      for (int64_t at = 0; at < atoms_; at += lanes<T>)
        sum = sum + coordinates(positions, at, atoms_);
      for (int l = 1; l < lanes<T>; ++l)
        sum.x[0] += sum.x[l], sum.y[0] += sum.y[l], sum.z[0] += sum.z[l];
      mean = {all<T>(sum.x[0] / atoms_), all<T>(sum.y[0] / atoms_), all<T>(sum.z[0] / atoms_)};
    }
    // From the last atoms to the first, as in atom_units.
    Radial<T> near = surroundings();
    for (int64_t at = whole_vectors<T>(atoms_) - lanes<T>; at >= 0; at -= lanes<T>) {
      const Space<T> slope = coordinates(gradient, at, atoms_);
      Space<T> x = coordinates(positions, at, atoms_);
      if (radial().periodic)
        x = {middled(x.x, box[0]), middled(x.y, box[1]), middled(x.z, box[2])};
      x = all<T>(inverse) * (x - mean);
      near.place(at, x);
      const Vec<T> slopes[] = {slope.x, slope.y, slope.z}, places[] = {x.x, x.y, x.z};
      for (int a = 0; a < 3; ++a) {
        store<T>(g_ + a * atoms_ + at, bounded<T>(unit * slopes[a], limit));
        store<T>(here_ + a * atoms_ + at, places[a]);
      }
    }
    for (int64_t k = 3 * atoms_; k < stride_; ++k) g_[k] = here_[k] = 0;
  }

  // The next input of components, and where its weights are.
  T* input(const T* weights) {
    weights_[rows_] = weights;
    return inputs_ + rows_++ * stride_;
  }

  // The sign of the next input is 1 for all components: its weights go into the bias.
  void add_to_bias(const T* weights, T factor) {
    int64_t h = 0;
    for (; h + lanes<T> <= hidden_; h += lanes<T>)
      store<T>(shared_ + h, load<T>(shared_ + h) + factor * load<T>(weights + h));
    for (; h < hidden_; ++h) shared_[h] += factor * weights[h];
  }

  // Moving averages, and all inputs of components. The weights of an input's logarithm
  // are in row `k`, those of its sign in row `raw_ + k`.
  void averages(int64_t r) {
    const T* weights = call_.of_component.at(r);
    const int many = c_.decays;
    auto row = [&](int k) { return weights + k * hidden_; };
    rows_ = 0;
    int k = 0;
    const T* const given[] = {has(kGradients) ? g_ : nullptr, has(kPositions) ? here_ : nullptr};
    for (const T* x : given) {
      if (!x) continue;
      T* size = input(row(k));
      T* sign = input(row(raw_ + k));
      for (int64_t at = 0; at < end_; at += lanes<T>) {
        store<T>(size + at, log_magnitude(load<T>(x + at)));
        store<T>(sign + at, direction(load<T>(x + at)));
      }
      ++k;
    }
    for (int d = 0; d < many; ++d) {
      const int m = k + d, v = m + many;
      const int inverse = has(kDecays) ? v + many : m, quotient = inverse + many;
      const bool ordinary = average(r, d);
      if (!has(kDecays) && !has(kAdam)) continue;
      if (ordinary && has(kDecays) && has(kAdam)) {
        merge(row(m), row(v), row(inverse), row(quotient), row(raw_ + m), row(raw_ + v),
              row(raw_ + inverse), row(raw_ + quotient), merged_ + 3 * d * filled(hidden_));
        continue;
      }
      T *decays[4] = {}, *adam[3] = {};
      if (has(kDecays)) {
        const int of[] = {m, v, raw_ + m, raw_ + v};
        for (int i = 0; i < 4; ++i) decays[i] = input(row(of[i]));
      }
      if (has(kAdam)) {
        const int of[] = {inverse, quotient, raw_ + quotient};
        for (int i = 0; i < 3; ++i) adam[i] = input(row(of[i]));
        // The inverse root of a square that is bounded is never small.
        add_to_bias(row(raw_ + inverse), T(1));
      }
      split(r, d, decays, adam);
    }
  }

  // Averages of one rate, their logarithms and the signs of the first as the next three
  // inputs. Returns whether these are enough: whether no input made of them is at its lower
  // limit, so that logarithms are sums of two and signs those of the first average.
  bool average(int64_t r, int d) {
    const int64_t width = call_.components, row = (r * c_.decays + d) * width;
    const T* first = call_.first.at(r) + d * width;
    const T* second = call_.second.at(r) + d * width;
    T *next_first = call_.next_first + row, *next_second = call_.next_second + row;
    T *log_m = inputs_ + rows_ * stride_, *log_v = log_m + stride_, *sign = log_v + stride_;
    const T rate = T(c_.decay[d]), rest = T(1) - rate;
    const Vec<T> tiny = all<T>(sizeof(T) == 4 ? T(1e-37) : T(1e-300));
    Vec<T> least = all<T>(T(0));
    const Int<T> filled_lanes = lane_numbers<T>() < lane<T>(3 * atoms_ - (end_ - lanes<T>));
    // Rows of states are as wide as the arrays of JAX, which may end within a vector.
    for (int64_t at = 0; at < end_; at += lanes<T>) {
      const Vec<T> g = load<T>(g_ + at);
      const Vec<T> m = rate * part(first, at, width) + rest * g;
      const Vec<T> v = rate * part(second, at, width) + rest * (g * g);
      keep(next_first, at, width, m);
      keep(next_second, at, width, v);
      const Vec<T> of_m = log_(larger<T>(magnitude<T>(m), tiny));
      const Vec<T> of_v = log_(v + T(c_.epsilon));
      store<T>(log_m + at, of_m);
      store<T>(log_v + at, of_v);
      store<T>(sign + at, direction(m));
      const Vec<T> lowest = smaller<T>(smaller<T>(of_m, of_v), of_m - T(0.5) * of_v);
      if (at + lanes<T> <= 3 * atoms_)
        least = smaller<T>(least, lowest);
      else
        least = smaller<T>(least, choose<T>(filled_lanes, lowest, least));
    }
    // Rows of states may be longer than the vectors that hold components.
    for (int64_t k = end_; k < width; ++k) {
      next_first[k] = rate * first[k];
      next_second[k] = rate * second[k];
    }
    // In double precision epsilon shows beside any square.
    if (sizeof(T) == 8) return false;
    return !any<T>(!(least > T(-1)));
  }

  // Four logarithms that are sums of two, and four signs, as three inputs.
  void merge(const T* m, const T* v, const T* inverse, const T* quotient, const T* sign_m,
             const T* sign_v, const T* sign_inverse, const T* sign_quotient, T* merged) {
    T *of_m = merged, *of_v = of_m + filled(hidden_), *of_sign = of_v + filled(hidden_);
    int64_t h = 0;
    for (; h + lanes<T> <= hidden_; h += lanes<T>) {
      const Vec<T> both = load<T>(quotient + h);
      store<T>(of_m + h, load<T>(m + h) + both);
      store<T>(of_v + h, load<T>(v + h) - T(0.5) * (load<T>(inverse + h) + both));
      store<T>(of_sign + h, load<T>(sign_m + h) + load<T>(sign_quotient + h));
      store<T>(shared_ + h,
               load<T>(shared_ + h) + (load<T>(sign_v + h) + load<T>(sign_inverse + h)));
    }
    for (; h < hidden_; ++h) {
      of_m[h] = m[h] + quotient[h];
      of_v[h] = v[h] - T(0.5) * (inverse[h] + quotient[h]);
      of_sign[h] = sign_m[h] + sign_quotient[h];
      shared_[h] += sign_v[h] + sign_inverse[h];
    }
    for (const T* weights : {of_m, of_v, of_sign}) input(weights);
  }

  // Averages as inputs one by one: `decays` takes logarithms and signs of both, `adam`
  // logarithms of the inverse root and of the quotient, and signs of this. Where
  // [`average`] left logarithms is where the first of these rows are.
  void split(int64_t r, int d, T* const (&decays)[4], T* const (&adam)[3]) {
    const int64_t width = call_.components, row = (r * c_.decays + d) * width;
    const T *first = call_.next_first + row, *second = call_.next_second + row;
    const T* log_m = decays[0] ? decays[0] : adam[0];
    const T* log_v = log_m + stride_;
    const Vec<T> lowest = all<T>(T(-1));
    for (int64_t at = 0; at < end_; at += lanes<T>) {
      const Vec<T> of_m = load<T>(log_m + at), of_v = load<T>(log_v + at);
      const Vec<T> m = part(first, at, width), v = part(second, at, width);
      if (decays[0]) {
        store<T>(decays[0] + at, larger<T>(of_m, lowest));
        store<T>(decays[1] + at, log_magnitude(v));
        store<T>(decays[2] + at, direction(m));
        store<T>(decays[3] + at, direction(v));
      }
      if (adam[0]) {
        store<T>(adam[0] + at, T(-0.5) * of_v);
        store<T>(adam[1] + at, larger<T>(of_m - T(0.5) * of_v, lowest));
        store<T>(adam[2] + at, direction(m / root(v + T(c_.epsilon))));
      }
    }
  }

  // What all components share: bias, number of atoms, sines of the step.
  void shared(int64_t r) {
    const int32_t step = *call_.step.at(r);
    const T* weights = call_.of_step.at(r);
    const T* bias = call_.bias.at(r);
    if (has(kStep) && (step != last_step_ || !sines_known_)) {
      for (int k = 0; k < c_.periods; ++k) sines_[k] = std::sin(T(step) / T(c_.period[k]));
      last_step_ = step;
      sines_known_ = true;
    }
    for (int64_t h = 0; h < hidden_; ++h) shared_[h] = bias[h];
    if (has(kSingular)) {
      add_to_bias(weights, T(atoms_ / c_.atoms_unit));
      weights += hidden_;
    }
    if (has(kStep))
      for (int k = 0; k < c_.periods; ++k) add_to_bias(weights + k * hidden_, sines_[k]);
  }

  // First layer's sums of the inputs of atoms, for all components of an atom.
  void of_atoms(int64_t r) {
    int rows = 0;
    const int32_t* species = call_.species.at(r);
    if (has(kSpecies) && radial().kinds == 2) {
      for (int kind = 0; kind < 2; ++kind, ++rows)
        for (int64_t i = 0; i < atoms_; ++i)
          atom_inputs_[rows * atom_stride_ + i] = species[i] == kind;
    }
    if (has(kRadial)) {
      const int count = radial().kinds * radial().etas;
      Radial<T> near = surroundings();
      near.meet(species, call_.box.at(r), length_);
      near.functions([&](int k, int64_t at, Vec<T> x) {
        scale(atom_inputs_ + rows * atom_stride_, k, count, atom_stride_, at, x);
      });
      rows += 2 * count;
    }
    const T* weights = call_.of_atom.at(r);
    for (int k = 0; k < rows; ++k) atom_weights_[k] = weights + k * hidden_;
    int64_t h = 0;
    for (; h + kUnits <= hidden_; h += kUnits) atom_units<kUnits>(rows, h);
    for (; h < hidden_; ++h) atom_units<1>(rows, h);
  }

  // From the last atoms to the first, since what is beyond the last one is then written
  // over by the next axis.
  template <int units>
  void atom_units(int64_t rows, int64_t h) {
    int64_t at = (atoms_ - 1) / lanes<T> * lanes<T>;
    for (; at >= lanes<T>; at -= 2 * lanes<T>) atom_columns<units, 2>(rows, h, at - lanes<T>);
    if (at == 0) atom_columns<units, 1>(rows, h, 0);
  }

  template <int units, int vectors>
  HOPGYM_INLINE void atom_columns(int64_t rows, int64_t h, int64_t at) {
    Vec<T> sum[units][vectors];
    HOPGYM_UNROLL
    for (int u = 0; u < units; ++u)
      HOPGYM_UNROLL
      for (int v = 0; v < vectors; ++v) sum[u][v] = all<T>(shared_[h + u]);
    multiply<T, units, vectors>(atom_weights_, rows, h, atom_inputs_ + at, atom_stride_, sum);
    HOPGYM_UNROLL
    for (int u = 0; u < units; ++u)
      HOPGYM_UNROLL
      for (int v = vectors - 1; v >= 0; --v)
        for (int a = 0; a < 3; ++a)
          store<T>(values_ + (h + u) * stride_ + a * atoms_ + at + v * lanes<T>, sum[u][v]);
  }

  void network(int64_t r) {
    const T* output = call_.output.at(r);
    const T* output_bias = call_.output_bias.at(r);
    const int64_t layers = call_.inner_layers;
    T* from = values_;
    T* to = more_;
    layer(rows_, inputs_, from, from, layers == 0 ? output : nullptr, output_bias);
    for (int64_t k = 0; k < layers; ++k) {
      const T* weights = call_.inner.at(r) + k * hidden_ * hidden_;
      const T* bias = call_.inner_bias.at(r) + k * hidden_;
      for (int64_t h = 0; h < hidden_; ++h) {
        weights_[h] = weights + h * hidden_;
        for (int64_t at = 0; at < stride_; ++at) to[h * stride_ + at] = bias[h];
      }
      layer(hidden_, from, to, to, k + 1 == layers ? output : nullptr, output_bias);
      T* swapped = from;
      from = to;
      to = swapped;
    }
  }

  // to = relu(start + weights^T inputs), or its product with the weights of the output.
  void layer(int64_t rows, const T* inputs, const T* start, T* to, const T* output,
             const T* output_bias) {
    int64_t at = 0;
    for (; at + kVectors * lanes<T> <= end_; at += kVectors * lanes<T>)
      columns<kVectors>(rows, inputs, start, to, output, output_bias, at);
    for (; at + 2 * lanes<T> <= end_; at += 2 * lanes<T>)
      columns<2>(rows, inputs, start, to, output, output_bias, at);
    for (; at < end_; at += lanes<T>)
      columns<1>(rows, inputs, start, to, output, output_bias, at);
  }

  template <int vectors>
  HOPGYM_INLINE void columns(int64_t rows, const T* inputs, const T* start, T* to,
                             const T* output, const T* output_bias, int64_t at) {
    Vec<T> result[2][vectors] = {};
    if (output)
      HOPGYM_UNROLL
      for (int o = 0; o < 2; ++o)
        HOPGYM_UNROLL
        for (int v = 0; v < vectors; ++v) result[o][v] = all<T>(output_bias[o]);
    int64_t h = 0;
    for (; h + kUnits <= hidden_; h += kUnits)
      units<kUnits, vectors>(rows, inputs, start, to, output, at, h, result);
    for (; h < hidden_; ++h)
      units<1, vectors>(rows, inputs, start, to, output, at, h, result);
    if (output)
      HOPGYM_UNROLL
      for (int o = 0; o < 2; ++o)
        HOPGYM_UNROLL
        for (int v = 0; v < vectors; ++v)
          store<T>(outputs_ + o * stride_ + at + v * lanes<T>, result[o][v]);
  }

  template <int many, int vectors>
  HOPGYM_INLINE void units(int64_t rows, const T* inputs, const T* start, T* to,
                           const T* output, int64_t at, int64_t h,
                           Vec<T> (&result)[2][vectors]) {
    Vec<T> sum[many][vectors];
    HOPGYM_UNROLL
    for (int u = 0; u < many; ++u)
      HOPGYM_UNROLL
      for (int v = 0; v < vectors; ++v)
        sum[u][v] = load<T>(start + (h + u) * stride_ + at + v * lanes<T>);
    multiply<T, many, vectors>(weights_, rows, h, inputs + at, stride_, sum);
    HOPGYM_UNROLL
    for (int u = 0; u < many; ++u)
      HOPGYM_UNROLL
      for (int v = 0; v < vectors; ++v) {
        const Vec<T> value = larger<T>(sum[u][v], Vec<T>{});
        if (output)
          HOPGYM_UNROLL
          for (int o = 0; o < 2; ++o) result[o][v] += output[(h + u) * 2 + o] * value;
        else
          store<T>(to + (h + u) * stride_ + at + v * lanes<T>, value);
      }
  }

  // alpha clip(d) sigmoid(beta m + gamma) in units of the length.
  void displacement(int64_t r) {
    const T size = std::exp(*call_.log_alpha.at(r)) * length_;
    const T beta = *call_.beta.at(r), gamma = *call_.gamma.at(r);
    for (int64_t at = 0; at < end_; at += lanes<T>) {
      const Vec<T> m = load<T>(outputs_ + at);
      const Vec<T> d = bounded<T>(load<T>(outputs_ + stride_ + at), T(c_.direction_limit));
      const Vec<T> sigmoid = T(1) / (T(1) + exponential<T>(-(beta * m + gamma)));
      store<T>(outputs_ + at, size * d * sigmoid);
    }
    T* moved = call_.moved + r * 3 * atoms_;
    for (int64_t at = 0; at < atoms_; at += lanes<T>)
      keep_coordinates(moved, at, atoms_,
                       {load<T>(outputs_ + at), load<T>(outputs_ + atoms_ + at),
                        load<T>(outputs_ + 2 * atoms_ + at)});
  }

  const LearnedStep<T>& call_;
  const LearnedConstants& c_;
  const int64_t atoms_, atom_stride_, stride_, hidden_;
  const T smallest_, largest_;  // e^-p, e^p
  const Logarithm<T> log_;      // log / p
  const int64_t end_;  // of the vectors that hold components
  int raw_;  // inputs of a component before each becomes a logarithm and a sign
  int64_t rows_;                         // of the inputs of components
  const T* weights_[kMostInputs];        // of each of them
  const T* atom_weights_[kMostInputs];   // of each of the inputs of atoms
  T *inputs_, *merged_, *values_, *more_, *g_, *here_, *outputs_,
      *shared_, *atom_inputs_, *surroundings_;
  T length_, sines_[kMostPeriods];
  bool sines_known_ = false;
  int32_t last_step_;
};

}  // namespace

namespace hopgym {
namespace HOPGYM_ISA {

template <class T>
int64_t learned_step_scratch(const LearnedStep<T>& call) {
  return Learned<T>(call, nullptr).size;
}

template <class T>
void learned_step(const LearnedStep<T>& call, T* scratch, int64_t begin, int64_t end) {
  Learned<T> step(call, scratch);
  for (int64_t r = begin; r < end; ++r) step.replica(r);
}

template int64_t learned_step_scratch(const LearnedStep<float>&);
template int64_t learned_step_scratch(const LearnedStep<double>&);
template void learned_step(const LearnedStep<float>&, float*, int64_t, int64_t);
template void learned_step(const LearnedStep<double>&, double*, int64_t, int64_t);

}  // namespace HOPGYM_ISA
}  // namespace hopgym
