// Replicas in lanes: a block of them as vectors, and back. Of few replicas, atoms in lanes.

#include "kernels.h"

namespace {

using hopgym::Operand;

// A parameter of the potential, which replicas may have of their own, for a block. Lanes
// beyond `count` repeat the first replica.
template <class T>
Vec<T> parameter(const Operand<T>& operand, int64_t begin, int64_t count, int64_t index = 0) {
  Vec<T> x;
  for (int l = 0; l < lanes<T>; ++l) x[l] = operand.at(begin + (l < count ? l : 0))[index];
  return x;
}

// Calls `move(k, width)` for pieces of rows as wide as a vector, of which the last may
// overlap with the one before. Where rows are shorter, `width` is less.
template <class T, class Move>
HOPGYM_INLINE void by_columns(int64_t coordinates, Move move) {
  constexpr int64_t L = lanes<T>;
  if (coordinates < L) return move(0, coordinates);
  for (int64_t k = 0; k + L <= coordinates; k += L) move(k, L);
  if (coordinates % L) move(coordinates - L, L);
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
  by_columns<T>(coordinates, [&](int64_t k, int64_t width) {
    Vec<T> part[L] = {};
    for (int l = 0; l < L; ++l)
      if (width == L)
        part[l] = load<T>(from[l] + k);
      else
        std::memcpy(&part[l], from[l], width * sizeof(T));
    transpose<T>(part);
    for (int64_t c = 0; c < width; ++c) store<T>(x + (k + c) * L, within<T>(part[c], limit) * scale);
  });
}

template <class T>
void scatter(const T* g, int64_t begin, int64_t count, int64_t coordinates, Vec<T> scale,
             T* gradient) {
  constexpr int64_t L = lanes<T>;
  by_columns<T>(coordinates, [&](int64_t k, int64_t width) {
    Vec<T> part[L] = {};
    for (int64_t c = 0; c < width; ++c) part[c] = load<T>(g + (k + c) * L) * scale;
    transpose<T>(part);
    for (int l = 0; l < count; ++l)
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

// The atoms of one replica by vectors, each of whose lanes is an atom.
template <class T>
class Atoms {
 public:
  // `x` has room for 3 (atoms + lanes) numbers.
  Atoms(const T* positions, int64_t atoms, T limit, Vec<T> scale, T* x)
      : atoms_(atoms), stride_(whole_vectors<T>(atoms)), x_(x) {
    for (int64_t i = 0; i < stride_; ++i)
      for (int a = 0; a < 3; ++a) x[a * stride_ + i] = i < atoms ? positions[3 * i + a] : T(0);
    for (int64_t k = 0; k < 3 * stride_; k += lanes<T>)
      store<T>(x + k, within<T>(load<T>(x + k), limit) * scale);
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

  void put(const Space<T>& g, int64_t at, int64_t end, T* gradient, int64_t replica) const {
    T* to = gradient + 3 * (replica * atoms_ + at);
    for (int64_t l = 0; l < end - at; ++l, to += 3) {
      to[0] = g.x[l];
      to[1] = g.y[l];
      to[2] = g.z[l];
    }
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
