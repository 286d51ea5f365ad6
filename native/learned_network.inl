// The learned optimizer's network (hopgym/optimizers/learned/network.py), for all
// components of a replica.

#include "kernels.h"

namespace {

// Numbers of hidden units and of vectors of components that are summed at a time: as many as
// registers can hold.
constexpr int kUnits = HOPGYM_BYTES == 64 ? 8 : 4;
constexpr int kVectors = 3;

// sum += weights^T inputs for `units` hidden units and `vectors` vectors of columns.
// `weights` points to the weights of each row of inputs.
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
class LearnedNetwork {
 public:
  LearnedNetwork(const LearnedStep<T>& call, Scratch<T>& scratch)
      : call_(call),
        atoms_(call.atoms),
        stride_(pad_row(3 * call.atoms + kWidest)),
        hidden_(call.hidden),
        end_(round_up_to_vectors<T>(3 * call.atoms)) {
    values_ = scratch.take(hidden_ * stride_);
    more_ = scratch.take(hidden_ * stride_);
    outputs_ = scratch.take(2 * stride_);
  }

  LearnedNetwork(const LearnedNetwork&) = delete;

  void compute(int64_t r, const LearnedInputs<T>& inputs) {
    sum_atom_inputs(inputs);
    apply_layers(r, inputs.component);
  }

  // One of the two outputs, for every component.
  T* output(int k) const { return outputs_ + k * stride_; }

 private:
  // First layer's sums of the inputs of atoms, for all components of an atom.
  void sum_atom_inputs(const LearnedInputs<T>& inputs) {
    int64_t h = 0;
    for (; h + kUnits <= hidden_; h += kUnits) sum_for_units<kUnits>(inputs, h);
    for (; h < hidden_; ++h) sum_for_units<1>(inputs, h);
  }

  // From the last atoms to the first: values beyond the last atom are then overwritten by
  // the next axis.
  template <int units>
  void sum_for_units(const LearnedInputs<T>& inputs, int64_t h) {
    int64_t at = (atoms_ - 1) / lanes<T> * lanes<T>;
    for (; at >= lanes<T>; at -= 2 * lanes<T>)
      sum_for_atoms<units, 2>(inputs, h, at - lanes<T>);
    if (at == 0) sum_for_atoms<units, 1>(inputs, h, 0);
  }

  template <int units, int vectors>
  HOPGYM_INLINE void sum_for_atoms(const LearnedInputs<T>& inputs, int64_t h, int64_t at) {
    const InputRows<T>& rows = inputs.atom;
    Vec<T> sum[units][vectors];
    HOPGYM_UNROLL
    for (int u = 0; u < units; ++u)
      HOPGYM_UNROLL
      for (int v = 0; v < vectors; ++v) sum[u][v] = broadcast<T>(inputs.bias[h + u]);
    multiply<T, units, vectors>(rows.weights, rows.count, h, rows.values + at, rows.stride,
                                sum);
    HOPGYM_UNROLL
    for (int u = 0; u < units; ++u)
      HOPGYM_UNROLL
      for (int v = vectors - 1; v >= 0; --v)
        for (int a = 0; a < 3; ++a)
          store<T>(values_ + (h + u) * stride_ + a * atoms_ + at + v * lanes<T>, sum[u][v]);
  }

  void apply_layers(int64_t r, const InputRows<T>& inputs) {
    const T* output = call_.output_weights.at(r);
    const T* output_bias = call_.output_bias.at(r);
    const int64_t layers = call_.inner_layers;
    T* from = values_;
    T* to = more_;
    apply_layer(inputs.weights, inputs.count, inputs.values, from, from,
                layers == 0 ? output : nullptr, output_bias);
    for (int64_t k = 0; k < layers; ++k) {
      const T* weights = call_.inner_weights.at(r) + k * hidden_ * hidden_;
      const T* bias = call_.inner_bias.at(r) + k * hidden_;
      for (int64_t h = 0; h < hidden_; ++h) {
        weights_[h] = weights + h * hidden_;
        for (int64_t at = 0; at < stride_; ++at) to[h * stride_ + at] = bias[h];
      }
      apply_layer(weights_, hidden_, from, to, to, k + 1 == layers ? output : nullptr,
                  output_bias);
      T* swapped = from;
      from = to;
      to = swapped;
    }
  }

  // to = relu(start + weights^T inputs), or its product with the weights of the output.
  void apply_layer(const T* const* weights, int64_t rows, const T* inputs, const T* start,
                   T* to, const T* output, const T* output_bias) {
    int64_t at = 0;
    for (; at + kVectors * lanes<T> <= end_; at += kVectors * lanes<T>)
      apply_to_columns<kVectors>(weights, rows, inputs, start, to, output, output_bias, at);
    for (; at + 2 * lanes<T> <= end_; at += 2 * lanes<T>)
      apply_to_columns<2>(weights, rows, inputs, start, to, output, output_bias, at);
    for (; at < end_; at += lanes<T>)
      apply_to_columns<1>(weights, rows, inputs, start, to, output, output_bias, at);
  }

  template <int vectors>
  HOPGYM_INLINE void apply_to_columns(const T* const* weights, int64_t rows, const T* inputs,
                                      const T* start, T* to, const T* output,
                                      const T* output_bias, int64_t at) {
    Vec<T> result[2][vectors] = {};
    if (output)
      HOPGYM_UNROLL
      for (int o = 0; o < 2; ++o)
        HOPGYM_UNROLL
        for (int v = 0; v < vectors; ++v) result[o][v] = broadcast<T>(output_bias[o]);
    int64_t h = 0;
    for (; h + kUnits <= hidden_; h += kUnits)
      apply_units<kUnits, vectors>(weights, rows, inputs, start, to, output, at, h, result);
    for (; h < hidden_; ++h)
      apply_units<1, vectors>(weights, rows, inputs, start, to, output, at, h, result);
    if (output)
      HOPGYM_UNROLL
      for (int o = 0; o < 2; ++o)
        HOPGYM_UNROLL
        for (int v = 0; v < vectors; ++v)
          store<T>(outputs_ + o * stride_ + at + v * lanes<T>, result[o][v]);
  }

  template <int many, int vectors>
  HOPGYM_INLINE void apply_units(const T* const* weights, int64_t rows, const T* inputs,
                                 const T* start, T* to, const T* output, int64_t at, int64_t h,
                                 Vec<T> (&result)[2][vectors]) {
    Vec<T> sum[many][vectors];
    HOPGYM_UNROLL
    for (int u = 0; u < many; ++u)
      HOPGYM_UNROLL
      for (int v = 0; v < vectors; ++v)
        sum[u][v] = load<T>(start + (h + u) * stride_ + at + v * lanes<T>);
    multiply<T, many, vectors>(weights, rows, h, inputs + at, stride_, sum);
    HOPGYM_UNROLL
    for (int u = 0; u < many; ++u)
      HOPGYM_UNROLL
      for (int v = 0; v < vectors; ++v) {
        const Vec<T> value = max<T>(sum[u][v], Vec<T>{});
        if (output)
          HOPGYM_UNROLL
          for (int o = 0; o < 2; ++o) result[o][v] += output[(h + u) * 2 + o] * value;
        else
          store<T>(to + (h + u) * stride_ + at + v * lanes<T>, value);
      }
  }

  const LearnedStep<T>& call_;
  const int64_t atoms_, stride_, hidden_;
  const int64_t end_;              // end of the vectors that hold components
  const T* weights_[kMostInputs];  // of each row of an inner layer
  T *values_, *more_, *outputs_;
};

}  // namespace
