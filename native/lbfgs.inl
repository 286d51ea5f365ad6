// History and direction of L-BFGS (hopgym/optimizers/lbfgs.py). A replica's coordinates
// are in lanes; its history is read once.

#include "kernels.h"

namespace {

using hopgym::Lbfgs;

// The sum of all lanes.
template <class T>
T total(Vec<T> x) {
  T sum = 0;
  for (int l = 0; l < lanes<T>; ++l) sum += x[l];
  return sum;
}

template <class T>
class History {
 public:
  History(const Lbfgs<T>& call, T* scratch)
      : call_(call), size_(call.coordinates), m_(call.memory) {
    const int64_t width = whole_vectors<T>(size_);
    s_ = scratch, y_ = s_ + width, g_ = y_ + width;
    sg_ = g_ + width, yg_ = sg_ + m_, alpha_ = yg_ + m_, c_ = alpha_ + m_;
  }

  void replica(int64_t r) {
    remember(r);
    two_loops(r);
  }

 private:
  // The row of products of one row of the history with s, y and the gradient.
  struct Products {
    T s, y, g;
  };

  Products copy(const T* from, T* to) const {
    Vec<T> s{}, y{}, g{};
    for (int64_t at = 0; at < size_; at += lanes<T>) {
      const Vec<T> x = part(from, at, size_);
      s += x * load<T>(s_ + at);
      y += x * load<T>(y_ + at);
      g += x * load<T>(g_ + at);
      keep(to, at, size_, x);
    }
    return {total<T>(s), total<T>(y), total<T>(g)};
  }

  // The last step in front of the history, where it was accepted and is of use.
  void remember(int64_t r) {
    const T *x = call_.positions.at(r), *x0 = call_.last_positions.at(r),
            *g = call_.gradient.at(r), *g0 = call_.last_gradient.at(r);
    Vec<T> ss{}, sy{}, yy{};
    for (int64_t at = 0; at < size_; at += lanes<T>) {
      const Vec<T> slope = part(g, at, size_);
      const Vec<T> s = part(x, at, size_) - part(x0, at, size_);
      const Vec<T> y = slope - part(g0, at, size_);
      store<T>(s_ + at, s);
      store<T>(y_ + at, y);
      store<T>(g_ + at, slope);
      ss += s * s;
      sy += s * y;
      yy += y * y;
    }
    const T curvature = total<T>(sy), stiffness = total<T>(yy);
    const bool useful = *call_.keep.at(r) != 0 &&
                        curvature > T(1e-8) * std::sqrt(stiffness * total<T>(ss));

    const T* old = call_.pairs.at(r);
    const T *old_sy = call_.sy.at(r), *old_yy = call_.yy.at(r), *inverse = call_.inverse.at(r);
    T* pairs = call_.next_pairs + r * 2 * m_ * size_;
    T* table_sy = call_.next_sy + r * m_ * m_;
    T* table_yy = call_.next_yy + r * m_ * m_;
    T* next_inverse = call_.next_inverse + r * m_;
    for (int64_t i = 0; i < m_; ++i) {
      const bool first = useful && i == 0;
      const int64_t from = useful ? i - 1 : i;
      const Products of_s = copy(first ? s_ : old + from * size_, pairs + i * size_);
      const Products of_y =
          copy(first ? y_ : old + (m_ + from) * size_, pairs + (m_ + i) * size_);
      sg_[i] = of_s.g;
      yg_[i] = of_y.g;
      next_inverse[i] = first ? T(1) / curvature : inverse[from];
      for (int64_t j = 0; j < m_; ++j)
        if (!useful) {
          table_sy[i * m_ + j] = old_sy[i * m_ + j];
          table_yy[i * m_ + j] = old_yy[i * m_ + j];
        } else if (i > 0 && j > 0) {
          table_sy[i * m_ + j] = old_sy[(i - 1) * m_ + j - 1];
          table_yy[i * m_ + j] = old_yy[(i - 1) * m_ + j - 1];
        }
      if (useful) {
        table_sy[i * m_] = of_s.y;
        table_sy[i] = of_y.s;
        table_yy[i * m_] = table_yy[i] = of_y.y;
      }
    }
  }

  // -H g by the two-loop recursion on inner products.
  void two_loops(int64_t r) {
    const T* pairs = call_.next_pairs + r * 2 * m_ * size_;
    const T *sy = call_.next_sy + r * m_ * m_, *yy = call_.next_yy + r * m_ * m_,
            *inverse = call_.next_inverse + r * m_;
    const T scale = inverse[0] > 0 ? sy[0] / (yy[0] > 0 ? yy[0] : T(1)) : *call_.first.at(r);
    for (int64_t i = 0; i < m_; ++i) {
      T sum = sg_[i];
      for (int64_t j = 0; j < i; ++j) sum -= alpha_[j] * sy[i * m_ + j];
      alpha_[i] = inverse[i] * sum;
    }
    for (int64_t i = m_ - 1; i >= 0; --i) {
      T forward = yg_[i], back = 0;
      for (int64_t j = 0; j < m_; ++j) forward -= yy[i * m_ + j] * alpha_[j];
      for (int64_t j = i + 1; j < m_; ++j) back += c_[j] * sy[j * m_ + i];
      c_[i] = alpha_[i] - inverse[i] * (scale * forward + back);
    }
    Vec<T> slope{};
    for (int64_t at = 0; at < size_; at += lanes<T>) {
      Vec<T> step = scale * load<T>(g_ + at);
      for (int64_t i = 0; i < m_; ++i) {
        step += c_[i] * part(pairs + i * size_, at, size_);
        step -= scale * alpha_[i] * part(pairs + (m_ + i) * size_, at, size_);
      }
      store<T>(s_ + at, step);
      slope += step * load<T>(g_ + at);
    }
    const Vec<T> sign = all<T>(total<T>(slope) < 0 ? T(1) : T(-1));
    T* moved = call_.step + r * size_;
    for (int64_t at = 0; at < size_; at += lanes<T>)
      keep(moved, at, size_, sign * load<T>(s_ + at));
  }

  const Lbfgs<T>& call_;
  const int64_t size_, m_;
  T *s_, *y_, *g_, *sg_, *yg_, *alpha_, *c_;
};

}  // namespace

namespace hopgym {
namespace HOPGYM_ISA {

template <class T>
int64_t lbfgs_scratch(const Lbfgs<T>& call) {
  return 3 * whole_vectors<T>(call.coordinates) + 4 * call.memory;
}

template <class T>
void lbfgs(const Lbfgs<T>& call, T* scratch, int64_t begin, int64_t end) {
  History<T> history(call, scratch);
  for (int64_t r = begin; r < end; ++r) history.replica(r);
}

template int64_t lbfgs_scratch(const Lbfgs<float>&);
template int64_t lbfgs_scratch(const Lbfgs<double>&);
template void lbfgs(const Lbfgs<float>&, float*, int64_t, int64_t);
template void lbfgs(const Lbfgs<double>&, double*, int64_t, int64_t);

}  // namespace HOPGYM_ISA
}  // namespace hopgym
