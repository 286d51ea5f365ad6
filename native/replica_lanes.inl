// Replicas in lanes: transposes a block of replicas to vectors and back.

#include "kernels.h"

namespace {

using hopgym::Operand;

// A parameter of a block of replicas, which may share it or have their own ones. Lanes beyond
// `count` repeat the first replica.
template <class T>
Vec<T> load_parameter(const Operand<T>& operand, int64_t begin, int64_t count,
                      int64_t index = 0) {
  if (operand.shared()) return broadcast<T>(operand.data[index]);
  Vec<T> x;
  for (int l = 0; l < lanes<T>; ++l) x[l] = operand.at(begin + (l < count ? l : 0))[index];
  return x;
}

// Calls `move(k, width)` for pieces of rows as wide as a vector; the last may overlap the
// one before. `width` is a compile-time constant, except for rows shorter than a vector.
template <class T, class Move>
HOPGYM_INLINE void for_each_piece(int64_t coordinates, Move move) {
  constexpr std::integral_constant<int64_t, lanes<T>> whole{};
  if (coordinates < whole) return move(0, coordinates);
  for (int64_t k = 0; k + whole <= coordinates; k += whole) move(k, whole);
  if (coordinates % whole) move(coordinates - whole, whole);
}

// Limits a number to +-`limit`; NaN stays NaN.
template <class T>
HOPGYM_INLINE Vec<T> clamp_keep_nan(Vec<T> x, Vec<T> limit) {
  return min<T>(limit, max<T>(-limit, x));
}

// Limit of positions in a potential with a given length, so that squared distances in units
// of this length stay finite (hopgym/potentials/base.py: limit_positions).
template <class T>
HOPGYM_INLINE Vec<T> scale_limit(double limit, Vec<T> length) {
  return T(limit) * min<T>(broadcast<T>(T(1)), length);
}

// Loads the positions of a block, limited to +-`limit`, times `scale`: a vector for each
// coordinate.
template <class T>
void gather(const Operand<T>& positions, int64_t begin, int64_t count, int64_t coordinates,
            Vec<T> limit, Vec<T> scale, T* x) {
  constexpr int64_t L = lanes<T>;
  const T* from[L];
  for (int l = 0; l < L; ++l) from[l] = positions.at(begin + (l < count ? l : 0));
  for_each_piece<T>(coordinates, [&](int64_t k, auto width) {
    Vec<T> part[L] = {};
    HOPGYM_UNROLL
    for (int l = 0; l < L; ++l) std::memcpy(&part[l], from[l] + k, width * sizeof(T));
    transpose<T>(part);
    HOPGYM_UNROLL
    for (int c = 0; c < L; ++c)
      if (c < width) store<T>(x + (k + c) * L, clamp_keep_nan<T>(part[c], limit) * scale);
  });
}

// Stores the gradient of a block, times `scale`.
template <class T>
void scatter(const T* g, int64_t begin, int64_t count, int64_t coordinates, Vec<T> scale,
             T* gradient) {
  constexpr int64_t L = lanes<T>;
  for_each_piece<T>(coordinates, [&](int64_t k, auto width) {
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

// Calls `block(begin, count)` for as many replicas at a time as there are lanes, and for the
// remaining ones either `block` or `one(replica)` for each, whichever computes fewer pairs.
template <class T, class Block, class One>
void for_each_block(int64_t begin, int64_t end, int64_t atoms, Block block, One one) {
  const int64_t of_one = atoms * round_up_to_vectors<T>(atoms) / lanes<T>;
  const int64_t of_block = atoms * (atoms - 1) / 2;
  for (; end - begin >= lanes<T>; begin += lanes<T>) block(begin, lanes<T>);
  if ((end - begin) * of_one > of_block)
    block(begin, end - begin);
  else
    for (; begin < end; ++begin) one(begin);
}

}  // namespace
