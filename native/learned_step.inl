// A step of the learned optimizer (hopgym/optimizers/learned/learn2hop.py).

#include "kernels.h"

namespace {

template <class T>
class Learned {
 public:
  Learned(const LearnedStep<T>& call, T* memory)
      : call_(call), scratch_(memory), inputs_(call, scratch_), network_(call, scratch_) {}

  int64_t count_scratch() const { return scratch_.used(); }

  void compute(int64_t r) {
    inputs_.compute(r);
    network_.compute(r, inputs_);
    store_displacement(r);
  }

 private:
  // alpha clip(d) sigmoid(beta m + gamma), times the unit of length.
  void store_displacement(int64_t r) {
    const int64_t atoms = call_.atoms;
    T *const outputs = network_.output(0), *const directions = network_.output(1);
    const T limit = T(call_.constants->direction_limit);
    const T size = std::exp(*call_.log_alpha.at(r)) * inputs_.length;
    const T beta = *call_.beta.at(r), gamma = *call_.gamma.at(r);
    for (int64_t at = 0; at < 3 * atoms; at += lanes<T>) {
      const Vec<T> m = load<T>(outputs + at);
      const Vec<T> d = clamp<T>(load<T>(directions + at), limit);
      const Vec<T> sigmoid = T(1) / (T(1) + exp<T>(-(beta * m + gamma)));
      store<T>(outputs + at, size * d * sigmoid);
    }
    T* displacement = call_.displacement + r * 3 * atoms;
    for (int64_t at = 0; at < atoms; at += lanes<T>)
      store_coordinates(displacement, at, atoms,
                        {load<T>(outputs + at), load<T>(outputs + atoms + at),
                         load<T>(outputs + 2 * atoms + at)});
  }

  const LearnedStep<T>& call_;
  Scratch<T> scratch_;
  LearnedInputs<T> inputs_;
  LearnedNetwork<T> network_;
};

}  // namespace

namespace hopgym {
namespace HOPGYM_ISA {

template <class T>
int64_t learned_step_scratch(const LearnedStep<T>& call) {
  return Learned<T>(call, nullptr).count_scratch();
}

template <class T>
void learned_step(const LearnedStep<T>& call, T* scratch, int64_t begin, int64_t end) {
  Learned<T> step(call, scratch);
  for (int64_t r = begin; r < end; ++r) step.compute(r);
}

template int64_t learned_step_scratch(const LearnedStep<float>&);
template int64_t learned_step_scratch(const LearnedStep<double>&);
template void learned_step(const LearnedStep<float>&, float*, int64_t, int64_t);
template void learned_step(const LearnedStep<double>&, double*, int64_t, int64_t);

}  // namespace HOPGYM_ISA
}  // namespace hopgym
