// An update of L-BFGS (hopgym/optimizers/lbfgs.py). Lanes hold the coordinates of one
// replica, whose history is read twice; in the two-loop recursion, which needs inner products
// only, they hold the replicas of a block.

#include <limits>

#include "kernels.h"

namespace {

using hopgym::Lbfgs;
using hopgym::LbfgsLimit;

// Sums the lanes of each of `count` vectors, which are stored one after the other and padded
// to a multiple of the number of lanes. As `transpose`, but two vectors become one.
template <class T>
void sum_lanes_of(const T* vectors, int64_t count, T* sums) {
  constexpr int L = lanes<T>;
  constexpr auto every = std::make_index_sequence<L>();
  for (int64_t k = 0; k < count; k += L) {
    Vec<T> part[L];
    HOPGYM_UNROLL
    for (int l = 0; l < L; ++l) part[l] = load<T>(vectors + (k + l) * L);
    HOPGYM_UNROLL
    for (int half = L / 2; half > 0; half /= 2) {
      HOPGYM_UNROLL
      for (int l = 0; l < half; ++l)
        part[l] = interleave<T, 0>(part[l], part[l + half], every) +
                  interleave<T, 1>(part[l], part[l + half], every);
    }
    store<T>(sums + k, part[0]);
  }
}

// Moves `count` numbers up by `by`.
template <class T>
void move_up(T* numbers, int64_t count, int64_t by) {
  if (count < lanes<T>) {
    for (int64_t k = count - 1; k >= 0; --k) numbers[k + by] = numbers[k];
    return;
  }
  const Vec<T> first = load<T>(numbers);
  for (int64_t at = count - lanes<T>; at > 0; at -= lanes<T>)
    store<T>(numbers + at + by, load<T>(numbers + at));
  store<T>(numbers + by, first);
}

// The length of the longest of the rows (x, y, z); NaN if any number is NaN.
template <class T>
class LongestRow {
 public:
  LongestRow() {
    for (int phase = 0; phase < 3; ++phase)
      for (int l = 0; l < lanes<T>; ++l) starts_[phase][l] = (phase + l) % 3 == 0 ? -1 : 0;
  }

  T find(const T* rows, int64_t size) const {
    Vec<T> longest{};
    Int<T> invalid{};
    int64_t at = 0;
    int phase = 0;
    const auto add = [&](Vec<T> x, Vec<T> y, Vec<T> z) {
      const Vec<T> squared = x * x + y * y + z * z;
      invalid |= squared != squared;
      longest = max<T>(longest, select<T>(starts_[phase], squared, Vec<T>{}));
      phase = (phase + lanes<T>) % 3;
    };
    T few[lanes<T> + 2] = {};
    if (size < lanes<T> + 2) {
      std::copy_n(rows, size, few);
      rows = few, size = lanes<T> + 2;
    }
    for (; at + lanes<T> + 2 <= size; at += lanes<T>)
      add(load<T>(rows + at), load<T>(rows + at + 1), load<T>(rows + at + 2));
    // The last rows, some of them for a second time.
    at = size - lanes<T> - 2;
    phase = int(at % 3);
    add(load<T>(rows + at), load<T>(rows + at + 1), load<T>(rows + at + 2));
    if (any<T>(invalid)) return std::numeric_limits<T>::quiet_NaN();
    return std::sqrt(fold_lanes<T>(longest, [](Vec<T> a, Vec<T> b) { return max<T>(a, b); }));
  }

 private:
  Int<T> starts_[3];  // lanes where a row starts, by the remainder of the first one
};

template <class T>
class Updates {
 public:
  Updates(const Lbfgs<T>& call, T* scratch)
      : call_(call),
        size_(3 * call.atoms),
        m_(call.memory),
        width_(round_up_to_vectors<T>(size_)),
        products_(round_up_to_vectors<T>(5 * m_)),
        pairs_(round_up_to_vectors<T>(m_ * m_)) {
    const int64_t L = lanes<T>, singles = round_up_to_vectors<T>(m_);
    s_ = take(scratch, width_), y_ = take(scratch, width_), g_ = take(scratch, width_);
    parts_ = take(scratch, std::max(products_, L) * L);
    sums_ = take(scratch, products_ * L);
    with_ = take(scratch, products_ * L);
    sy_ = take(scratch, pairs_ * L), yy_ = take(scratch, pairs_ * L);
    inverse_ = take(scratch, singles * L);
    alpha_ = take(scratch, m_ * L), c_ = take(scratch, m_ * L);
    scale_ = take(scratch, L), first_ = take(scratch, L), slopes_ = take(scratch, L);
  }

  static int64_t count_scratch(const Lbfgs<T>& call) {
    const int64_t L = lanes<T>, m = call.memory,
                  products = round_up_to_vectors<T>(5 * m);
    return 3 * round_up_to_vectors<T>(3 * call.atoms) +
           L * (std::max(products, L) + 2 * products + 2 * round_up_to_vectors<T>(m * m) +
                round_up_to_vectors<T>(m) + 2 * m + 3);
  }

  // Updates a block of replicas, at most one for each lane.
  void compute(int64_t begin, int64_t count) {
    begin_ = begin, count_ = count;
    for (int64_t b = 0; b < count; ++b) start(b);
    const int64_t r = begin, square = m_ * m_;
    bring_into_lanes(sums_, products_, products_, with_);
    bring_into_lanes(call_.sy + r * square, square, square, sy_);
    bring_into_lanes(call_.yy + r * square, square, square, yy_);
    bring_into_lanes(call_.inverse + r * m_, m_, m_, inverse_);
    apply_two_loops();
    for (int64_t b = 0; b < count; ++b) combine(b);
    sum_lanes_of(parts_, lanes<T>, slopes_);
    for (int64_t b = 0; b < count; ++b) finish(b);
  }

 private:
  static T* take(T*& scratch, int64_t size) {
    T* const taken = scratch;
    scratch += size;
    return taken;
  }

  // Calls `work(at, read)` for every vector of a row: `read` loads a whole vector, or that at
  // the end of a row. Compilers fuse products and sums within `work` in both cases.
  template <class Work>
  HOPGYM_INLINE void for_each_vector(const Work& work) const {
    int64_t at = 0;
    for (; at + lanes<T> <= size_; at += lanes<T>)
      work(at, [](const T* from) { return load<T>(from); });
    if (const int64_t rest = size_ - at)
      work(at, [rest](const T* from) { return load_first(from, rest); });
  }

  T* pairs(int64_t r) const { return call_.pairs + r * 2 * m_ * size_; }

  // Accepts or refuses the trial step, and checks for convergence.
  void start(int64_t b) {
    const int64_t r = begin_ + b;
    const T value = *call_.value.at(r), change = value - call_.last_energy[r],
            rounding = 4 * std::numeric_limits<T>::epsilon() * std::abs(value);
    const T* const limits = call_.limits.at(r);
    const bool fresh = *call_.fresh.at(r);
    const bool rose = change > limits[int(LbfgsLimit::rise)] + rounding;
    // Shortened ten times, the trial step is below rounding: accept it.
    accepted_[b] = fresh || !rose || call_.shortened[r] >= 10;
    first_[b] = limits[int(LbfgsLimit::first)];

    const int32_t flat = std::abs(change) <= rounding && !fresh ? call_.flat[r] + 1 : 0;
    const T largest = longest_row_.find(call_.gradient.at(r), size_);
    call_.finished[r] =
        largest < limits[int(LbfgsLimit::force)] || flat >= *call_.patience.at(r);
    if (accepted_[b]) {
      call_.last_energy[r] = value;
      call_.shortened[r] = 0;
      call_.flat[r] = flat;
      remember(b, !fresh);
    } else {
      ++call_.shortened[r];
      std::fill_n(sums_ + b * products_, products_, T(0));
    }
  }

  // Prepends the last step to the history, if `keep` and it has positive curvature.
  void remember(int64_t b, bool keep) {
    const int64_t r = begin_ + b;
    const T *x = call_.positions.at(r), *g = call_.gradient.at(r);
    T *x0 = call_.last_positions + r * size_, *g0 = call_.last_gradient + r * size_;
    Vec<T> ss{}, sy{}, yy{};
    for_each_vector([&](int64_t at, auto read) {
      const Vec<T> slope = read(g + at), s = read(x + at) - read(x0 + at),
                   y = slope - read(g0 + at);
      store<T>(s_ + at, s);
      store<T>(y_ + at, y);
      store<T>(g_ + at, slope);
      ss += s * s;
      sy += s * y;
      yy += y * y;
    });
    std::copy_n(x, size_, x0);
    std::copy_n(g, size_, g0);
    const T curvature = sum_lanes<T>(sy), stiffness = sum_lanes<T>(yy);
    const bool useful = keep && curvature > T(1e-8) * std::sqrt(stiffness * sum_lanes<T>(ss));

    // From the oldest to the newest: each row is overwritten by the next newer one.
    T* const rows = pairs(r);
    T* const sums = sums_ + b * products_;
    if (!useful) {
      for (int64_t k = 0; k < 2 * m_; ++k) multiply_row<false, false>(rows + k * size_, nullptr, k);
      sum_lanes_of(parts_, 2 * m_, sums);
      return;
    }
    for (int64_t k = 2 * m_ - 1; k >= m_; --k) {
      T* const row = rows + k * size_;
      multiply_row<true, true>(k == m_ ? y_ : row - size_, row, k);
    }
    for (int64_t k = m_ - 1; k >= 0; --k) {
      T* const row = rows + k * size_;
      multiply_row<true, false>(k == 0 ? s_ : row - size_, row, k);
    }
    sum_lanes_of(parts_, 5 * m_, sums);

    const T *with_y = sums + 2 * m_, *with_s = with_y + m_;
    T *table_sy = call_.sy + r * m_ * m_, *table_yy = call_.yy + r * m_ * m_;
    T* inverse = call_.inverse + r * m_;
    // Down and right by one.
    move_up(table_sy, m_ * m_ - m_ - 1, m_ + 1);
    move_up(table_yy, m_ * m_ - m_ - 1, m_ + 1);
    for (int64_t i = 0; i < m_; ++i) {
      table_sy[i * m_] = with_y[i];
      table_yy[i * m_] = table_yy[i] = with_y[m_ + i];
    }
    for (int64_t i = 0; i < m_; ++i) table_sy[i] = with_s[m_ + i];
    move_up(inverse, m_ - 1, 1);
    inverse[0] = 1 / curvature;
  }

  // Multiplies row `k` of the history by the gradient, and if `moves` by y, and by s if that
  // is needed; stores it in its new place. `sum_lanes_of` then sums over lanes.
  template <bool moves, bool needs_s>
  HOPGYM_INLINE void multiply_row(const T* from, T* to, int64_t k) {
    Vec<T> s{}, y{}, g{};
    const auto add = [&](int64_t at, Vec<T> x) {
      if (needs_s) s += x * load<T>(s_ + at);
      if (moves) y += x * load<T>(y_ + at);
      g += x * load<T>(g_ + at);
    };
    // Loaded before anything is stored: it reaches beyond the row, to where that may be.
    const int64_t whole = size_ / lanes<T> * lanes<T>;
    const Vec<T> rest = load_part(from, whole, size_);
    for (int64_t at = 0; at < whole; at += lanes<T>) {
      const Vec<T> x = load<T>(from + at);
      add(at, x);
      if (moves) store<T>(to + at, x);
    }
    if (whole < size_) {
      add(whole, rest);
      // A part of a vector is stored more slowly than a whole one.
      const int64_t last = size_ - lanes<T>;
      if (moves && last >= 0)
        store<T>(to + last, load<T>(from + last));
      else if (moves)
        store_first(to, size_, rest);
    }
    store<T>(parts_ + k * lanes<T>, g);
    if (moves) store<T>(parts_ + (2 * m_ + k) * lanes<T>, y);
    if (needs_s) store<T>(parts_ + (3 * m_ + k) * lanes<T>, s);
  }

  // From `width` numbers for each replica of the block to a vector for each number.
  void bring_into_lanes(const T* numbers, int64_t stride, int64_t width, T* vectors) const {
    for (int64_t k = 0; k < width; k += lanes<T>) {
      Vec<T> part[lanes<T>];
      for (int b = 0; b < lanes<T>; ++b)
        part[b] = b < count_ ? load_part(numbers + b * stride, k, width) : Vec<T>{};
      transpose<T>(part);
      for (int b = 0; b < lanes<T>; ++b) store<T>(vectors + (k + b) * lanes<T>, part[b]);
    }
  }

  // Computes the coefficients of -H g by the two-loop recursion on inner products.
  void apply_two_loops() {
    const auto at = [](const T* vectors, int64_t k) { return load<T>(vectors + k * lanes<T>); };
    const Vec<T> zero{}, one = broadcast<T>(1);
    const Vec<T> sy = at(sy_, 0), yy = at(yy_, 0);
    const Vec<T> scale = select<T>(at(inverse_, 0) > zero, sy / select<T>(yy > zero, yy, one),
                                   load<T>(first_));
    for (int64_t i = 0; i < m_; ++i) {
      Vec<T> sum = at(with_, i);
      for (int64_t j = 0; j < i; ++j) sum -= at(alpha_, j) * at(sy_, i * m_ + j);
      store<T>(alpha_ + i * lanes<T>, at(inverse_, i) * sum);
    }
    for (int64_t i = m_ - 1; i >= 0; --i) {
      Vec<T> forward = at(with_, m_ + i), back{};
      for (int64_t j = 0; j < m_; ++j) forward -= at(yy_, i * m_ + j) * at(alpha_, j);
      for (int64_t j = i + 1; j < m_; ++j) back += at(c_, j) * at(sy_, j * m_ + i);
      store<T>(c_ + i * lanes<T>,
               at(alpha_, i) - at(inverse_, i) * (scale * forward + back));
    }
    for (int64_t i = 0; i < m_; ++i) {
      const Vec<T> weight = scale * at(alpha_, i);
      store<T>(alpha_ + i * lanes<T>, weight);
    }
    store<T>(scale_, scale);
  }

  // Computes H g, or -H g: the sign is known when its product with g has been summed.
  void combine(int64_t b) {
    const int64_t r = begin_ + b;
    Vec<T> slope{};
    if (accepted_[b]) {
      const T *rows = pairs(r), *g = call_.gradient.at(r);
      T* const step = call_.trial + r * size_;
      const Vec<T> scale = broadcast<T>(scale_[b]);
      for_each_vector([&](int64_t at, auto read) {
        const Vec<T> gradient = read(g + at);
        Vec<T> sum = scale * gradient;
        for (int64_t i = 0; i < m_; ++i) {
          sum += broadcast<T>(c_[i * lanes<T> + b]) * read(rows + i * size_ + at);
          sum -= broadcast<T>(alpha_[i * lanes<T> + b]) * read(rows + (m_ + i) * size_ + at);
        }
        store_part(step, at, size_, sum);
        slope += sum * gradient;
      });
    }
    store<T>(parts_ + b * lanes<T>, slope);
  }

  // Scales the trial step: so that no atom moves too far, or to a tenth after a refusal.
  void finish(int64_t b) {
    const int64_t r = begin_ + b;
    T* const trial = call_.trial + r * size_;
    T factor = T(0.1);
    if (accepted_[b]) {
      const T limit = call_.limits.at(r)[int(LbfgsLimit::step)];
      const T longest = longest_row_.find(trial, size_);
      factor = limit / (longest <= limit ? limit : longest);
      if (!(slopes_[b] < 0)) factor = -factor;
    }
    const T *x = call_.positions.at(r), *origin = call_.last_positions + r * size_;
    T* const displacement = call_.displacement + r * size_;
    const bool finished = call_.finished[r];
    for (int64_t at = 0; at < size_; at += lanes<T>) {
      const Vec<T> step = factor * load_part(trial, at, size_);
      store_part(trial, at, size_, step);
      const Vec<T> back = load_part(origin, at, size_) - load_part(x, at, size_);
      store_part(displacement, at, size_, finished ? Vec<T>{} : back + step);
    }
  }

  const Lbfgs<T>& call_;
  const int64_t size_, m_, width_, products_, pairs_;
  const LongestRow<T> longest_row_;
  int64_t begin_ = 0, count_ = 0;  // the block
  bool accepted_[lanes<T>] = {};
  T *s_, *y_, *g_;           // the last step, the change of the gradient, the gradient
  T *parts_, *sums_;         // of products of the history: with g, with y, of y with s
  T *with_, *sy_, *yy_, *inverse_;  // the replicas of the block in lanes
  T *alpha_, *c_, *scale_, *first_, *slopes_;
};

}  // namespace

namespace hopgym {
namespace HOPGYM_ISA {

template <class T>
int64_t lbfgs_scratch(const Lbfgs<T>& call) {
  return Updates<T>::count_scratch(call);
}

template <class T>
void lbfgs(const Lbfgs<T>& call, T* scratch, int64_t begin, int64_t end) {
  Updates<T> updates(call, scratch);
  for (int64_t r = begin; r < end; r += lanes<T>)
    updates.compute(r, std::min<int64_t>(lanes<T>, end - r));
}

template int64_t lbfgs_scratch(const Lbfgs<float>&);
template int64_t lbfgs_scratch(const Lbfgs<double>&);
template void lbfgs(const Lbfgs<float>&, float*, int64_t, int64_t);
template void lbfgs(const Lbfgs<double>&, double*, int64_t, int64_t);

}  // namespace HOPGYM_ISA
}  // namespace hopgym
