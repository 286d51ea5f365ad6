// Points of a cluster in units of length, the score of places among them, and the random
// numbers of moves (hopgym/optimizers/symmetry/). Lanes hold the points.

#include "kernels.h"

namespace {

using hopgym::kMostOperations;

// Random numbers that depend on a seed, a round and an index only, so that JAX can draw those
// of a whole round at once.
class RandomNumbers {
 public:
  explicit RandomNumbers(const int32_t* seed) : first_(seed[0]), second_(seed[1]) {}

  template <class T>
  T draw(uint32_t round, uint32_t index) const {
    const uint32_t row = mix(first_ ^ mix(round + 0x9e3779b9u));
    return T(mix((row + second_) ^ mix(index + 0x85ebca6bu)) >> 8) * T(1.0 / (1 << 24));
  }

 private:
  static uint32_t mix(uint32_t x) {
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
  }

  uint32_t first_, second_;
};

template <class T>
struct Point {
  T x, y, z;
};

template <class T>
HOPGYM_INLINE Point<T> operator+(Point<T> a, Point<T> b) {
  return {a.x + b.x, a.y + b.y, a.z + b.z};
}
template <class T>
HOPGYM_INLINE Point<T> operator-(Point<T> a, Point<T> b) {
  return {a.x - b.x, a.y - b.y, a.z - b.z};
}
template <class T>
HOPGYM_INLINE Point<T> scale(T factor, Point<T> a) {
  return {factor * a.x, factor * a.y, factor * a.z};
}
template <class T>
HOPGYM_INLINE T dot(Point<T> a, Point<T> b) {
  return a.x * b.x + a.y * b.y + a.z * b.z;
}
template <class T>
HOPGYM_INLINE Point<T> cross(Point<T> a, Point<T> b) {
  return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
template <class T>
HOPGYM_INLINE Point<T> apply(const T* matrix, Point<T> a) {
  return {matrix[0] * a.x + matrix[1] * a.y + matrix[2] * a.z,
          matrix[3] * a.x + matrix[4] * a.y + matrix[5] * a.z,
          matrix[6] * a.x + matrix[7] * a.y + matrix[8] * a.z};
}
template <class T>
HOPGYM_INLINE Point<T> apply_transposed(const T* matrix, Point<T> a) {
  return {matrix[0] * a.x + matrix[3] * a.y + matrix[6] * a.z,
          matrix[1] * a.x + matrix[4] * a.y + matrix[7] * a.z,
          matrix[2] * a.x + matrix[5] * a.y + matrix[8] * a.z};
}

// A uniform direction, from two random numbers.
template <class T>
Point<T> get_direction(T height, T turn) {
  const T z = 2 * height - 1, radius = std::sqrt(std::max(T(0), 1 - z * z));
  const T angle = T(6.283185307179586) * turn;
  return {radius * std::cos(angle), radius * std::sin(angle), z};
}

constexpr double kFar = 1e6;       // coordinates of empty places
constexpr double kLimit = 1e5;     // of the coordinates of atoms: far from empty places
constexpr double kOverlap = 30.0;  // score of two points at less than 0.84 lengths

// Score of a pair of points by the square of their distance: the lower, the better bound.
template <class T>
HOPGYM_INLINE Vec<T> score_pairs(Vec<T> squared) {
  const Vec<T> reach = max<T>(broadcast<T>(T(4.9)) - squared, Vec<T>{}) * T(1.0 / 3);
  Vec<T> score = reach * reach * T(-0.08);
  score = select<T>(squared < T(1.9), broadcast<T>(T(-0.2)), score);
  score = select<T>(squared < T(1.5), broadcast<T>(T(-0.6)), score);
  score = select<T>(squared < T(1.25), broadcast<T>(T(-1)), score);
  return select<T>(squared < T(0.7), broadcast<T>(T(kOverlap)), score);
}

template <class T>
T score_pair(T squared) {
  return score_pairs<T>(broadcast<T>(squared))[0];
}

// A list of points, padded with points that are far away.
template <class T>
class Points {
 public:
  Points() = default;
  Points(T*& scratch, int64_t capacity) : capacity_(capacity) {
    const int64_t width = round_up_to_vectors<T>(capacity);
    for (T** axis : {&x_, &y_, &z_}) {
      *axis = scratch;
      scratch += width;
    }
  }

  static int64_t count_scratch(int64_t capacity) {
    return 3 * round_up_to_vectors<T>(capacity);
  }

  int64_t size() const { return size_; }
  bool is_full() const { return size_ == capacity_; }
  Point<T> operator[](int64_t k) const { return {x_[k], y_[k], z_[k]}; }

  void clear() { size_ = 0; }

  void put(int64_t k, Point<T> p) {
    x_[k] = p.x;
    y_[k] = p.y;
    z_[k] = p.z;
  }

  // The caller checks that there is a place.
  void add(Point<T> p) {
    if (size_ % lanes<T> == 0)
      for (int64_t k = size_; k < size_ + lanes<T>; ++k) put(k, {T(kFar), T(kFar), T(kFar)});
    put(size_++, p);
  }

  void shorten(int64_t size) {
    for (int64_t k = size; k < size_; ++k) put(k, {T(kFar), T(kFar), T(kFar)});
    size_ = size;
  }

  HOPGYM_INLINE Vec<T> get_squares(Point<T> p, int64_t at) const {
    const Vec<T> x = load<T>(x_ + at) - p.x, y = load<T>(y_ + at) - p.y,
                 z = load<T>(z_ + at) - p.z;
    return x * x + y * y + z * z;
  }

  // Whether a point is nearer to `p` than the root of `limit`.
  bool has_any_within(Point<T> p, T limit) const {
    for (int64_t at = 0; at < size_; at += lanes<T>)
      if (any_less(get_squares(p, at), broadcast<T>(limit))) return true;
    return false;
  }

  // The first point within the root of `limit` of `p`, or -1.
  int64_t find_within(Point<T> p, T limit) const {
    for (int64_t at = 0; at < size_; at += lanes<T>) {
      const Vec<T> squares = get_squares(p, at);
      if (!any_less(squares, broadcast<T>(limit))) continue;
      for (int64_t k = at; k < at + lanes<T>; ++k)
        if (squares[k - at] < limit) return k;
    }
    return -1;
  }

  // Sum of the scores of `p` with all points, with an overlap if it is one of them.
  T score(Point<T> p) const {
    Vec<T> sum{};
    for (int64_t at = 0; at < size_; at += lanes<T>) sum += score_pairs<T>(get_squares(p, at));
    return sum_lanes<T>(sum);
  }

 private:
  T *x_ = nullptr, *y_ = nullptr, *z_ = nullptr;
  int64_t capacity_ = 0, size_ = 0;
};

}  // namespace
