// Vectors in space, distances and pairs of atoms; lanes hold different structures or atoms.

#include "kernels.h"

namespace {

// A vector in space for each lane.
template <class T>
struct Space {
  Vec<T> x, y, z;
};

template <class T>
HOPGYM_INLINE Space<T> load_space(const T* from) {
  return {load<T>(from), load<T>(from + lanes<T>), load<T>(from + 2 * lanes<T>)};
}

template <class T>
HOPGYM_INLINE void store_space(T* to, const Space<T>& v) {
  store<T>(to, v.x);
  store<T>(to + lanes<T>, v.y);
  store<T>(to + 2 * lanes<T>, v.z);
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

// Distances with a soft core (soften_distances in hopgym/potentials/_pair_sums.py).
template <class T, int many>
struct Distances {
  Vec<T> length[many];
  Vec<T> inverse[many];  // 1 / max(r, core), the factor of gradients
};

template <class T>
struct SoftCore {
  explicit SoftCore(Vec<T> core)
      : core2(core * core), half(T(0.5) / core), longest(T(1) / core) {}

  template <int many>
  HOPGYM_INLINE Distances<T, many> soften(const Vec<T> (&squared)[many]) const {
    Distances<T, many> found;
    // The results of a lane do not depend on overlaps of atoms in other lanes.
    const bool overlap = any_less(min_of_all<T>(squared), core2);
    HOPGYM_UNROLL
    for (int k = 0; k < many; ++k) {
      Vec<T> softened = squared[k];
      if (__builtin_expect(overlap, false)) {
        const Vec<T> inside = max<T>(core2 - softened, Vec<T>{}) * half;
        softened += inside * inside;
      }
      const Roots<Vec<T>> r = sqrt_and_inverse(softened);
      found.length[k] = r.root;
      found.inverse[k] = overlap ? min<T>(r.inverse, longest) : r.inverse;
    }
    return found;
  }

  Vec<T> core2, half, longest;
};

// Differences between a few atoms and another one, and squared distances.
template <class T, int many>
struct Differences {
  Space<T> d[many];
  Vec<T> squared[many];
};

// A few atoms, one after the other.
template <class T, int many>
struct Group {
  explicit HOPGYM_INLINE Group(const Space<T>& atom) : atom{atom} {}
  HOPGYM_INLINE Group(int64_t i, const T* x) {
    HOPGYM_UNROLL
    for (int k = 0; k < many; ++k) atom[k] = load_space(x + (i + k) * 3 * lanes<T>);
  }

  HOPGYM_INLINE Differences<T, many> subtract(const Space<T>& other) const {
    Differences<T, many> differences;
    HOPGYM_UNROLL
    for (int k = 0; k < many; ++k) {
      differences.d[k] = atom[k] - other;
      differences.squared[k] = dot(differences.d[k], differences.d[k]);
    }
    return differences;
  }

  Space<T> atom[many];
};

// Calls `rows(i, many)` for all atoms, `many` atoms from `i` on at a time. Two rows of pairs
// at a time halve loads and stores, and hide the latency of each other.
template <class Rows>
HOPGYM_INLINE void for_each_two_rows(int64_t atoms, Rows rows) {
  int64_t i = 0;
  for (; i + 1 < atoms; i += 2) rows(i, std::integral_constant<int, 2>{});
  if (i < atoms) rows(i, std::integral_constant<int, 1>{});
}

// Calls `add(j, prepare(differences))` for every atom `j` before `i`, with its differences
// from a group. The next atom is prepared ahead, to hide the latency.
template <class T, int many, class Prepare, class Add>
HOPGYM_INLINE void for_each_earlier(const Group<T, many>& group, int64_t i, const T* x,
                                    Prepare prepare, Add add) {
  if (i == 0) return;
  auto next = prepare(group.subtract(load_space(x)));
  for (int64_t j = 0; j < i; ++j) {
    const auto prepared = next;
    next = prepare(group.subtract(load_space(x + (j + 1 < i ? j + 1 : j) * 3 * lanes<T>)));
    add(j, prepared);
  }
}

}  // namespace
