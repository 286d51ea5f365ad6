// Replicas in lanes: a block of them as vectors, and back. Of few replicas, atoms in lanes.

#include "kernels.h"

namespace {

using hopgym::Operand;

// A parameter of the potential, which replicas may have of their own, for a block. Lanes
// beyond `count` repeat the first replica.
template <class T>
Vec<T> parameter(const Operand<T>& operand, int64_t begin, int64_t count, int64_t index = 0) {
  if (operand.shared()) return all<T>(operand.data[index]);
  Vec<T> x;
  for (int l = 0; l < lanes<T>; ++l) x[l] = operand.at(begin + (l < count ? l : 0))[index];
  return x;
}

// Calls `move(k, width)` for pieces of rows as wide as a vector, of which the last may
// overlap with the one before. Where rows are shorter, `width` is less; else it is known
// when compiling.
template <class T, class Move>
HOPGYM_INLINE void by_columns(int64_t coordinates, Move move) {
  constexpr std::integral_constant<int64_t, lanes<T>> whole{};
  if (coordinates < whole) return move(0, coordinates);
  for (int64_t k = 0; k + whole <= coordinates; k += whole) move(k, whole);
  if (coordinates % whole) move(coordinates - whole, whole);
}

// Bounded by `limit`, unless it is no number.
template <class T>
HOPGYM_INLINE Vec<T> within(Vec<T> x, T limit) {
  return smaller<T>(all<T>(limit), larger<T>(all<T>(-limit), x));
}

// Positions times `scale`, coordinate by coordinate, bounded by `limit`.
template <class T>
void gather(const Operand<T>& positions, int64_t begin, int64_t count, int64_t coordinates,
            T limit, Vec<T> scale, T* x) {
  constexpr int64_t L = lanes<T>;
  const T* from[L];
  for (int l = 0; l < L; ++l) from[l] = positions.at(begin + (l < count ? l : 0));
  by_columns<T>(coordinates, [&](int64_t k, auto width) {
    Vec<T> part[L] = {};
    HOPGYM_UNROLL
    for (int l = 0; l < L; ++l) std::memcpy(&part[l], from[l] + k, width * sizeof(T));
    transpose<T>(part);
    HOPGYM_UNROLL
    for (int c = 0; c < L; ++c)
      if (c < width) store<T>(x + (k + c) * L, within<T>(part[c], limit) * scale);
  });
}

template <class T>
void scatter(const T* g, int64_t begin, int64_t count, int64_t coordinates, Vec<T> scale,
             T* gradient) {
  constexpr int64_t L = lanes<T>;
  by_columns<T>(coordinates, [&](int64_t k, auto width) {
    Vec<T> part[L] = {};
    HOPGYM_UNROLL
    for (int c = 0; c < L; ++c)
      if (c < width) part[c] = load<T>(g + (k + c) * L) * scale;
    transpose<T>(part);
    HOPGYM_UNROLL
    for (int l = 0; l < L; ++l)
      if (l < count)
        std::memcpy(gradient + (begin + l) * coordinates + k, &part[l], width * sizeof(T));
  });
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

// Distances with a soft core (hopgym/potentials/base.py: cored_distances).
template <class T, int many>
struct Distances {
  Vec<T> length[many], inverse[many];  // what the gradient is divided by: 1 / max(r, core)
};

template <class T>
struct SoftCore {
  explicit SoftCore(Vec<T> core) : core2(core * core), half(T(0.5) / core), longest(T(1) / core) {}

  template <int many>
  HOPGYM_INLINE Distances<T, many> distances(const Vec<T> (&squared)[many]) const {
    Distances<T, many> found;
    // Lanes are computed alike whether others overlap or not.
    const bool overlap = any_below(least<T>(squared), core2);
    HOPGYM_UNROLL
    for (int k = 0; k < many; ++k) {
      Vec<T> softened = squared[k];
      if (__builtin_expect(overlap, false)) {
        const Vec<T> inside = larger<T>(core2 - softened, Vec<T>{}) * half;
        softened += inside * inside;
      }
      const Roots<Vec<T>> r = roots(softened);
      found.length[k] = r.root;
      found.inverse[k] = overlap ? smaller<T>(r.inverse, longest) : r.inverse;
    }
    return found;
  }

  Vec<T> core2, half, longest;
};

// How far a few atoms are from another one.
template <class T, int many>
struct Apart {
  Space<T> d[many];
  Vec<T> squared[many];
};

template <class T, int many>
struct Here {
  explicit HOPGYM_INLINE Here(const Space<T>& atom) : atom{atom} {}
  HOPGYM_INLINE Here(int64_t i, const T* x) {
    HOPGYM_UNROLL
    for (int k = 0; k < many; ++k) atom[k] = load_space(x + (i + k) * 3 * lanes<T>);
  }

  HOPGYM_INLINE Apart<T, many> from(const Space<T>& other) const {
    Apart<T, many> apart;
    HOPGYM_UNROLL
    for (int k = 0; k < many; ++k) {
      apart.d[k] = atom[k] - other;
      apart.squared[k] = dot(apart.d[k], apart.d[k]);
    }
    return apart;
  }

  Space<T> atom[many];
};

// Calls `rows(i, many)` for all atoms: for `many` from `i` on, which meet all before them
// at once. That halves what is loaded and stored, and two pairs wait less than one.
template <class Rows>
HOPGYM_INLINE void by_rows(int64_t atoms, Rows rows) {
  int64_t i = 0;
  for (; i + 1 < atoms; i += 2) rows(i, std::integral_constant<int, 2>{});
  if (i < atoms) rows(i, std::integral_constant<int, 1>{});
}

// Calls `meet(j, prepare(apart))` for atoms from `i` on with every atom before them. What
// is prepared is known one atom ahead, so that less waits for it.
template <class T, int many, class Prepare, class Meet>
HOPGYM_INLINE void by_others(const Here<T, many>& here, int64_t i, const T* x, Prepare prepare,
                             Meet meet) {
  if (i == 0) return;
  auto next = prepare(here.from(load_space(x)));
  for (int64_t j = 0; j < i; ++j) {
    const auto prepared = next;
    next = prepare(here.from(load_space(x + (j + 1 < i ? j + 1 : j) * 3 * lanes<T>)));
    meet(j, prepared);
  }
}

// Rows of x, y, z, x, y, ... as coordinates, and back: which of the lanes of three vectors
// goes into lane `l`.
template <int axis>
struct Coordinate {
  static constexpr int from(int l) { return 3 * l + axis; }
};

template <class T, int part>
struct PartOfRow {
  static constexpr int number(int l) { return part * lanes<T> + l; }
  static constexpr int from(int l) { return number(l) % 3 * lanes<T> + number(l) / 3; }
};

template <class T, class Which, std::size_t... l>
HOPGYM_INLINE Vec<T> picked(Vec<T> a, Vec<T> b, Vec<T> c, std::index_sequence<l...>) {
  constexpr int L = lanes<T>, two = 2 * L;
  const Vec<T> of_two =
      shuffled<T, (Which::from(l) < two ? Which::from(l) : 0)...>(a, b);
  return shuffled<T, (Which::from(l) < two ? int(l) : Which::from(l) - L)...>(of_two, c);
}

template <class T>
constexpr auto kEveryLane = std::make_index_sequence<lanes<T>>();

// Coordinates of the atoms from `at` on, zero beyond the last of `atoms`.
template <class T>
HOPGYM_INLINE Space<T> coordinates(const T* row, int64_t at, int64_t atoms) {
  constexpr int L = lanes<T>;
  const Vec<T> a = part(row, 3 * at, 3 * atoms), b = part(row, 3 * at + L, 3 * atoms),
               c = part(row, 3 * at + 2 * L, 3 * atoms);
  return {picked<T, Coordinate<0>>(a, b, c, kEveryLane<T>),
          picked<T, Coordinate<1>>(a, b, c, kEveryLane<T>),
          picked<T, Coordinate<2>>(a, b, c, kEveryLane<T>)};
}

template <class T>
HOPGYM_INLINE void keep_coordinates(T* row, int64_t at, int64_t atoms, const Space<T>& v) {
  constexpr int L = lanes<T>;
  keep(row, 3 * at, 3 * atoms, picked<T, PartOfRow<T, 0>>(v.x, v.y, v.z, kEveryLane<T>));
  keep(row, 3 * at + L, 3 * atoms, picked<T, PartOfRow<T, 1>>(v.x, v.y, v.z, kEveryLane<T>));
  keep(row, 3 * at + 2 * L, 3 * atoms, picked<T, PartOfRow<T, 2>>(v.x, v.y, v.z, kEveryLane<T>));
}

// The atoms of one replica by vectors, each of whose lanes is an atom.
template <class T>
class Atoms {
 public:
  // `x` has room for 3 (atoms + lanes) numbers.
  Atoms(const T* positions, int64_t atoms, T limit, Vec<T> scale, T* x)
      : atoms_(atoms), stride_(whole_vectors<T>(atoms)), x_(x) {
    for (int64_t at = 0; at < atoms; at += lanes<T>) {
      const Space<T> here = coordinates(positions, at, atoms);
      store<T>(x + at, within<T>(here.x, limit) * scale);
      store<T>(x + stride_ + at, within<T>(here.y, limit) * scale);
      store<T>(x + 2 * stride_ + at, within<T>(here.z, limit) * scale);
    }
  }

  // Atoms from `at` on, and one atom in all lanes.
  HOPGYM_INLINE Space<T> from(int64_t at) const {
    return {load<T>(x_ + at), load<T>(x_ + stride_ + at), load<T>(x_ + 2 * stride_ + at)};
  }
  HOPGYM_INLINE Space<T> each(int64_t j) const {
    return {all<T>(x_[j]), all<T>(x_[stride_ + j]), all<T>(x_[2 * stride_ + j])};
  }

  // Calls `work(at, end)` for the atoms of each vector.
  template <class Work>
  HOPGYM_INLINE void by_vectors(Work work) const {
    for (int64_t at = 0; at < atoms_; at += lanes<T>)
      work(at, at + lanes<T> < atoms_ ? at + lanes<T> : atoms_);
  }

  void put(const Space<T>& g, int64_t at, T* gradient, int64_t replica) const {
    keep_coordinates(gradient + 3 * replica * atoms_, at, atoms_, g);
  }

 private:
  const int64_t atoms_, stride_;
  T* const x_;
};

// Calls `block(begin, count)` for as many replicas as there are lanes, and for the rest
// either that or `one(replica)` for each, whichever has fewer pairs to compute.
template <class T, class Block, class One>
void by_blocks(int64_t begin, int64_t end, int64_t atoms, Block block, One one) {
  const int64_t of_one = atoms * whole_vectors<T>(atoms) / lanes<T>;
  const int64_t of_block = atoms * (atoms - 1) / 2;
  for (; end - begin >= lanes<T>; begin += lanes<T>) block(begin, lanes<T>);
  if ((end - begin) * of_one > of_block)
    block(begin, end - begin);
  else
    for (; begin < end; ++begin) one(begin);
}

}  // namespace
