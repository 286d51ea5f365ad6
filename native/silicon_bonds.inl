// Bonds of silicon and their moments (hopgym/potentials/stillinger_weber.py).

#include "kernels.h"

namespace {

using hopgym::StillingerWeber;

// Sums of f, f n and f n n^T over the bonds of an atom.
template <class T>
struct Moments {
  static constexpr int kCount = 10;

  HOPGYM_INLINE void add(Vec<T> f, const Space<T>& n) {
    const Space<T> first_ = f * n;
    zeroth += f;
    first = first + first_;
    xx += first_.x * n.x;
    xy += first_.x * n.y;
    xz += first_.x * n.z;
    yy += first_.y * n.y;
    yz += first_.y * n.z;
    zz += first_.z * n.z;
  }

  // Loads sums that are `s` numbers apart, as vectors or as one number for all lanes.
  static HOPGYM_INLINE Moments load_from(const T* m, int64_t s) {
    return read([=](int k) { return load<T>(m + k * s); });
  }
  static HOPGYM_INLINE Moments repeat(const T* m, int64_t s) {
    return read([=](int k) { return broadcast<T>(m[k * s]); });
  }

  template <class Get>
  static HOPGYM_INLINE Moments read(Get get) {
    return {get(0), {get(1), get(2), get(3)}, get(4), get(5), get(6), get(7), get(8), get(9)};
  }

  HOPGYM_INLINE void store_to(T* m, int64_t s) const {
    const Vec<T> values[] = {zeroth, first.x, first.y, first.z, xx, xy, xz, yy, yz, zz};
    for (int k = 0; k < kCount; ++k) store<T>(m + k * s, values[k]);
  }

  // |M_2|^2 + 2/3 |M_1|^2 + M_0^2 / 9
  HOPGYM_INLINE Vec<T> energy() const {
    return xx * xx + yy * yy + zz * zz + T(2) * (xy * xy + xz * xz + yz * yz) +
           T(2.0 / 3) * dot(first, first) + T(1.0 / 9) * zeroth * zeroth;
  }

  Vec<T> zeroth{};
  Space<T> first{};
  Vec<T> xx{}, xy{}, xz{}, yy{}, yz{}, zz{};
};

// The number of periodic images of an atom with which another one interacts.
template <class T>
int64_t count_images(const StillingerWeber<T>& call) {
  const int64_t span = 2 * call.images + 1;
  return span * span * span;
}

// The parameters and the box of a block.
template <class T>
struct Silicon {
  // `scratch` holds 3 vectors for every image.
  Silicon(const StillingerWeber<T>& call, int64_t begin, int64_t count, T* scratch)
      : shifts(scratch),
        a(load_parameter(call.a, begin, count)),
        big_a(load_parameter(call.big_a, begin, count)),
        big_b(load_parameter(call.big_b, begin, count)),
        epsilon(load_parameter(call.epsilon, begin, count)),
        sigma(load_parameter(call.sigma, begin, count)),
        strength(load_parameter(call.strength, begin, count)),
        gamma(load_parameter(call.gamma, begin, count)),
        core(load_parameter(call.core, begin, count)),
        cut(T(call.cut) * a),
        cut2(cut * cut),
        core2(core * core),
        half(T(0.5) / core),
        longest(T(1) / core) {
    for (int k = 0; k < 3; ++k) {
      edge[k] = load_parameter(call.box, begin, count, k) / sigma;
      inverse_edge[k] = T(1) / edge[k];
    }
    const int64_t most = call.images;
    for (int64_t x = -most; x <= most; ++x)
      for (int64_t y = -most; y <= most; ++y)
        for (int64_t z = -most; z <= most; ++z, scratch += 3 * lanes<T>)
          store_space(scratch, Space<T>{T(x) * edge[0], T(y) * edge[1], T(z) * edge[2]});
  }

  // The shift of an image relative to the nearest one, which is the middle one.
  HOPGYM_INLINE Space<T> load_shift(int64_t image) const {
    return load_space(shifts + image * 3 * lanes<T>);
  }

  HOPGYM_INLINE Space<T> wrap(Space<T> d) const {
    d.x -= edge[0] * round<T>(d.x * inverse_edge[0]);
    d.y -= edge[1] * round<T>(d.y * inverse_edge[1]);
    d.z -= edge[2] * round<T>(d.z * inverse_edge[2]);
    return d;
  }

  const T* shifts;
  Vec<T> a, big_a, big_b, epsilon, sigma, strength, gamma, core, cut, cut2, core2, half,
      longest;
  Vec<T> edge[3], inverse_edge[3];
};

// A pair within the cutoff: its unit vector, decay f of the angular term, the derivatives of
// f and of the pair's energy, and the inverse distance.
template <class T>
struct Bond {
  static constexpr int kCount = 7;

  // Zero in lanes that are not `near`. Adds the energy of the pair to `energy`.
  HOPGYM_INLINE Bond(const Silicon<T>& of, const Space<T>& d, Vec<T> squared, Int<T> near,
                     Vec<T>& energy) {
    const Vec<T> reached = min<T>(squared, of.cut2);
    const Vec<T> inside = max<T>(of.core2 - reached, Vec<T>{}) * of.half;
    const Vec<T> softened = reached + inside * inside, inverse = rsqrt(softened);
    const Vec<T> u = -reciprocal(of.a - softened * inverse);
    f = select<T>(near, exp<T>(of.gamma * u), Vec<T>{});
    const Vec<T> tail = select<T>(near, of.big_a * exp<T>(u), Vec<T>{});
    const Vec<T> r2 = inverse * inverse, r4 = of.big_b * r2 * r2, u2 = u * u;
    const Vec<T> bond = (r4 - T(1)) * tail;
    outside = min<T>(inverse, of.longest);
    unit = outside * d;
    const Vec<T> same = f * (dot(unit, unit) + T(1.0 / 3));
    energy += bond - of.strength * same * same;
    slope = -of.gamma * u2 * f;
    pair_slope = T(-4) * r4 * inverse * tail - u2 * bond;
  }

  HOPGYM_INLINE explicit Bond(const T* from)
      : unit(load_space(from)),
        f(load<T>(from + 3 * lanes<T>)),
        slope(load<T>(from + 4 * lanes<T>)),
        pair_slope(load<T>(from + 5 * lanes<T>)),
        outside(load<T>(from + 6 * lanes<T>)) {}

  HOPGYM_INLINE void store_to(T* to) const {
    const Vec<T> values[] = {unit.x, unit.y, unit.z, f, slope, pair_slope, outside};
    for (int k = 0; k < kCount; ++k) store<T>(to + k * lanes<T>, values[k]);
  }

  // A bond of an atom with its own image exerts no force on it.
  HOPGYM_INLINE void clear(Int<T> mask) {
    for (Vec<T>* x : {&f, &slope, &pair_slope}) *x = select<T>(mask, Vec<T>{}, *x);
  }

  // The force between two atoms with these moments.
  HOPGYM_INLINE Space<T> compute_force(const Silicon<T>& of, const Moments<T>& mine,
                                       const Moments<T>& other) const {
    // Even moments of both ends are added, odd ones subtracted.
    const Vec<T> xy = mine.xy + other.xy, xz = mine.xz + other.xz, yz = mine.yz + other.yz;
    const Space<T> turned = {
        (mine.xx + other.xx) * unit.x + xy * unit.y + xz * unit.z,
        xy * unit.x + (mine.yy + other.yy) * unit.y + yz * unit.z,
        xz * unit.x + yz * unit.y + (mine.zz + other.zz) * unit.z,
    };
    const Space<T> shared = mine.first - other.first;
    const Vec<T> quadratic = dot(turned, unit), linear = T(2.0 / 3) * dot(shared, unit),
                 norm = dot(unit, unit), third = norm + T(1.0 / 3), same = f * third;
    const Vec<T> by_f =
        quadratic + linear + T(1.0 / 9) * (mine.zeroth + other.zeroth) - T(2) * same * third;
    // Only within the core does the length of the unit vector change.
    const Vec<T> projection = select<T>(
        outside < of.longest, T(2) * quadratic + linear - T(4) * same * norm, Vec<T>{});
    const Vec<T> across = of.strength * f * outside;
    const Vec<T> along =
        of.strength * by_f * slope + pair_slope - across * (projection + T(4) * same);
    return along * unit + (T(2) * across) * turned + (T(2.0 / 3) * across) * shared;
  }

  Space<T> unit;
  Vec<T> f, slope, pair_slope, outside;
};

}  // namespace
