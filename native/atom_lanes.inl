// Atoms in lanes: vectors of the atoms of one replica.

#include "kernels.h"

namespace {

// Conversion of rows x, y, z, x, y, ... to coordinates and back: the lane of three vectors
// that is moved to lane `l`.
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
HOPGYM_INLINE Vec<T> pick(Vec<T> a, Vec<T> b, Vec<T> c, std::index_sequence<l...>) {
  constexpr int L = lanes<T>, two = 2 * L;
  const Vec<T> of_two = shuffle<T, (Which::from(l) < two ? Which::from(l) : 0)...>(a, b);
  return shuffle<T, (Which::from(l) < two ? int(l) : Which::from(l) - L)...>(of_two, c);
}

template <class T>
constexpr auto kEveryLane = std::make_index_sequence<lanes<T>>();

// The coordinates of the atoms from `at` on; zero beyond the last one of `atoms`.
template <class T>
HOPGYM_INLINE Space<T> load_coordinates(const T* row, int64_t at, int64_t atoms) {
  constexpr int L = lanes<T>;
  const Vec<T> a = load_part(row, 3 * at, 3 * atoms), b = load_part(row, 3 * at + L, 3 * atoms),
               c = load_part(row, 3 * at + 2 * L, 3 * atoms);
  return {pick<T, Coordinate<0>>(a, b, c, kEveryLane<T>),
          pick<T, Coordinate<1>>(a, b, c, kEveryLane<T>),
          pick<T, Coordinate<2>>(a, b, c, kEveryLane<T>)};
}

template <class T>
HOPGYM_INLINE void store_coordinates(T* row, int64_t at, int64_t atoms, const Space<T>& v) {
  constexpr int L = lanes<T>;
  store_part(row, 3 * at, 3 * atoms, pick<T, PartOfRow<T, 0>>(v.x, v.y, v.z, kEveryLane<T>));
  store_part(row, 3 * at + L, 3 * atoms,
             pick<T, PartOfRow<T, 1>>(v.x, v.y, v.z, kEveryLane<T>));
  store_part(row, 3 * at + 2 * L, 3 * atoms,
             pick<T, PartOfRow<T, 2>>(v.x, v.y, v.z, kEveryLane<T>));
}

// The positions of one replica: one vector per coordinate, with an atom in each lane.
template <class T>
class Atoms {
 public:
  // `x` is scratch memory for 3 (atoms + lanes) numbers.
  Atoms(const T* positions, int64_t atoms, Vec<T> limit, Vec<T> scale, T* x)
      : atoms_(atoms), stride_(round_up_to_vectors<T>(atoms)), x_(x) {
    for (int64_t at = 0; at < atoms; at += lanes<T>) {
      const Space<T> here = load_coordinates(positions, at, atoms);
      store<T>(x + at, clamp_keep_nan<T>(here.x, limit) * scale);
      store<T>(x + stride_ + at, clamp_keep_nan<T>(here.y, limit) * scale);
      store<T>(x + 2 * stride_ + at, clamp_keep_nan<T>(here.z, limit) * scale);
    }
  }

  // The positions of the atoms from `at` on, or of one atom in all lanes.
  HOPGYM_INLINE Space<T> load_vector(int64_t at) const {
    return {load<T>(x_ + at), load<T>(x_ + stride_ + at), load<T>(x_ + 2 * stride_ + at)};
  }
  HOPGYM_INLINE Space<T> repeat_atom(int64_t j) const {
    return {broadcast<T>(x_[j]), broadcast<T>(x_[stride_ + j]),
            broadcast<T>(x_[2 * stride_ + j])};
  }

  // Calls `work(at, end)` for the atoms of each vector.
  template <class Work>
  HOPGYM_INLINE void for_each_vector(Work work) const {
    for (int64_t at = 0; at < atoms_; at += lanes<T>)
      work(at, at + lanes<T> < atoms_ ? at + lanes<T> : atoms_);
  }

  void store_gradient(const Space<T>& g, int64_t at, T* gradient, int64_t replica) const {
    store_coordinates(gradient + 3 * replica * atoms_, at, atoms_, g);
  }

 private:
  const int64_t atoms_, stride_;
  T* const x_;
};

}  // namespace
