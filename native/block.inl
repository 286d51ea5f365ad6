// Replicas in lanes: a block of them as vectors, and back.

#include "kernels.h"

namespace {

using hopgym::Operand;

// A parameter of the potential, which replicas may have of their own, for a block. Lanes
// beyond `count` repeat the first replica.
template <class T>
Vec<T> parameter(const Operand<T>& operand, int64_t begin, int64_t count, int64_t index = 0) {
  Vec<T> x;
  for (int l = 0; l < lanes<T>; ++l) x[l] = operand.at(begin + (l < count ? l : 0))[index];
  return x;
}

// Positions times `scale`, coordinate by coordinate, bounded by `limit`.
template <class T>
void gather(const Operand<T>& positions, int64_t begin, int64_t count, int64_t coordinates,
            T limit, Vec<T> scale, T* x) {
  for (int l = 0; l < lanes<T>; ++l) {
    const T* from = positions.at(begin + (l < count ? l : 0));
    for (int64_t k = 0; k < coordinates; ++k) {
      const T value = from[k] > limit ? limit : from[k] < -limit ? -limit : from[k];
      x[k * lanes<T> + l] = value * scale[l];
    }
  }
}

template <class T>
void scatter(const T* g, int64_t begin, int64_t count, int64_t coordinates, Vec<T> scale,
             T* gradient) {
  for (int l = 0; l < count; ++l) {
    T* to = gradient + (begin + l) * coordinates;
    for (int64_t k = 0; k < coordinates; ++k) to[k] = g[k * lanes<T> + l] * scale[l];
  }
}

// A vector in space of each lane.
template <class T>
struct Space {
  Vec<T> x, y, z;
};

template <class T>
HOPGYM_INLINE Space<T> load_space(const T* from) {
  return {load<T>(from), load<T>(from + lanes<T>), load<T>(from + 2 * lanes<T>)};
}

template <class T>
HOPGYM_INLINE void add(T* to, const Space<T>& v) {
  store<T>(to, load<T>(to) + v.x);
  store<T>(to + lanes<T>, load<T>(to + lanes<T>) + v.y);
  store<T>(to + 2 * lanes<T>, load<T>(to + 2 * lanes<T>) + v.z);
}

template <class T>
HOPGYM_INLINE void subtract(T* to, const Space<T>& v) {
  store<T>(to, load<T>(to) - v.x);
  store<T>(to + lanes<T>, load<T>(to + lanes<T>) - v.y);
  store<T>(to + 2 * lanes<T>, load<T>(to + 2 * lanes<T>) - v.z);
}

template <class T>
HOPGYM_INLINE Space<T> operator-(const Space<T>& a, const Space<T>& b) {
  return {a.x - b.x, a.y - b.y, a.z - b.z};
}

template <class T>
HOPGYM_INLINE Space<T> operator+(const Space<T>& a, const Space<T>& b) {
  return {a.x + b.x, a.y + b.y, a.z + b.z};
}

template <class T>
HOPGYM_INLINE Space<T> operator*(Vec<T> a, const Space<T>& b) {
  return {a * b.x, a * b.y, a * b.z};
}

template <class T>
HOPGYM_INLINE Vec<T> dot(const Space<T>& a, const Space<T>& b) {
  return a.x * b.x + a.y * b.y + a.z * b.z;
}

}  // namespace
