// History and direction of L-BFGS (hopgym/optimizers/lbfgs.py). Lanes hold the coordinates
// of one replica, whose history is read once.

#include "kernels.h"

namespace {

using hopgym::Lbfgs;

// Sums all lanes.
template <class T>
T sum_lanes(Vec<T> x) {
  T sum = 0;
  for (int l = 0; l < lanes<T>; ++l) sum += x[l];
  return sum;
}

// Sums the lanes of each of `count` vectors, which are stored one after the other and padded
// to a multiple of the number of lanes.
template <class T>
void sum_lanes_of(const T* vectors, int64_t count, T* sums) {
  for (int64_t k = 0; k < count; k += lanes<T>) {
    Vec<T> part[lanes<T>], sum{};
    for (int l = 0; l < lanes<T>; ++l) part[l] = load<T>(vectors + (k + l) * lanes<T>);
    transpose<T>(part);
    for (int l = 0; l < lanes<T>; ++l) sum += part[l];
    store<T>(sums + k, sum);
  }
}

template <class T>
class History {
 public:
  History(const Lbfgs<T>& call, T* scratch)
      : call_(call), size_(call.coordinates), m_(call.memory) {
    const int64_t width = round_up_to_vectors<T>(size_),
                  products = round_up_to_vectors<T>(6 * m_);
    s_ = scratch, y_ = s_ + width, g_ = y_ + width;
    parts_ = g_ + width, with_s_ = parts_ + products * lanes<T>;
    with_y_ = with_s_ + 2 * m_, with_g_ = with_y_ + 2 * m_;
    alpha_ = with_s_ + products, c_ = alpha_ + m_;
  }

  static int64_t count_scratch(const Lbfgs<T>& call) {
    return 3 * round_up_to_vectors<T>(call.coordinates) +
           round_up_to_vectors<T>(6 * call.memory) * (lanes<T> + 1) + 2 * call.memory;
  }

  void compute(int64_t r) {
    remember(r);
    apply_two_loops(r);
  }

 private:
  // Replaces row `k` of the history by the one at `from`, and multiplies it by s, y and the
  // gradient; `sum_lanes_of` then sums over lanes.
  void replace_row(T* row, const T* from, int64_t k) {
    Vec<T> s{}, y{}, g{};
    for (int64_t at = 0; at < size_; at += lanes<T>) {
      const Vec<T> x = load_part(from, at, size_);
      s += x * load<T>(s_ + at);
      y += x * load<T>(y_ + at);
      g += x * load<T>(g_ + at);
      store_part(row, at, size_, x);
    }
    store<T>(parts_ + k * lanes<T>, s);
    store<T>(parts_ + (2 * m_ + k) * lanes<T>, y);
    store<T>(parts_ + (4 * m_ + k) * lanes<T>, g);
  }

  // Shifts a table down and right by one.
  void shift_table(T* table) const {
    for (int64_t k = m_ * m_ - 1; k > m_; --k) table[k] = table[k - m_ - 1];
  }

  // Prepends the last step to the history, if it was accepted and has positive curvature.
  void remember(int64_t r) {
    const T *x = call_.positions.at(r), *x0 = call_.last_positions.at(r),
            *g = call_.gradient.at(r), *g0 = call_.last_gradient.at(r);
    Vec<T> ss{}, sy{}, yy{};
    for (int64_t at = 0; at < size_; at += lanes<T>) {
      const Vec<T> slope = load_part(g, at, size_);
      const Vec<T> s = load_part(x, at, size_) - load_part(x0, at, size_);
      const Vec<T> y = slope - load_part(g0, at, size_);
      store<T>(s_ + at, s);
      store<T>(y_ + at, y);
      store<T>(g_ + at, slope);
      ss += s * s;
      sy += s * y;
      yy += y * y;
    }
    const T curvature = sum_lanes<T>(sy), stiffness = sum_lanes<T>(yy);
    const bool useful =
        *call_.keep.at(r) != 0 && curvature > T(1e-8) * std::sqrt(stiffness * sum_lanes<T>(ss));

    // From the oldest to the newest: each row is overwritten by the next newer one.
    T* pairs = call_.pairs + r * 2 * m_ * size_;
    for (int64_t k = 2 * m_ - 1; k >= 0; --k) {
      T* row = pairs + k * size_;
      replace_row(row, !useful ? row : k == 0 ? s_ : k == m_ ? y_ : row - size_, k);
    }
    sum_lanes_of(parts_, 6 * m_, with_s_);
    if (!useful) return;

    T *table_sy = call_.sy + r * m_ * m_, *table_yy = call_.yy + r * m_ * m_;
    T* inverse = call_.inverse + r * m_;
    shift_table(table_sy);
    shift_table(table_yy);
    for (int64_t i = 0; i < m_; ++i) {
      table_sy[i * m_] = with_y_[i];
      table_sy[i] = with_s_[m_ + i];
      table_yy[i * m_] = table_yy[i] = with_y_[m_ + i];
    }
    for (int64_t i = m_ - 1; i > 0; --i) inverse[i] = inverse[i - 1];
    inverse[0] = 1 / curvature;
  }

  // Computes -H g by the two-loop recursion on inner products.
  void apply_two_loops(int64_t r) {
    const T* pairs = call_.pairs + r * 2 * m_ * size_;
    const T *sy = call_.sy + r * m_ * m_, *yy = call_.yy + r * m_ * m_,
            *inverse = call_.inverse + r * m_;
    const T scale = inverse[0] > 0 ? sy[0] / (yy[0] > 0 ? yy[0] : T(1)) : *call_.first.at(r);
    for (int64_t i = 0; i < m_; ++i) {
      T sum = with_g_[i];
      for (int64_t j = 0; j < i; ++j) sum -= alpha_[j] * sy[i * m_ + j];
      alpha_[i] = inverse[i] * sum;
    }
    for (int64_t i = m_ - 1; i >= 0; --i) {
      T forward = with_g_[m_ + i], back = 0;
      for (int64_t j = 0; j < m_; ++j) forward -= yy[i * m_ + j] * alpha_[j];
      for (int64_t j = i + 1; j < m_; ++j) back += c_[j] * sy[j * m_ + i];
      c_[i] = alpha_[i] - inverse[i] * (scale * forward + back);
    }
    Vec<T> slope{};
    for (int64_t at = 0; at < size_; at += lanes<T>) {
      Vec<T> step = scale * load<T>(g_ + at);
      for (int64_t i = 0; i < m_; ++i) {
        step += c_[i] * load_part(pairs + i * size_, at, size_);
        step -= scale * alpha_[i] * load_part(pairs + (m_ + i) * size_, at, size_);
      }
      store<T>(s_ + at, step);
      slope += step * load<T>(g_ + at);
    }
    const Vec<T> sign = broadcast<T>(sum_lanes<T>(slope) < 0 ? T(1) : T(-1));
    T* moved = call_.step + r * size_;
    for (int64_t at = 0; at < size_; at += lanes<T>)
      store_part(moved, at, size_, sign * load<T>(s_ + at));
  }

  const Lbfgs<T>& call_;
  const int64_t size_, m_;
  T *s_, *y_, *g_;  // the last step, the change of the gradient, the gradient
  T *parts_, *with_s_, *with_y_, *with_g_;  // of every row of the history
  T *alpha_, *c_;
};

}  // namespace

namespace hopgym {
namespace HOPGYM_ISA {

template <class T>
int64_t lbfgs_scratch(const Lbfgs<T>& call) {
  return History<T>::count_scratch(call);
}

template <class T>
void lbfgs(const Lbfgs<T>& call, T* scratch, int64_t begin, int64_t end) {
  History<T> history(call, scratch);
  for (int64_t r = begin; r < end; ++r) history.compute(r);
}

template int64_t lbfgs_scratch(const Lbfgs<float>&);
template int64_t lbfgs_scratch(const Lbfgs<double>&);
template void lbfgs(const Lbfgs<float>&, float*, int64_t, int64_t);
template void lbfgs(const Lbfgs<double>&, double*, int64_t, int64_t);

}  // namespace HOPGYM_ISA
}  // namespace hopgym
