// Vacant sites of a cluster: places at distance 1 from three atoms that are neighbours.

#include "kernels.h"

namespace {

constexpr int64_t kMostNeighbours = 12;  // an atom with as many has no vacant place beside it
constexpr double kNeighbour = 1.69;      // squares of distances
constexpr double kVacant = 0.64;
constexpr double kSame = 0.1225;
constexpr double kMargin = -0.3;  // depth in a domain of what stands for an orbit

// The half-spaces that bound a fundamental domain of a group.
template <class T>
struct Domain {
  Point<T> normals[kMostOperations];
  int count = 0;

  // Distance from the boundary, positive inside.
  T get_depth(Point<T> p) const {
    T depth = T(kFar);
    for (int k = 0; k < count; ++k) depth = std::min(depth, dot(p, normals[k]));
    return depth;
  }
};

template <class T>
class VacantSites {
 public:
  VacantSites(T*& scratch, int64_t atoms) : found_(scratch, count_most(atoms)) {
    weights_ = scratch;
    scratch += count_most(atoms);
    sums_ = scratch;
    scratch += 3 * count_most(atoms);
    neighbours_ = reinterpret_cast<int32_t*>(scratch);
    scratch += kMostNeighbours * atoms;
    degrees_ = reinterpret_cast<int32_t*>(scratch);
    scratch += atoms;
  }

  static int64_t count_most(int64_t atoms) { return 3 * atoms + 64; }

  static int64_t count_scratch(int64_t atoms) {
    return Points<T>::count_scratch(count_most(atoms)) + 4 * count_most(atoms) +
           (kMostNeighbours + 1) * atoms;
  }

  const Points<T>& found() const { return found_; }

  // Finds the sites among `atoms`; with a domain only those in it, or not far outside.
  void find(const Points<T>& atoms, const Domain<T>* domain) {
    list_neighbours(atoms);
    found_.clear();
    for (int32_t i = 0; i < atoms.size(); ++i) {
      if (degrees_[i] >= kMostNeighbours) continue;
      const int32_t* list = neighbours_ + kMostNeighbours * i;
      const Point<T> origin = atoms[i];
      for (int32_t a = 0; a < degrees_[i]; ++a) {
        const int32_t j = list[a];
        if (j < i || degrees_[j] >= kMostNeighbours) continue;
        for (int32_t b = a + 1; b < degrees_[i]; ++b) {
          const int32_t k = list[b];
          if (degrees_[k] >= kMostNeighbours) continue;
          const Point<T> bc = atoms[k] - atoms[j];
          if (dot(bc, bc) < T(kNeighbour))
            add_apexes(atoms, origin, atoms[j] - origin, atoms[k] - origin, domain);
        }
      }
    }
    for (int64_t m = 0; m < found_.size(); ++m) {
      const T* sum = sums_ + 3 * m;
      const T share = 1 / weights_[m];
      found_.put(m, {share * sum[0], share * sum[1], share * sum[2]});
    }
  }

 private:
  // Neighbours of each atom in ascending order; of an atom that has too many, some.
  void list_neighbours(const Points<T>& atoms) {
    for (int64_t i = 0; i < atoms.size(); ++i) {
      int32_t degree = 0, *list = neighbours_ + kMostNeighbours * i;
      for (int64_t at = 0; at < atoms.size() && degree < kMostNeighbours; at += lanes<T>) {
        const Vec<T> squares = atoms.get_squares(atoms[i], at);
        if (!any_less(squares, broadcast<T>(T(kNeighbour)))) continue;
        // An atom that is far away is near the places that pad the last vector.
        const int64_t end = std::min(at + lanes<T>, atoms.size());
        for (int64_t j = at; j < end && degree < kMostNeighbours; ++j)
          if (squares[j - at] < T(kNeighbour) && j != i) list[degree++] = int32_t(j);
      }
      degrees_[i] = degree;
    }
  }

  // The places at distance 1 from the corners `origin`, `origin + ab` and `origin + ac`.
  void add_apexes(const Points<T>& atoms, Point<T> origin, Point<T> ab, Point<T> ac,
                  const Domain<T>* domain) {
    const Point<T> normal = cross(ab, ac);
    const T area = dot(normal, normal);
    if (!(area > T(1e-4))) return;
    const Point<T> centre =
        scale(1 / (2 * area), scale(dot(ab, ab), cross(ac, normal)) +
                                  scale(dot(ac, ac), cross(normal, ab)));
    const T height = 1 - dot(centre, centre);
    if (!(height > T(0.05))) return;
    const T up = std::sqrt(height / area);
    add_site(atoms, origin + centre + scale(-up, normal), domain);
    add_site(atoms, origin + centre + scale(up, normal), domain);
  }

  void add_site(const Points<T>& atoms, Point<T> site, const Domain<T>* domain) {
    if (domain && !(domain->get_depth(site) > T(kMargin))) return;
    if (atoms.has_any_within(site, T(kVacant))) return;
    int64_t m = found_.find_within(site, T(kSame));
    if (m < 0) {
      if (found_.is_full()) return;
      m = found_.size();
      found_.add(site);
      weights_[m] = 0;
      sums_[3 * m] = sums_[3 * m + 1] = sums_[3 * m + 2] = 0;
    }
    weights_[m] += 1;
    sums_[3 * m] += site.x;
    sums_[3 * m + 1] += site.y;
    sums_[3 * m + 2] += site.z;
  }

  Points<T> found_;
  T *weights_, *sums_;  // numbers and sums of the places that are one site
  int32_t *neighbours_, *degrees_;
};

}  // namespace
