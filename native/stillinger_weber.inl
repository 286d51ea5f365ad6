// Energy and gradient of silicon in a periodic box whose edges are at least twice the
// cutoff (hopgym/potentials/stillinger_weber.py). Replicas are in lanes. Pairs that are
// beyond the cutoff in all lanes are left out; terms of the others are kept between the
// pass that sums the moments of atoms and the one that needs them.

#include "kernels.h"

namespace {

using hopgym::StillingerWeber;

// Sums over the bonds of an atom, of f, f n and f n n^T.
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

  static HOPGYM_INLINE Moments load_from(const T* m) {
    constexpr int64_t L = lanes<T>;
    return {load<T>(m),         load_space(m + L),   load<T>(m + 4 * L), load<T>(m + 5 * L),
            load<T>(m + 6 * L), load<T>(m + 7 * L), load<T>(m + 8 * L), load<T>(m + 9 * L)};
  }

  HOPGYM_INLINE void store_to(T* m) const {
    const Vec<T> values[] = {zeroth, first.x, first.y, first.z, xx, xy, xz, yy, yz, zz};
    for (int k = 0; k < kCount; ++k) store<T>(m + k * lanes<T>, values[k]);
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

// What is kept of a pair.
enum Term { kUnit, kBond = 3, kBondSlope, kPairSlope, kInverse, kTerms };

template <class T>
void stillinger_weber_of_block(const StillingerWeber<T>& call, T* scratch, int64_t begin,
                               int64_t count) {
  constexpr int64_t L = lanes<T>;
  constexpr int kMoments = Moments<T>::kCount;
  const int64_t n = call.atoms, pairs = n * (n - 1) / 2;
  T *x = scratch, *g = x + 3 * n * L, *moments = g + 3 * n * L,
    *terms = moments + kMoments * n * L;
  int32_t* neighbours = reinterpret_cast<int32_t*>(terms + kTerms * pairs * L);
  auto own = [&](int k) { return parameter(call.parameters[k], begin, count); };
  const Vec<T> a = own(0), big_a = own(1), big_b = own(2), epsilon = own(3), sigma = own(4),
               strength = own(5), gamma = own(6), core = own(7);
  const Vec<T> cut = T(call.cut) * a, cut2 = cut * cut, core2 = core * core,
               half = T(0.5) / core, longest = T(1) / core;
  Vec<T> edge[3], inverse_edge[3];
  for (int k = 0; k < 3; ++k) {
    edge[k] = parameter(call.box, begin, count, k) / sigma;
    inverse_edge[k] = T(1) / edge[k];
  }
  gather(call.positions, begin, count, 3 * n, T(call.position_limit), T(1) / sigma, x);
  for (int64_t k = 0; k < (3 + kMoments) * n * L; ++k) g[k] = 0;

  Vec<T> energy{};
  T* term = terms;
  int32_t* neighbour = neighbours;
  for (int64_t i = 0; i < n; ++i) {
    const Space<T> here = load_space(x + 3 * i * L);
    Vec<T> row{};
    Moments<T> sums;
    int32_t* const length = neighbour++;
    for (int64_t j = 0; j < i; ++j) {
      Space<T> d = here - load_space(x + 3 * j * L);
      d.x -= edge[0] * rounded<T>(d.x * inverse_edge[0]);
      d.y -= edge[1] * rounded<T>(d.y * inverse_edge[1]);
      d.z -= edge[2] * rounded<T>(d.z * inverse_edge[2]);
      const Vec<T> squared = dot(d, d);
      const Int<T> near = squared < cut2;
      if (!any<T>(near)) continue;
      const Vec<T> reached = smaller<T>(squared, cut2);
      const Vec<T> inside = larger<T>(core2 - reached, Vec<T>{}) * half;
      const Vec<T> softened = reached + inside * inside, inverse = inverse_root(softened);
      const Vec<T> u = -reciprocal(a - softened * inverse);
      const Vec<T> f = choose<T>(near, exponential<T>(gamma * u), Vec<T>{});
      const Vec<T> tail = choose<T>(near, big_a * exponential<T>(u), Vec<T>{});
      const Vec<T> r2 = inverse * inverse, r4 = big_b * r2 * r2, u2 = u * u;
      const Vec<T> bond = (r4 - T(1)) * tail;
      const Vec<T> outside = smaller<T>(inverse, longest);
      const Space<T> unit = outside * d;
      const Vec<T> same = f * (dot(unit, unit) + T(1.0 / 3));
      row += bond - strength * same * same;
      sums.add(f, unit);
      T* other = moments + kMoments * j * L;
      Moments<T> of_other = Moments<T>::load_from(other);
      of_other.add(f, all<T>(T(-1)) * unit);
      of_other.store_to(other);
      store<T>(term + kUnit * L, unit.x);
      store<T>(term + (kUnit + 1) * L, unit.y);
      store<T>(term + (kUnit + 2) * L, unit.z);
      store<T>(term + kBond * L, f);
      store<T>(term + kBondSlope * L, -gamma * u2 * f);
      store<T>(term + kPairSlope * L, T(-4) * r4 * inverse * tail - u2 * bond);
      store<T>(term + kInverse * L, outside);
      term += kTerms * L;
      *neighbour++ = int32_t(j);
    }
    *length = int32_t(neighbour - length - 1);
    energy += row;
    T* mine = moments + kMoments * i * L;
    sums.store_to(mine);
  }

  term = terms;
  neighbour = neighbours;
  Vec<T> angular{};
  for (int64_t i = 0; i < n; ++i) {
    const Moments<T> mine = Moments<T>::load_from(moments + kMoments * i * L);
    angular += mine.energy();
    Space<T> force{};
    for (int32_t left = *neighbour++; left > 0; --left, term += kTerms * L) {
      const int64_t j = *neighbour++;
      const Moments<T> other = Moments<T>::load_from(moments + kMoments * j * L);
      const Space<T> unit = load_space(term + kUnit * L);
      const Vec<T> f = load<T>(term + kBond * L), outside = load<T>(term + kInverse * L);
      // Even moments of both ends add up, odd ones subtract.
      const Vec<T> xy = mine.xy + other.xy, xz = mine.xz + other.xz, yz = mine.yz + other.yz;
      const Space<T> turned = {
          (mine.xx + other.xx) * unit.x + xy * unit.y + xz * unit.z,
          xy * unit.x + (mine.yy + other.yy) * unit.y + yz * unit.z,
          xz * unit.x + yz * unit.y + (mine.zz + other.zz) * unit.z,
      };
      const Space<T> shared = mine.first - other.first;
      const Vec<T> quadratic = dot(turned, unit), linear = T(2.0 / 3) * dot(shared, unit),
                   norm = dot(unit, unit), third = norm + T(1.0 / 3), same = f * third;
      const Vec<T> by_f = quadratic + linear + T(1.0 / 9) * (mine.zeroth + other.zeroth) -
                          T(2) * same * third;
      // Outside the core a unit vector turns, but keeps its length.
      const Vec<T> projection =
          choose<T>(outside < longest, T(2) * quadratic + linear - T(4) * same * norm, Vec<T>{});
      const Vec<T> across = strength * f * outside;
      const Vec<T> along = strength * by_f * load<T>(term + kBondSlope * L) +
                           load<T>(term + kPairSlope * L) - across * (projection + T(4) * same);
      const Space<T> pull = along * unit + (T(2) * across) * turned +
                            (T(2.0 / 3) * across) * shared;
      force = force + pull;
      subtract(g + 3 * j * L, pull);
    }
    add(g + 3 * i * L, force);
  }
  energy = epsilon * (energy + T(0.5) * strength * angular);
  for (int l = 0; l < count; ++l) call.energy[begin + l] = energy[l];
  scatter(g, begin, count, 3 * n, epsilon / sigma, call.gradient);
}

}  // namespace

namespace hopgym {
namespace HOPGYM_ISA {

template <class T>
int64_t stillinger_weber_scratch(const StillingerWeber<T>& call) {
  const int64_t n = call.atoms, pairs = n * (n - 1) / 2;
  return ((6 + Moments<T>::kCount) * n + kTerms * pairs) * lanes<T> + pairs + n;
}

template <class T>
void stillinger_weber(const StillingerWeber<T>& call, T* scratch, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; r += lanes<T>)
    stillinger_weber_of_block<T>(call, scratch, r, end - r < lanes<T> ? end - r : lanes<T>);
}

template int64_t stillinger_weber_scratch(const StillingerWeber<float>&);
template int64_t stillinger_weber_scratch(const StillingerWeber<double>&);
template void stillinger_weber(const StillingerWeber<float>&, float*, int64_t, int64_t);
template void stillinger_weber(const StillingerWeber<double>&, double*, int64_t, int64_t);

}  // namespace HOPGYM_ISA
}  // namespace hopgym
