// Rows that end within a vector, and the exchange and combination of lanes.

#include "kernels.h"

namespace {

// The first lanes of a vector, but not all.
#if HOPGYM_BYTES == 64
HOPGYM_INLINE Vec<float> load_first(const float* from, int64_t count) {
  return (Vec<float>)_mm512_maskz_loadu_ps(__mmask16((1u << count) - 1), from);
}
HOPGYM_INLINE Vec<double> load_first(const double* from, int64_t count) {
  return (Vec<double>)_mm512_maskz_loadu_pd(__mmask8((1u << count) - 1), from);
}
HOPGYM_INLINE void store_first(float* to, int64_t count, Vec<float> x) {
  _mm512_mask_storeu_ps(to, __mmask16((1u << count) - 1), (__m512)x);
}
HOPGYM_INLINE void store_first(double* to, int64_t count, Vec<double> x) {
  _mm512_mask_storeu_pd(to, __mmask8((1u << count) - 1), (__m512d)x);
}
#elif HOPGYM_BYTES == 32
HOPGYM_INLINE __m256i first_bytes(int64_t count) {
  alignas(64) static constexpr int64_t kMask[8] = {-1, -1, -1, -1, 0, 0, 0, 0};
  return _mm256_loadu_si256((const __m256i*)((const char*)kMask + 32 - count));
}
HOPGYM_INLINE Vec<float> load_first(const float* from, int64_t count) {
  return (Vec<float>)_mm256_maskload_ps(from, first_bytes(4 * count));
}
HOPGYM_INLINE Vec<double> load_first(const double* from, int64_t count) {
  return (Vec<double>)_mm256_maskload_pd(from, first_bytes(8 * count));
}
// In pieces: many processors have slow masked stores.
HOPGYM_INLINE void store_first(float* to, int64_t count, Vec<float> x) {
  __m128 rest = _mm256_castps256_ps128((__m256)x);
  if (count & 4) {
    _mm_storeu_ps(to, rest);
    rest = _mm256_extractf128_ps((__m256)x, 1);
    to += 4;
  }
  if (count & 2) {
    _mm_storel_pi((__m64*)to, rest);
    rest = _mm_movehl_ps(rest, rest);
    to += 2;
  }
  if (count & 1) _mm_store_ss(to, rest);
}
HOPGYM_INLINE void store_first(double* to, int64_t count, Vec<double> x) {
  __m128d rest = _mm256_castpd256_pd128((__m256d)x);
  if (count & 2) {
    _mm_storeu_pd(to, rest);
    rest = _mm256_extractf128_pd((__m256d)x, 1);
    to += 2;
  }
  if (count & 1) _mm_store_sd(to, rest);
}
#else
template <class T>
HOPGYM_INLINE Vec<T> load_first(const T* from, int64_t count) {
  Vec<T> x{};
  for (int64_t l = 0; l < count; ++l) x[l] = from[l];
  return x;
}
template <class T>
HOPGYM_INLINE void store_first(T* to, int64_t count, Vec<T> x) {
  for (int64_t l = 0; l < count; ++l) to[l] = x[l];
}
#endif

// The vector at `at` of a row, which may end within the vector or before it; zero beyond.
template <class T>
HOPGYM_INLINE Vec<T> load_part(const T* row, int64_t at, int64_t width) {
  if (at + lanes<T> <= width) return load<T>(row + at);
  return at < width ? load_first(row + at, width - at) : Vec<T>{};
}

template <class T>
HOPGYM_INLINE void store_part(T* row, int64_t at, int64_t width, Vec<T> x) {
  if (at + lanes<T> <= width)
    store<T>(row + at, x);
  else if (at < width)
    store_first(row + at, width - at, x);
}

// Lanes chosen from two vectors, numbered consecutively.
template <class T, int... from>
HOPGYM_INLINE Vec<T> shuffle(Vec<T> a, Vec<T> b) {
#if defined(__clang__) || __GNUC__ >= 12
  return __builtin_shufflevector(a, b, from...);
#else
  return __builtin_shuffle(a, b, Int<T>{from...});
#endif
}

// Interleaves the lanes of the first or second halves of two vectors.
template <class T, int half, std::size_t... k>
HOPGYM_INLINE Vec<T> interleave(Vec<T> a, Vec<T> b, std::index_sequence<k...>) {
  constexpr int L = lanes<T>;
  return shuffle<T, (half * L / 2 + int(k) / 2 + int(k) % 2 * L)...>(a, b);
}

// Combines all lanes with a commutative operation: halves, quarters, and so on.
template <class T, class Combine>
HOPGYM_INLINE T fold_lanes(Vec<T> x, Combine combine) {
  constexpr auto every = std::make_index_sequence<lanes<T>>();
  for (int round = 1; round < lanes<T>; round *= 2)
    x = combine(interleave<T, 0>(x, x, every), interleave<T, 1>(x, x, every));
  return x[0];
}

template <class T>
HOPGYM_INLINE T sum_lanes(Vec<T> x) {
  return fold_lanes<T>(x, [](Vec<T> a, Vec<T> b) { return a + b; });
}

// Transposes vectors and lanes: every round moves the first bit of a lane's number into the
// number of its vector.
template <class T>
HOPGYM_INLINE void transpose(Vec<T> (&v)[lanes<T>]) {
  constexpr int L = lanes<T>;
  constexpr auto every = std::make_index_sequence<L>();
  HOPGYM_UNROLL
  for (int round = 1; round < L; round *= 2) {
    Vec<T> next[L];
    HOPGYM_UNROLL
    for (int k = 0; k < L / 2; ++k) {
      next[2 * k] = interleave<T, 0>(v[k], v[k + L / 2], every);
      next[2 * k + 1] = interleave<T, 1>(v[k], v[k + L / 2], every);
    }
    HOPGYM_UNROLL
    for (int k = 0; k < L; ++k) v[k] = next[k];
  }
}

}  // namespace
