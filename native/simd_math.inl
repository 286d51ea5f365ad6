// Roots, reciprocals, rounding, logarithms and exponentials of vectors.

#include "kernels.h"

namespace {

#if HOPGYM_BYTES == 64
HOPGYM_INLINE Vec<float> sqrt(Vec<float> x) { return (Vec<float>)_mm512_sqrt_ps((__m512)x); }
HOPGYM_INLINE Vec<double> sqrt(Vec<double> x) {
  return (Vec<double>)_mm512_sqrt_pd((__m512d)x);
}
#elif HOPGYM_BYTES == 32
HOPGYM_INLINE Vec<float> sqrt(Vec<float> x) { return (Vec<float>)_mm256_sqrt_ps((__m256)x); }
HOPGYM_INLINE Vec<double> sqrt(Vec<double> x) {
  return (Vec<double>)_mm256_sqrt_pd((__m256d)x);
}
#else
template <class V>
HOPGYM_INLINE V sqrt(V x) {
  for (unsigned l = 0; l < sizeof x / sizeof x[0]; ++l) x[l] = std::sqrt(x[l]);
  return x;
}
#endif

// 1 / x, 1 / sqrt(x) and sqrt(x) of positive numbers whose result is a normal number.
// With AVX-512, a division takes as long as ten multiplications; one Newton step from an
// estimate with 14 bits is accurate to one or two units in the last place.
template <class V>
struct Roots {
  V root, inverse;
};

#if HOPGYM_BYTES == 64
HOPGYM_INLINE Vec<float> reciprocal(Vec<float> x) {
  const Vec<float> y = (Vec<float>)_mm512_rcp14_ps((__m512)x);
  return y + y * (1.0f - x * y);
}

HOPGYM_INLINE Roots<Vec<float>> sqrt_and_inverse(Vec<float> x) {
  const Vec<float> y = (Vec<float>)_mm512_rsqrt14_ps((__m512)x);
  const Vec<float> half = 0.5f * y, root = x * y, error = 0.5f - half * root;
  return {root + root * error, y + y * error};
}

HOPGYM_INLINE Vec<double> reciprocal(Vec<double> x) { return 1.0 / x; }
HOPGYM_INLINE Roots<Vec<double>> sqrt_and_inverse(Vec<double> x) {
  const Vec<double> y = sqrt(x);
  return {y, 1.0 / y};
}
#else
template <class V>
HOPGYM_INLINE V reciprocal(V x) {
  return 1 / x;
}

template <class V>
HOPGYM_INLINE Roots<V> sqrt_and_inverse(V x) {
  const V y = sqrt(x);
  return {y, 1 / y};
}
#endif

template <class V>
HOPGYM_INLINE V rsqrt(V x) {
  return sqrt_and_inverse(x).inverse;
}

// The nearest integer, for |x| below 2^22 (2^51): adds and subtracts a number whose last
// bit is worth 1.
template <class T>
HOPGYM_INLINE Vec<T> round(Vec<T> x) {
  constexpr T magic = sizeof(T) == 4 ? T(12582912.0) : T(6755399441055744.0);
  Vec<T> y = x + magic;
  return y - magic;
}

// log(x) / unit of positive normal numbers. In single precision by the polynomial for
// log2(1 + x) on [-1/4, 1/2], lowest power first.
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
      const Int<T> i = to_bits<T>(x), octaves = (i - middle) >> 23;
      const Vec<T> exponent = __builtin_convertvector(octaves, Vec<T>);
      const Vec<T> f = from_bits<T>(i - (octaves << 23)) - T(1);
#endif
      // In an order with short dependency chains.
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

// Minimax polynomial for 2^x on [-1/2, 1/2], lowest power first: its relative error is 9e-8
// in single precision, 3e-18 in double.
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
HOPGYM_INLINE Vec<T> exp2_of_fraction(Vec<T> x) {
  constexpr int degree = sizeof kPowers<T> / sizeof(T) - 1;
  Vec<T> value = broadcast<T>(kPowers<T>[degree]);
  HOPGYM_UNROLL
  for (int k = degree - 1; k >= 0; --k) value = value * x + kPowers<T>[k];
  return value;
}

// 2^x of finite numbers. Results below the smallest normal number become that number, or zero.
#if HOPGYM_BYTES == 64
HOPGYM_INLINE Vec<float> exp2_of(Vec<float> x) {
  const __m512 whole = _mm512_roundscale_ps((__m512)x, _MM_FROUND_NO_EXC);
  return (Vec<float>)_mm512_scalef_ps((__m512)exp2_of_fraction<float>(x - (Vec<float>)whole),
                                      whole);
}
HOPGYM_INLINE Vec<double> exp2_of(Vec<double> x) {
  const __m512d whole = _mm512_roundscale_pd((__m512d)x, _MM_FROUND_NO_EXC);
  return (Vec<double>)_mm512_scalef_pd(
      (__m512d)exp2_of_fraction<double>(x - (Vec<double>)whole), whole);
}

template <class T>
HOPGYM_INLINE Vec<T> exp2(Vec<T> x) {
  return exp2_of(x);
}
#else
template <class T>
HOPGYM_INLINE Vec<T> exp2(Vec<T> x) {
  constexpr bool single = sizeof(T) == 4;
  constexpr int mantissa = single ? 23 : 52;
  // The sum holds the nearest integer in its last bits.
  constexpr T magic = single ? T(12582912.0) : T(6755399441055744.0);
  const Vec<T> power = clamp<T>(x, single ? T(126) : T(1022));
  const Vec<T> shifted = power + magic;
  const Vec<T> value = exp2_of_fraction<T>(power - (shifted - magic));
  // The integer is added to the exponent of the value, which is near 1.
  return from_bits<T>(to_bits<T>(value) + (to_bits<T>(shifted) << mantissa));
}
#endif

// e^x, with the same limits.
template <class T>
HOPGYM_INLINE Vec<T> exp(Vec<T> x) {
  return exp2<T>(x * T(1.4426950408889634));
}

}  // namespace
