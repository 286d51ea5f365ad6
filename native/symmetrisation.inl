// Symmetrisation of a cluster about one of its axes, after Oakley, Johnston and Wales, Phys.
// Chem. Chem. Phys. 15, 3965 (2013) (hopgym/optimizers/symmetry/symmetrisation.py).

#include "kernels.h"

namespace {

constexpr double kAxis = 0.35;        // distance from the axis of an atom that is on it
constexpr double kOverhang = 0.3;     // of a sector
constexpr int kFolds[] = {2, 3, 5, 5, 3, 4, 6, 1};
constexpr int kTriedCentres = 8;
constexpr double kPi = 3.141592653589793;

template <class T>
HOPGYM_INLINE Point<T> normalise(Point<T> a, Point<T> otherwise) {
  const T norm = std::sqrt(dot(a, a));
  return norm > T(0.1) ? scale(1 / norm, a) : otherwise;
}

template <class T>
HOPGYM_INLINE Point<T> rotate(Point<T> p, Point<T> axis, T cosine, T sine) {
  return scale(cosine, p) + scale(sine, cross(axis, p)) + scale((1 - cosine) * dot(axis, p), axis);
}

template <class T>
struct Axis {
  Point<T> origin, direction;
};

// The atom among `atoms` of rank `rank` that is a neighbour of atom `i`.
template <class T>
int64_t find_neighbour(const Points<T>& atoms, int64_t i, T drawn) {
  int64_t count = 0;
  for (int pass = 0; pass < 2; ++pass) {
    int64_t rank = pass ? std::min(count - 1, int64_t(drawn * T(count))) : 0;
    for (int64_t j = 0; j < atoms.size(); ++j) {
      const Point<T> apart = atoms[j] - atoms[i];
      if (j == i || !(dot(apart, apart) < T(kNeighbour))) continue;
      if (!pass) ++count;
      else if (rank-- == 0) return j;
    }
    if (!count) return -1;
  }
  return -1;
}

// An axis through the centroid and an atom, the middle of a bond or of three atoms, or along
// a bond near the centroid.
template <class T>
Axis<T> choose_axis(const Points<T>& atoms, Point<T> centroid, const RandomNumbers& random,
                    uint32_t round) {
  const auto draw = [&](uint32_t index) { return random.draw<T>(round, index); };
  const auto pick = [&](T drawn) {
    return std::min(atoms.size() - 1, int64_t(drawn * T(atoms.size())));
  };
  const int kind = std::min(3, int(4 * draw(0)));
  int64_t i = pick(draw(1));
  const Point<T> any = get_direction(draw(2), draw(3));
  Axis<T> axis{centroid, any};
  if (kind == 3) {
    T best = T(kFar);
    for (int t = 0; t < kTriedCentres; ++t) {
      const int64_t k = pick(draw(10 + 2 * t));
      const Point<T> apart = atoms[k] - centroid;
      const T near = dot(apart, apart) * (T(0.3) + draw(11 + 2 * t));
      if (near < best) best = near, i = k;
    }
  }
  const int64_t j = find_neighbour(atoms, i, draw(4)), k = find_neighbour(atoms, i, draw(5));
  if (kind == 0 || (j < 0 && kind < 3)) {
    axis.direction = normalise(atoms[i] - centroid, any);
  } else if (kind == 1) {
    axis.direction = normalise(scale(T(0.5), atoms[i] + atoms[j]) - centroid, any);
  } else if (kind == 2) {
    axis.direction =
        normalise(scale(T(1.0 / 3), atoms[i] + atoms[j] + atoms[k]) - centroid, any);
  } else if (j >= 0) {
    axis = {atoms[i], normalise(atoms[j] - atoms[i], any)};
  }
  if (kind != 3 && draw(6) < T(0.3)) {
    // Through the atom that is nearest to the centroid.
    int64_t nearest = 0;
    T best = T(kFar);
    for (int64_t a = 0; a < atoms.size(); ++a) {
      const Point<T> apart = atoms[a] - centroid;
      if (dot(apart, apart) < best) best = dot(apart, apart), nearest = a;
    }
    const Point<T> shift = atoms[nearest] - centroid;
    axis.origin = centroid + shift - scale(dot(shift, axis.direction), axis.direction);
  }
  return axis;
}

// Adds a point to the pool unless there is one already.
template <class T>
void add_new(Points<T>& pool, Point<T> p) {
  if (!pool.is_full() && !pool.has_any_within(p, T(kMerged))) pool.add(p);
}

// Repeats a sector of the cluster about an axis: the places are added to `pool`, relative to
// the axis, which is returned. `order` is memory for the indices of the atoms.
template <class T>
Axis<T> repeat_sector(const Points<T>& atoms, Points<T>& pool, const RandomNumbers& random,
                      uint32_t round, int32_t* order) {
  Point<T> centroid{};
  for (int64_t i = 0; i < atoms.size(); ++i) centroid = centroid + atoms[i];
  centroid = scale(1 / T(atoms.size()), centroid);
  const Axis<T> axis = choose_axis(atoms, centroid, random, round);
  const auto draw = [&](uint32_t index) { return random.draw<T>(round, 40 + index); };
  const int fold = kFolds[std::min(7, int(8 * draw(0)))];
  const T turn = T(2 * kPi) * draw(1);
  const bool mirror = fold == 1 || draw(2) < T(0.25);
  const Point<T> up = axis.direction;
  const Point<T> side = std::abs(up.x) < T(0.8) ? Point<T>{1, 0, 0} : Point<T>{0, 1, 0};
  const Point<T> first = normalise(cross(up, side), side), second = cross(up, first);
  const T sector = T(mirror ? kPi : 2 * kPi) / T(fold);
  // Atoms on the axis, then those in the sector, then those a little outside.
  int32_t inside = 0, outside = 0;
  pool.clear();
  for (int64_t i = 0; i < atoms.size(); ++i) {
    const Point<T> p = atoms[i] - axis.origin;
    const T a = dot(p, first), b = dot(p, second), radius = std::sqrt(a * a + b * b);
    if (!(radius >= T(kAxis))) {
      add_new(pool, scale(dot(p, up), up));
      continue;
    }
    T angle = std::atan2(b, a) - turn;
    angle -= T(2 * kPi) * std::floor(angle / T(2 * kPi));
    if (angle < sector)
      order[inside++] = int32_t(i);
    else if (angle < sector + T(kOverhang) / radius || angle > T(2 * kPi) - T(kOverhang) / radius)
      order[atoms.size() + outside++] = int32_t(i);
  }
  const Point<T> normal = scale(std::cos(turn), second) - scale(std::sin(turn), first);
  for (int32_t n = 0; n < inside + outside; ++n) {
    const int32_t i = n < inside ? order[n] : order[atoms.size() + n - inside];
    const Point<T> p = atoms[i] - axis.origin;
    const Point<T> reflected = p - scale(2 * dot(p, normal), normal);
    for (int k = 0; k < fold; ++k) {
      const T angle = T(2 * kPi * k / fold), cosine = std::cos(angle), sine = std::sin(angle);
      add_new(pool, rotate(p, up, cosine, sine));
      if (mirror) add_new(pool, rotate(reflected, up, cosine, sine));
    }
  }
  return axis;
}

}  // namespace
