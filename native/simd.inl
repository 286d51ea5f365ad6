// Vectors of the width that HOPGYM_BYTES says, and the functions on them that the
// kernels need. Included by files that are compiled once for each instruction set.

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
HOPGYM_INLINE Vec<T> all(T x) {
  return x - Vec<T>{};
}

template <class T>
HOPGYM_INLINE Int<T> bits(Vec<T> x) {
  Int<T> i;
  std::memcpy(&i, &x, sizeof i);
  return i;
}

template <class T>
HOPGYM_INLINE Vec<T> number(Int<T> i) {
  Vec<T> x;
  std::memcpy(&x, &i, sizeof x);
  return x;
}

// a where the mask is set, else b.
template <class T>
HOPGYM_INLINE Vec<T> choose(Int<T> mask, Vec<T> a, Vec<T> b) {
  return mask ? a : b;
}

// The second of the two where either is no number.
#if HOPGYM_BYTES == 64
HOPGYM_INLINE Vec<float> larger_of(Vec<float> a, Vec<float> b) {
  return (Vec<float>)_mm512_max_ps((__m512)a, (__m512)b);
}
HOPGYM_INLINE Vec<float> smaller_of(Vec<float> a, Vec<float> b) {
  return (Vec<float>)_mm512_min_ps((__m512)a, (__m512)b);
}
HOPGYM_INLINE Vec<double> larger_of(Vec<double> a, Vec<double> b) {
  return (Vec<double>)_mm512_max_pd((__m512d)a, (__m512d)b);
}
HOPGYM_INLINE Vec<double> smaller_of(Vec<double> a, Vec<double> b) {
  return (Vec<double>)_mm512_min_pd((__m512d)a, (__m512d)b);
}
#else
template <class V>
HOPGYM_INLINE V larger_of(V a, V b) {
  return a > b ? a : b;
}
template <class V>
HOPGYM_INLINE V smaller_of(V a, V b) {
  return a < b ? a : b;
}
#endif

template <class T>
HOPGYM_INLINE Vec<T> larger(Vec<T> a, Vec<T> b) {
  return larger_of(a, b);
}

template <class T>
HOPGYM_INLINE Vec<T> smaller(Vec<T> a, Vec<T> b) {
  return smaller_of(a, b);
}

template <class T, int many>
HOPGYM_INLINE Vec<T> least(const Vec<T> (&x)[many]) {
  Vec<T> found = x[0];
  HOPGYM_UNROLL
  for (int k = 1; k < many; ++k) found = smaller<T>(found, x[k]);
  return found;
}

template <class T>
HOPGYM_INLINE Vec<T> bounded(Vec<T> x, T limit) {
  return smaller<T>(larger<T>(x, all<T>(-limit)), all<T>(limit));
}

template <class T>
HOPGYM_INLINE Vec<T> magnitude(Vec<T> x) {
  return larger<T>(x, -x);
}

#if HOPGYM_BYTES == 64
HOPGYM_INLINE Vec<float> root(Vec<float> x) { return (Vec<float>)_mm512_sqrt_ps((__m512)x); }
HOPGYM_INLINE Vec<double> root(Vec<double> x) { return (Vec<double>)_mm512_sqrt_pd((__m512d)x); }
#elif HOPGYM_BYTES == 32
HOPGYM_INLINE Vec<float> root(Vec<float> x) { return (Vec<float>)_mm256_sqrt_ps((__m256)x); }
HOPGYM_INLINE Vec<double> root(Vec<double> x) { return (Vec<double>)_mm256_sqrt_pd((__m256d)x); }
#else
template <class V>
HOPGYM_INLINE V root(V x) {
  for (unsigned l = 0; l < sizeof x / sizeof x[0]; ++l) x[l] = std::sqrt(x[l]);
  return x;
}
#endif

// 1 / x, 1 / sqrt(x) and sqrt(x) of positive numbers whose result is a normal number.
// Where the division of vectors takes as long as ten multiplications: from 14 bits by a
// step of Newton's method, to the last bit or the one before.
template <class V>
struct Roots {
  V root, inverse;
};

#if HOPGYM_BYTES == 64
HOPGYM_INLINE Vec<float> reciprocal(Vec<float> x) {
  const Vec<float> y = (Vec<float>)_mm512_rcp14_ps((__m512)x);
  return y + y * (1.0f - x * y);
}

HOPGYM_INLINE Roots<Vec<float>> roots(Vec<float> x) {
  const Vec<float> y = (Vec<float>)_mm512_rsqrt14_ps((__m512)x);
  const Vec<float> half = 0.5f * y, root = x * y, error = 0.5f - half * root;
  return {root + root * error, y + y * error};
}

HOPGYM_INLINE Vec<double> reciprocal(Vec<double> x) { return 1.0 / x; }
HOPGYM_INLINE Roots<Vec<double>> roots(Vec<double> x) {
  const Vec<double> y = root(x);
  return {y, 1.0 / y};
}
#else
template <class V>
HOPGYM_INLINE V reciprocal(V x) {
  return 1 / x;
}

template <class V>
HOPGYM_INLINE Roots<V> roots(V x) {
  const V y = root(x);
  return {y, 1 / y};
}
#endif

template <class V>
HOPGYM_INLINE V inverse_root(V x) {
  return roots(x).inverse;
}

// To the nearest whole number, for |x| below 2^22 (2^51): adding and taking away a
// number whose last bit is 1.
template <class T>
HOPGYM_INLINE Vec<T> rounded(Vec<T> x) {
  constexpr T magic = sizeof(T) == 4 ? T(12582912.0) : T(6755399441055744.0);
  Vec<T> y = x + magic;
  return y - magic;
}

// log(x) / unit of positive normal numbers, in single precision by the polynomial for
// log2(1 + x) on [-1/4, 1/2], coefficients lowest first.
template <class T>
class Logarithm {
 public:
  Logarithm(const double* log2, double unit) : unit_(T(1 / unit)), octave_(T(kLog2 / unit)) {
    for (int k = 0; k <= hopgym::kLog2Degree; ++k) coefficient_[k] = T(log2[k] * kLog2 / unit);
  }

  HOPGYM_INLINE Vec<T> operator()(Vec<T> x) const {
    if constexpr (sizeof(T) == 8) {
      for (int l = 0; l < lanes<T>; ++l) x[l] = std::log(x[l]);
      return x * unit_;
    } else {
#if HOPGYM_BYTES == 64
      const Vec<T> exponent = (Vec<T>)_mm512_getexp_ps((__m512)(x * T(4.0 / 3)));
      const Vec<T> f =
          (Vec<T>)_mm512_getmant_ps((__m512)x, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_src) - T(1);
#else
      constexpr int32_t middle = 0x3f400000;  // 3/4
      const Int<T> i = bits<T>(x), octaves = (i - middle) >> 23;
      const Vec<T> exponent = __builtin_convertvector(octaves, Vec<T>);
      const Vec<T> f = number<T>(i - (octaves << 23)) - T(1);
#endif
      // In an order that leaves little to wait for.
      const T* c = coefficient_;
      const Vec<T> f2 = f * f, f4 = f2 * f2;
      const Vec<T> low = (c[3] * f + c[2]) * f2 + (c[1] * f + c[0]);
      const Vec<T> high = (c[7] * f + c[6]) * f2 + (c[5] * f + c[4]);
      return (c[8] * f4 + high) * f4 + (octave_ * exponent + low);
    }
  }

 private:
  static constexpr double kLog2 = 0.693147180559945309;

  T unit_, octave_, coefficient_[hopgym::kLog2Degree + 1];
};

// 2^x on [-1/2, 1/2] with the least relative error, lowest power first: 9e-8 in single
// precision, 3e-18 in double.
template <class T>
constexpr T kPowers[] = {T(1),
                         T(0.693147180559945309),
                         T(0.240226506959101596),
                         T(0.055504108664821627),
                         T(0.00961812910758725667),
                         T(0.00133335581464064707),
                         T(0.000154035304637243542),
                         T(0.0000152527338415567726),
                         T(1.32154325359123762e-6),
                         T(1.01780570877339411e-7),
                         T(7.07419429728852101e-9),
                         T(4.45581790833606449e-10)};
template <>
constexpr float kPowers<float>[] = {1.0f,         0.693147004f,   0.240222469f,
                                    0.055507112f, 0.00967129413f, 0.0013269406f};

template <class T>
HOPGYM_INLINE Vec<T> power_of_fraction(Vec<T> x) {
  constexpr int degree = sizeof kPowers<T> / sizeof(T) - 1;
  Vec<T> value = all<T>(kPowers<T>[degree]);
  HOPGYM_UNROLL
  for (int k = degree - 1; k >= 0; --k) value = value * x + kPowers<T>[k];
  return value;
}

// 2^x of a finite number. What is smaller than any normal number is that, or zero.
#if HOPGYM_BYTES == 64
HOPGYM_INLINE Vec<float> power_of_two_of(Vec<float> x) {
  const __m512 whole = _mm512_roundscale_ps((__m512)x, _MM_FROUND_NO_EXC);
  return (Vec<float>)_mm512_scalef_ps((__m512)power_of_fraction<float>(x - (Vec<float>)whole),
                                      whole);
}
HOPGYM_INLINE Vec<double> power_of_two_of(Vec<double> x) {
  const __m512d whole = _mm512_roundscale_pd((__m512d)x, _MM_FROUND_NO_EXC);
  return (Vec<double>)_mm512_scalef_pd(
      (__m512d)power_of_fraction<double>(x - (Vec<double>)whole), whole);
}

template <class T>
HOPGYM_INLINE Vec<T> power_of_two(Vec<T> x) {
  return power_of_two_of(x);
}
#else
template <class T>
HOPGYM_INLINE Vec<T> power_of_two(Vec<T> x) {
  constexpr bool single = sizeof(T) == 4;
  constexpr int mantissa = single ? 23 : 52;
  // What is added and taken away again leaves the nearest whole number in its last bits.
  constexpr T magic = single ? T(12582912.0) : T(6755399441055744.0);
  const Vec<T> power = bounded<T>(x, single ? T(126) : T(1022));
  const Vec<T> shifted = power + magic;
  const Vec<T> value = power_of_fraction<T>(power - (shifted - magic));
  // The exponent is added to that of the value, which is near 1.
  return number<T>(bits<T>(value) + (bits<T>(shifted) << mantissa));
}
#endif

// e^x, likewise.
template <class T>
HOPGYM_INLINE Vec<T> exponential(Vec<T> x) {
  return power_of_two<T>(x * T(1.4426950408889634));
}

// 0, 1, 2, ...
template <class T>
HOPGYM_INLINE Int<T> lane_numbers() {
  Int<T> lane;
  for (int l = 0; l < lanes<T>; ++l) lane[l] = l;
  return lane;
}

// A number as lanes of whole numbers are.
template <class T>
HOPGYM_INLINE auto lane(int64_t number) {
  return decltype(Int<T>{}[0] + 0)(number);
}

// The length of whole vectors that hold so many numbers.
template <class T>
constexpr int64_t whole_vectors(int64_t count) {
  return (count + lanes<T> - 1) / lanes<T> * lanes<T>;
}

// The first lanes of a vector, fewer than all.
#if HOPGYM_BYTES == 64
HOPGYM_INLINE Vec<float> some(const float* from, int64_t count) {
  return (Vec<float>)_mm512_maskz_loadu_ps(__mmask16((1u << count) - 1), from);
}
HOPGYM_INLINE Vec<double> some(const double* from, int64_t count) {
  return (Vec<double>)_mm512_maskz_loadu_pd(__mmask8((1u << count) - 1), from);
}
HOPGYM_INLINE void keep_some(float* to, int64_t count, Vec<float> x) {
  _mm512_mask_storeu_ps(to, __mmask16((1u << count) - 1), (__m512)x);
}
HOPGYM_INLINE void keep_some(double* to, int64_t count, Vec<double> x) {
  _mm512_mask_storeu_pd(to, __mmask8((1u << count) - 1), (__m512d)x);
}
#elif HOPGYM_BYTES == 32
HOPGYM_INLINE __m256i first_bytes(int64_t count) {
  alignas(64) static constexpr int64_t kMask[8] = {-1, -1, -1, -1, 0, 0, 0, 0};
  return _mm256_loadu_si256((const __m256i*)((const char*)kMask + 32 - count));
}
HOPGYM_INLINE Vec<float> some(const float* from, int64_t count) {
  return (Vec<float>)_mm256_maskload_ps(from, first_bytes(4 * count));
}
HOPGYM_INLINE Vec<double> some(const double* from, int64_t count) {
  return (Vec<double>)_mm256_maskload_pd(from, first_bytes(8 * count));
}
// Piece by piece: many processors have slow masked stores.
HOPGYM_INLINE void keep_some(float* to, int64_t count, Vec<float> x) {
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
HOPGYM_INLINE void keep_some(double* to, int64_t count, Vec<double> x) {
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
HOPGYM_INLINE Vec<T> some(const T* from, int64_t count) {
  Vec<T> x{};
  for (int64_t l = 0; l < count; ++l) x[l] = from[l];
  return x;
}
template <class T>
HOPGYM_INLINE void keep_some(T* to, int64_t count, Vec<T> x) {
  for (int64_t l = 0; l < count; ++l) to[l] = x[l];
}
#endif

// A vector of a row that may end within it or before: zero beyond.
template <class T>
HOPGYM_INLINE Vec<T> part(const T* row, int64_t at, int64_t width) {
  if (at + lanes<T> <= width) return load<T>(row + at);
  return at < width ? some(row + at, width - at) : Vec<T>{};
}

template <class T>
HOPGYM_INLINE void keep(T* row, int64_t at, int64_t width, Vec<T> x) {
  if (at + lanes<T> <= width)
    store<T>(row + at, x);
  else if (at < width)
    keep_some(row + at, width - at, x);
}

// Lanes of two vectors, which are counted through.
template <class T, int... from>
HOPGYM_INLINE Vec<T> shuffled(Vec<T> a, Vec<T> b) {
#if defined(__clang__) || __GNUC__ >= 12
  return __builtin_shufflevector(a, b, from...);
#else
  return __builtin_shuffle(a, b, Int<T>{from...});
#endif
}

// Lanes of two vectors by turns: their first halves, or their second ones.
template <class T, int half, std::size_t... k>
HOPGYM_INLINE Vec<T> zipped(Vec<T> a, Vec<T> b, std::index_sequence<k...>) {
  constexpr int L = lanes<T>;
  return shuffled<T, (half * L / 2 + int(k) / 2 + int(k) % 2 * L)...>(a, b);
}

// Lanes become vectors and vectors lanes: in every round the first bit of a lane's number
// changes places with that of the vector's.
template <class T>
HOPGYM_INLINE void transpose(Vec<T> (&v)[lanes<T>]) {
  constexpr int L = lanes<T>;
  constexpr auto every = std::make_index_sequence<L>();
  HOPGYM_UNROLL
  for (int round = 1; round < L; round *= 2) {
    Vec<T> next[L];
    HOPGYM_UNROLL
    for (int k = 0; k < L / 2; ++k) {
      next[2 * k] = zipped<T, 0>(v[k], v[k + L / 2], every);
      next[2 * k + 1] = zipped<T, 1>(v[k], v[k + L / 2], every);
    }
    HOPGYM_UNROLL
    for (int k = 0; k < L; ++k) v[k] = next[k];
  }
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
HOPGYM_INLINE bool any_below(Vec<float> a, Vec<float> b) {
  return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OQ) != 0;
}
HOPGYM_INLINE bool any_below(Vec<double> a, Vec<double> b) {
  return _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_LT_OQ) != 0;
}
#else
HOPGYM_INLINE bool any_below(Vec<float> a, Vec<float> b) { return any<float>(a < b); }
HOPGYM_INLINE bool any_below(Vec<double> a, Vec<double> b) { return any<double>(a < b); }
#endif

}  // namespace
