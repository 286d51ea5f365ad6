// Symmetric completion: a cluster of whole orbits of a point group, and as many atoms of each
// species as the system has (hopgym/optimizers/symmetry/completion.py).

#include "kernels.h"

namespace {

using hopgym::ClusterMove;

constexpr double kMerged = 0.36;       // squares of distances: images that are one atom,
constexpr double kClash = 0.4225;      // an orbit and the atoms that are there,
constexpr double kCrowded = 0.64;      // a site, its images and the atoms
constexpr int64_t kSurplus = 64;       // atoms above their number before the weakest leave
constexpr double kOrbitNoise = 1.0;    // of the score by which orbits leave,
constexpr double kSiteNoise = 0.15;     // and by which sites are filled
constexpr double kAtomNoise = 0.5;
constexpr double kDepthNoise = 0.1;

// The images of a point under the operations of a group.
template <class T>
class Orbit {
 public:
  Point<T> images[kMostOperations];
  int size = 0;

  // Images that are near each other become one, on the element of symmetry.
  void find(Point<T> p, const T* operations, int order) {
    Point<T> sum{}, all[kMostOperations];
    int count = 0;
    for (int k = 0; k < order; ++k) {
      all[k] = apply(operations + 9 * k, p);
      const Point<T> apart = all[k] - p;
      if (dot(apart, apart) < T(kMerged)) sum = sum + all[k], ++count;
    }
    // A point that is not finite has no neighbours, not even itself.
    p = count ? scale(1 / T(count), sum) : p;
    size = 0;
    for (int k = 0; k < order; ++k) {
      const Point<T> image = apply(operations + 9 * k, p);
      if (!has_any_within(image, T(kMerged))) images[size++] = image;
    }
  }

  bool has_any_within(Point<T> p, T limit) const {
    for (int k = 0; k < size; ++k) {
      const Point<T> apart = images[k] - p;
      if (dot(apart, apart) < limit) return true;
    }
    return false;
  }

  bool is_crowded() const {
    for (int a = 1; a < size; ++a)
      for (int b = 0; b < a; ++b) {
        const Point<T> apart = images[a] - images[b];
        if (dot(apart, apart) < T(kCrowded)) return true;
      }
    return false;
  }

  // Half of the score of the first image with the others.
  T score_itself() const {
    T sum = 0;
    for (int k = 1; k < size; ++k) {
      const Point<T> apart = images[0] - images[k];
      sum += score_pair(dot(apart, apart)) / 2;
    }
    return sum;
  }
};

template <class T>
class Completion {
 public:
  Completion(const ClusterMove<T>& call, T*& scratch)
      : call_(call), atoms_(call.atoms), pool_(scratch, count_places(call)),
        sites_(scratch, call.atoms) {
    for (int32_t** list : {&orbits_, &sizes_, &species_, &spare_, &order_}) {
      *list = reinterpret_cast<int32_t*>(scratch);
      scratch += count_places(call);
    }
    depths_ = scratch;
    scratch += count_places(call);
  }

  static int64_t count_places(const ClusterMove<T>& call) {
    return call.atoms + kSurplus + call.most_operations;
  }

  static int64_t count_scratch(const ClusterMove<T>& call) {
    return Points<T>::count_scratch(count_places(call)) +
           VacantSites<T>::count_scratch(call.atoms) + 6 * count_places(call);
  }

  const T* find_operations(int64_t r) const {
    return call_.operations.at(r) + 9 * call_.most_operations * find_group(r);
  }

  // Completes the cluster of replica `r` whose atoms are `from`, in units of length; returns
  // whether that was possible. Draws random numbers of the rounds from `round` on.
  bool complete(int64_t r, const Points<T>& from, const RandomNumbers& random, uint32_t round,
                int drop, bool exchange) {
    random_ = &random;
    round_ = round;
    operations_ = find_operations(r);
    operations_count_ = int(
        std::clamp<int64_t>(call_.orders.at(r)[find_group(r)], 1, call_.most_operations));
    frame_ = call_.frame.at(r);
    kinds_ = call_.species.at(r);
    find_domain();
    collect(from);
    if (pool_.size() < std::max<int64_t>(std::min<int64_t>(3, atoms_), atoms_ / 4))
      return false;
    if (exchange) exchange_orbits();
    for (int k = 0; k < drop && count_ > 1; ++k) remove_orbit(find_weakest_orbit(-1, kAll));
    count_gaps();
    while (remove_surplus()) continue;
    while (pool_.size() < atoms_)
      if (!fill_gap()) return false;
    return pool_.size() == atoms_;
  }

  // Writes the atoms, each to a place of its species.
  void write(T* positions, T length) const {
    for (int32_t species = 0; species < call_.kinds; ++species) {
      int64_t next = 0;
      for (int64_t i = 0; i < atoms_; ++i) {
        if (kinds_[i] != species) continue;
        while (species_[next] != species) ++next;
        const Point<T> p = scale(length, apply_transposed(frame_, pool_[next++]));
        positions[3 * i] = p.x;
        positions[3 * i + 1] = p.y;
        positions[3 * i + 2] = p.z;
      }
    }
  }

 private:
  static constexpr int32_t kAll = 1 << 30;

  int64_t find_group(int64_t r) const {
    return std::clamp<int64_t>(*call_.group.at(r), 0, call_.groups - 1);
  }

  T draw(int64_t index) const { return random_->template draw<T>(round_, uint32_t(index)); }

  // The half-spaces that are nearer to a random direction than to its images.
  void find_domain() {
    const Point<T> w = get_direction(draw(0), draw(1));
    domain_.count = 0;
    for (int k = 1; k < operations_count_; ++k) {
      const Point<T> apart = w - apply(operations_ + 9 * k, w);
      const T norm = std::sqrt(dot(apart, apart));
      if (norm > T(1e-4)) domain_.normals[domain_.count++] = scale(1 / norm, apart);
    }
    ++round_;
  }

  // The orbits of the atoms in the domain, the innermost first.
  void collect(const Points<T>& from) {
    int32_t found = 0;
    for (int64_t i = 0; i < from.size(); ++i) {
      const T depth = domain_.get_depth(apply(frame_, from[i]));
      if (!(depth > T(kMargin))) continue;
      depths_[i] = T(kDepthNoise) * draw(i) - depth;
      order_[found++] = int32_t(i);
    }
    ++round_;
    std::sort(order_, order_ + found, [&](int32_t a, int32_t b) {
      return depths_[a] != depths_[b] ? depths_[a] < depths_[b] : a < b;
    });
    pool_.clear();
    count_ = 0;
    for (int32_t k = 0; k < found && pool_.size() <= atoms_ + kSurplus; ++k) {
      orbit_.find(apply(frame_, from[order_[k]]), operations_, operations_count_);
      bool clash = false;
      for (int a = 0; a < orbit_.size && !clash; ++a)
        clash = pool_.has_any_within(orbit_.images[a], T(kClash));
      if (!clash) add_orbit(orbit_, kinds_[order_[k]]);
    }
  }

  void add_orbit(const Orbit<T>& orbit, int32_t species) {
    orbits_[count_] = int32_t(pool_.size());
    sizes_[count_++] = orbit.size;
    for (int a = 0; a < orbit.size; ++a) {
      species_[pool_.size()] = species;
      pool_.add(orbit.images[a]);
    }
  }

  // Removes `size` atoms from place `begin` on.
  void remove_atoms(int64_t begin, int64_t size) {
    for (int64_t k = begin; k + size < pool_.size(); ++k) {
      pool_.put(k, pool_[k + size]);
      species_[k] = species_[k + size];
    }
    pool_.shorten(pool_.size() - size);
  }

  void remove_orbit(int32_t o) {
    if (o < 0) return;
    const int32_t size = sizes_[o];
    remove_atoms(orbits_[o], size);
    for (int32_t k = o; k + 1 < count_; ++k) {
      orbits_[k] = orbits_[k + 1] - size;
      sizes_[k] = sizes_[k + 1];
    }
    --count_;
  }

  // The orbit of a species (or of any, -1) and at most a size whose atoms are bound worst.
  int32_t find_weakest_orbit(int32_t species, int32_t most) {
    int32_t weakest = -1;
    T worst = T(-1e9);
    for (int32_t o = 0; o < count_; ++o) {
      if (sizes_[o] > most || (species >= 0 && species_[orbits_[o]] != species)) continue;
      const T score = pool_.score(pool_[orbits_[o]]) + T(kOrbitNoise) * draw(o);
      if (score > worst) worst = score, weakest = o;
    }
    ++round_;
    return weakest;
  }

  // Atoms that are missing of each species, negative where there are too many.
  void count_gaps() {
    for (int32_t s = 0; s < call_.kinds; ++s) spare_[s] = 0;
    for (int64_t i = 0; i < atoms_; ++i) ++spare_[kinds_[i]];
    for (int64_t k = 0; k < pool_.size(); ++k) --spare_[species_[k]];
  }

  // Lets atoms of a species of which there are too many become another one or leave: an orbit
  // if one is small enough, else one atom. Returns whether there were any.
  bool remove_surplus() {
    int32_t s = 0;
    while (s < call_.kinds && spare_[s] >= 0) ++s;
    if (s == call_.kinds) return false;
    int32_t o = find_weakest_orbit(s, -spare_[s]);
    if (o < 0) {
      // Atoms leave one by one from here on.
      split_orbits();
      o = find_weakest_orbit(s, 1);
    }
    int32_t other = 0;
    while (other < call_.kinds && spare_[other] < sizes_[o]) ++other;
    spare_[s] += sizes_[o];
    if (other == call_.kinds) {
      remove_orbit(o);
    } else {
      spare_[other] -= sizes_[o];
      for (int32_t k = 0; k < sizes_[o]; ++k) species_[orbits_[o] + k] = other;
    }
    return true;
  }

  void split_orbits() {
    count_ = int32_t(pool_.size());
    for (int32_t k = 0; k < count_; ++k) orbits_[k] = k, sizes_[k] = 1;
  }

  // Exchanges the species of two orbits of one size.
  void exchange_orbits() {
    int32_t first = -1, second = -1;
    T best = T(2);
    for (int32_t o = 0; o < count_; ++o)
      if (draw(o) < best) best = draw(o), first = o;
    ++round_;
    best = T(2);
    for (int32_t o = 0; o < count_; ++o)
      if (sizes_[o] == sizes_[first] && species_[orbits_[o]] != species_[orbits_[first]] &&
          draw(o) < best)
        best = draw(o), second = o;
    ++round_;
    if (second < 0) return;
    for (int32_t k = 0; k < sizes_[first]; ++k)
      std::swap(species_[orbits_[first] + k], species_[orbits_[second] + k]);
  }

  // Fills the best vacant orbit that is not larger than the gap of some species, or if there
  // is none, the best vacant site. Returns whether there was a place.
  bool fill_gap() {
    int32_t most = 0;
    for (int32_t s = 0; s < call_.kinds; ++s) most = std::max(most, spare_[s]);
    sites_.find(pool_, &domain_);
    const Points<T>& sites = sites_.found();
    best_.size = 0;
    T best = T(1e9);
    for (int64_t m = 0; m < sites.size(); ++m) {
      orbit_.find(sites[m], operations_, operations_count_);
      if (orbit_.size > most || orbit_.is_crowded()) continue;
      const T score =
          pool_.score(orbit_.images[0]) + orbit_.score_itself() + T(kSiteNoise) * draw(m);
      if (score < best && has_room(orbit_)) best = score, best_ = orbit_;
    }
    ++round_;
    if (!best_.size) find_best_site();
    if (!best_.size) return false;
    // A species that has room, one that lacks more atoms with a higher probability.
    int32_t room = 0, species = 0;
    for (int32_t s = 0; s < call_.kinds; ++s)
      if (spare_[s] >= best_.size) room += spare_[s];
    const T drawn = draw(0) * T(room);
    ++round_;
    int32_t passed = 0;
    for (int32_t s = 0; s < call_.kinds; ++s) {
      if (spare_[s] < best_.size) continue;
      species = s;
      passed += spare_[s];
      if (drawn < T(passed)) break;
    }
    spare_[species] -= best_.size;
    add_orbit(best_, species);
    return true;
  }

  // Whether no image is too near to an atom. Single atoms need not have images themselves, so
  // that one image does not stand for all.
  bool has_room(const Orbit<T>& orbit) const {
    for (int a = 0; a < orbit.size; ++a)
      if (pool_.has_any_within(orbit.images[a], T(kCrowded))) return false;
    return true;
  }

  void find_best_site() {
    sites_.find(pool_, nullptr);
    const Points<T>& sites = sites_.found();
    T best = T(1e9);
    for (int64_t m = 0; m < sites.size(); ++m) {
      const T score = pool_.score(sites[m]) + T(kAtomNoise) * draw(m);
      if (score < best) {
        best = score;
        best_.images[0] = sites[m];
        best_.size = 1;
      }
    }
    ++round_;
  }

  const ClusterMove<T>& call_;
  const int64_t atoms_;
  Points<T> pool_;
  VacantSites<T> sites_;
  int32_t *orbits_, *sizes_;  // first atom and size of each orbit
  int32_t *species_;          // of each atom of the pool
  int32_t *spare_;            // atoms of each species that are missing
  int32_t *order_;
  T* depths_;
  int32_t count_ = 0;  // of orbits
  const RandomNumbers* random_ = nullptr;
  uint32_t round_ = 0;
  const T *operations_ = nullptr, *frame_ = nullptr;
  const int32_t* kinds_ = nullptr;
  int operations_count_ = 0;
  Domain<T> domain_;
  Orbit<T> orbit_, best_;
};

}  // namespace
