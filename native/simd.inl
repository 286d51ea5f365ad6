// Vectors of HOPGYM_BYTES bytes. Included by files that are compiled once for each
// instruction set.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#if HOPGYM_BYTES > 16
#include <immintrin.h>
#endif

#include "kernels.h"

#define HOPGYM_UNROLL _Pragma("GCC unroll 20")
#define HOPGYM_INLINE inline __attribute__((always_inline))

namespace {

template <class T>
struct Vectors;

template <>
struct Vectors<float> {
  typedef float V __attribute__((vector_size(HOPGYM_BYTES)));
  typedef int32_t I __attribute__((vector_size(HOPGYM_BYTES)));
};

template <>
struct Vectors<double> {
  typedef double V __attribute__((vector_size(HOPGYM_BYTES)));
  typedef int64_t I __attribute__((vector_size(HOPGYM_BYTES)));
};

template <class T>
using Vec = typename Vectors<T>::V;
template <class T>
using Int = typename Vectors<T>::I;

template <class T>
constexpr int lanes = HOPGYM_BYTES / sizeof(T);

template <class T>
HOPGYM_INLINE Vec<T> load(const T* from) {
  Vec<T> x;
  std::memcpy(&x, from, sizeof x);
  return x;
}

template <class T>
HOPGYM_INLINE void store(T* to, Vec<T> x) {
  std::memcpy(to, &x, sizeof x);
}

template <class T>
HOPGYM_INLINE Vec<T> broadcast(T x) {
  return x - Vec<T>{};
}

template <class T>
HOPGYM_INLINE Int<T> to_bits(Vec<T> x) {
  Int<T> i;
  std::memcpy(&i, &x, sizeof i);
  return i;
}

template <class T>
HOPGYM_INLINE Vec<T> from_bits(Int<T> i) {
  Vec<T> x;
  std::memcpy(&x, &i, sizeof x);
  return x;
}

// a where the mask is set, else b.
template <class T>
HOPGYM_INLINE Vec<T> select(Int<T> mask, Vec<T> a, Vec<T> b) {
  return mask ? a : b;
}

// Where either is NaN, the second of the two.
#if HOPGYM_BYTES == 64
HOPGYM_INLINE Vec<float> max_of(Vec<float> a, Vec<float> b) {
  return (Vec<float>)_mm512_max_ps((__m512)a, (__m512)b);
}
HOPGYM_INLINE Vec<float> min_of(Vec<float> a, Vec<float> b) {
  return (Vec<float>)_mm512_min_ps((__m512)a, (__m512)b);
}
HOPGYM_INLINE Vec<double> max_of(Vec<double> a, Vec<double> b) {
  return (Vec<double>)_mm512_max_pd((__m512d)a, (__m512d)b);
}
HOPGYM_INLINE Vec<double> min_of(Vec<double> a, Vec<double> b) {
  return (Vec<double>)_mm512_min_pd((__m512d)a, (__m512d)b);
}
#else
template <class V>
HOPGYM_INLINE V max_of(V a, V b) {
  return a > b ? a : b;
}
template <class V>
HOPGYM_INLINE V min_of(V a, V b) {
  return a < b ? a : b;
}
#endif

template <class T>
HOPGYM_INLINE Vec<T> max(Vec<T> a, Vec<T> b) {
  return max_of(a, b);
}

template <class T>
HOPGYM_INLINE Vec<T> min(Vec<T> a, Vec<T> b) {
  return min_of(a, b);
}

template <class T, int many>
HOPGYM_INLINE Vec<T> min_of_all(const Vec<T> (&x)[many]) {
  Vec<T> found = x[0];
  HOPGYM_UNROLL
  for (int k = 1; k < many; ++k) found = min<T>(found, x[k]);
  return found;
}

template <class T>
HOPGYM_INLINE Vec<T> clamp(Vec<T> x, T limit) {
  return min<T>(max<T>(x, broadcast<T>(-limit)), broadcast<T>(limit));
}

template <class T>
HOPGYM_INLINE Vec<T> abs(Vec<T> x) {
  return max<T>(x, -x);
}

// 0, 1, 2, ...
template <class T>
HOPGYM_INLINE Int<T> get_lane_numbers() {
  Int<T> lane;
  for (int l = 0; l < lanes<T>; ++l) lane[l] = l;
  return lane;
}

// An integer of the type that lanes of integers have.
template <class T>
HOPGYM_INLINE auto to_lane(int64_t number) {
  return decltype(Int<T>{}[0] + 0)(number);
}

// The count rounded up to whole vectors.
template <class T>
constexpr int64_t round_up_to_vectors(int64_t count) {
  return (count + lanes<T> - 1) / lanes<T> * lanes<T>;
}

// Whether the mask is set in any lane.
template <class T>
HOPGYM_INLINE bool any(Int<T> mask) {
#if HOPGYM_BYTES == 64
  return _mm512_test_epi64_mask((__m512i)mask, (__m512i)mask) != 0;
#elif HOPGYM_BYTES == 32
  return !_mm256_testz_si256((__m256i)mask, (__m256i)mask);
#else
  decltype(mask[0] + 0) found = 0;
  for (int l = 0; l < lanes<T>; ++l) found |= mask[l];
  return found != 0;
#endif
}

// Whether a is less than b in any lane.
#if HOPGYM_BYTES == 64
HOPGYM_INLINE bool any_less(Vec<float> a, Vec<float> b) {
  return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OQ) != 0;
}
HOPGYM_INLINE bool any_less(Vec<double> a, Vec<double> b) {
  return _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_LT_OQ) != 0;
}
#else
HOPGYM_INLINE bool any_less(Vec<float> a, Vec<float> b) { return any<float>(a < b); }
HOPGYM_INLINE bool any_less(Vec<double> a, Vec<double> b) { return any<double>(a < b); }
#endif

}  // namespace
