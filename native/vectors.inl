// Vectors of the width that HOPGYM_BYTES says, and the functions on them that the
// kernels need. Included by files that are compiled once for each instruction set.

#include <cmath>
#include <cstdint>
#include <cstring>

#if HOPGYM_BYTES > 16
#include <immintrin.h>
#endif

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

template <class T>
HOPGYM_INLINE Vec<T> larger(Vec<T> a, Vec<T> b) {
  return a > b ? a : b;
}

template <class T>
HOPGYM_INLINE Vec<T> smaller(Vec<T> a, Vec<T> b) {
  return a < b ? a : b;
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

// To the nearest whole number, for |x| below 2^22 (2^51): adding and taking away a
// number whose last bit is 1.
template <class T>
HOPGYM_INLINE Vec<T> rounded(Vec<T> x) {
  constexpr T magic = sizeof(T) == 4 ? T(12582912.0) : T(6755399441055744.0);
  Vec<T> y = x + magic;
  return y - magic;
}

// Natural logarithm of positive normal numbers, by the polynomial `log2` for
// log2(1 + x) on [1/sqrt(2) - 1, sqrt(2) - 1], coefficients lowest first.
HOPGYM_INLINE Vec<float> logarithm(Vec<float> x, const float* log2) {
  constexpr int32_t middle = 0x3f3504f3;  // 1/sqrt(2)
  Int<float> i = bits<float>(x);
  Int<float> exponent = (i - middle) >> 23;
  Vec<float> f = number<float>(i - (exponent << 23)) - 1.0f;
  // In an order that leaves little to wait for.
  const Vec<float> f2 = f * f, f4 = f2 * f2;
  const Vec<float> low = (log2[3] * f + log2[2]) * f2 + (log2[1] * f + log2[0]);
  const Vec<float> high = (log2[7] * f + log2[6]) * f2 + (log2[5] * f + log2[4]);
  const Vec<float> value = (log2[8] * f4 + high) * f4 + low;
  return (__builtin_convertvector(exponent, Vec<float>) + value) * 0.6931471805599453f;
}

HOPGYM_INLINE Vec<double> logarithm(Vec<double> x, const float*) {
  Vec<double> y;
  for (int l = 0; l < lanes<double>; ++l) y[l] = std::log(x[l]);
  return y;
}

// e^x; in single precision kept within 2^-126 .. 2^126.
HOPGYM_INLINE Vec<float> exponential(Vec<float> x) {
  // ln(2)^k / k!, for 2^f on [-1/2, 1/2].
  constexpr float c[] = {1.0f,           0.693147181f,   0.240226507f,  0.0555041087f,
                         0.00961812911f, 0.00133335581f, 0.000154035304f};
  Vec<float> power = bounded<float>(x * 1.4426950408889634f, 126.0f);
  Vec<float> whole = rounded<float>(power);
  Vec<float> f = power - whole;
  Vec<float> value = all<float>(c[6]);
  HOPGYM_UNROLL
  for (int k = 5; k >= 0; --k) value = value * f + c[k];
  Int<float> i = __builtin_convertvector(whole, Int<float>);
  return value * number<float>((i + 127) << 23);
}

HOPGYM_INLINE Vec<double> exponential(Vec<double> x) {
  Vec<double> y;
  for (int l = 0; l < lanes<double>; ++l) y[l] = std::exp(x[l]);
  return y;
}

}  // namespace
