// Surface search: the best occupation of the lattice of atoms and vacant sites
// (hopgym/optimizers/symmetry/surface_search.py).

#include "kernels.h"

namespace {

constexpr int kWeakest = 6;          // atoms that are tried on all vacant places
constexpr int kMostSwaps = 200;      // until a descent ends
constexpr int kTriedAtoms = 5;       // of which a kick takes the worst bound,
constexpr int kTriedPlaces = 3;      // and puts it to the best of so many places
constexpr double kGain = 1e-3;       // smallest gain that counts
constexpr double kTie = 1e-6;        // of the index of a place, added to its score

template <class T>
class SurfaceSearch {
 public:
  SurfaceSearch(T*& scratch, int64_t places) : lattice_(scratch, places) {
    const int64_t width = round_up_to_vectors<T>(places);
    for (T** list : {&scores_, &kept_scores_, &occupied_, &kept_, &swaps_}) {
      *list = scratch;
      scratch += width;
    }
  }

  static int64_t count_scratch(int64_t places) {
    return Points<T>::count_scratch(places) + 5 * round_up_to_vectors<T>(places);
  }

  Points<T>& lattice() { return lattice_; }
  bool is_occupied(int64_t k) const { return occupied_[k] > 0; }

  // Occupies `atoms` places, of which the first `first` are occupied at the beginning, as well
  // as `kicks` descents from perturbed occupations find. Returns the change of the score, from
  // the first occupation with the right number of atoms.
  T search(int64_t first, int64_t atoms, int kicks, int most_moved, const RandomNumbers& random,
           uint32_t round) {
    size_ = lattice_.size();
    width_ = round_up_to_vectors<T>(size_);
    for (int64_t k = 0; k < width_; ++k) occupied_[k] = k < first ? T(1) : T(0);
    score_all(first);
    occupy(first, atoms);
    const T before = sum_scores();
    descend();
    T best = sum_scores();
    keep();
    for (int kick = 0; kick < kicks; ++kick) {
      restore();
      const int moved = 1 + std::min(most_moved - 1, int(random.draw<T>(round, 0) * most_moved));
      for (int q = 0; q < moved; ++q) move_one(random, round + 1 + q);
      round += 1 + most_moved;
      descend();
      const T score = sum_scores();
      if (score < best - T(kGain)) best = score, keep();
    }
    restore();
    return best - before;
  }

 private:
  void score_all(int64_t first) {
    // Without ties: places related by symmetry would be chosen between by rounding.
    for (int64_t k = 0; k < width_; ++k) scores_[k] = T(kTie) * T(k);
    for (int64_t k = 0; k < first; ++k) add_scores(k, T(1));
  }

  // Adds the scores of all places with place `k`, but for an overlap with itself.
  void add_scores(int64_t k, T sign) {
    const Point<T> p = lattice_[k];
    for (int64_t at = 0; at < size_; at += lanes<T>)
      store<T>(scores_ + at,
               load<T>(scores_ + at) + sign * score_pairs<T>(lattice_.get_squares(p, at)));
    scores_[k] -= sign * T(kOverlap);
  }

  void swap(int64_t from, int64_t to) {
    occupied_[from] = 0;
    occupied_[to] = 1;
    add_scores(from, T(-1));
    add_scores(to, T(1));
  }

  // Fills the best places, or empties the worst ones, until `atoms` are occupied.
  void occupy(int64_t count, int64_t atoms) {
    for (; count > atoms; --count) {
      int64_t worst = -1;
      for (int64_t k = 0; k < size_; ++k)
        if (is_occupied(k) && (worst < 0 || scores_[k] > scores_[worst])) worst = k;
      occupied_[worst] = 0;
      add_scores(worst, T(-1));
    }
    for (; count < atoms; ++count) {
      int64_t best = -1;
      for (int64_t k = 0; k < size_; ++k)
        if (!is_occupied(k) && (best < 0 || scores_[k] < scores_[best])) best = k;
      occupied_[best] = 1;
      add_scores(best, T(1));
    }
  }

  T sum_scores() const {
    T sum = 0;
    for (int64_t k = 0; k < size_; ++k)
      if (is_occupied(k)) sum += scores_[k] / 2;
    return sum;
  }

  void keep() {
    std::copy(scores_, scores_ + width_, kept_scores_);
    std::copy(occupied_, occupied_ + width_, kept_);
  }

  void restore() {
    std::copy(kept_scores_, kept_scores_ + width_, scores_);
    std::copy(kept_, kept_ + width_, occupied_);
  }

  // The `kWeakest` atoms of highest score, the worst first; returns their number.
  int find_weakest(int64_t (&weakest)[kWeakest]) const {
    int count = 0;
    for (int64_t k = 0; k < size_; ++k) {
      if (!is_occupied(k)) continue;
      if (count == kWeakest && !(scores_[k] > scores_[weakest[count - 1]])) continue;
      int at = count < kWeakest ? count++ : count - 1;
      for (; at > 0 && scores_[k] > scores_[weakest[at - 1]]; --at)
        weakest[at] = weakest[at - 1];
      weakest[at] = k;
    }
    return count;
  }

  // Moves one of the weakest atoms to the place where the score falls most, while it does.
  void descend() {
    for (int tries = 0; tries < kMostSwaps; ++tries) {
      int64_t weakest[kWeakest], from = -1, to = -1;
      const int count = find_weakest(weakest);
      T best = T(-kGain);
      for (int q = 0; q < count; ++q) {
        const int64_t a = weakest[q];
        const Point<T> p = lattice_[a];
        Vec<T> lowest = broadcast<T>(T(kFar));
        for (int64_t at = 0; at < size_; at += lanes<T>) {
          const Vec<T> gain = load<T>(scores_ + at) -
                              score_pairs<T>(lattice_.get_squares(p, at)) +
                              load<T>(occupied_ + at) * T(kFar) - scores_[a];
          store<T>(swaps_ + at, gain);
          lowest = min<T>(lowest, gain);
        }
        if (!any_less(lowest, broadcast<T>(best))) continue;
        for (int64_t k = 0; k < size_; ++k)
          if (swaps_[k] < best) best = swaps_[k], from = a, to = k;
      }
      if (from < 0) return;
      swap(from, to);
    }
  }

  // The place of rank `rank` among those that are occupied, or among those that are not.
  int64_t find_ranked(bool occupied, int64_t rank) const {
    for (int64_t k = 0; k < size_; ++k)
      if (is_occupied(k) == occupied && rank-- == 0) return k;
    return -1;
  }

  // Moves an atom that is bound badly to a place that is good, among a few of each.
  void move_one(const RandomNumbers& random, uint32_t round) {
    int64_t atoms = 0;
    for (int64_t k = 0; k < size_; ++k) atoms += is_occupied(k);
    const int64_t vacant = size_ - atoms;
    if (!vacant) return;
    int64_t from = -1, to = -1;
    for (int t = 0; t < kTriedAtoms; ++t) {
      const T drawn = random.draw<T>(round, uint32_t(t));
      const int64_t k = find_ranked(true, std::min(atoms - 1, int64_t(drawn * T(atoms))));
      if (from < 0 || scores_[k] > scores_[from]) from = k;
    }
    for (int t = 0; t < kTriedPlaces; ++t) {
      const T drawn = random.draw<T>(round, uint32_t(kTriedAtoms + t));
      const int64_t k = find_ranked(false, std::min(vacant - 1, int64_t(drawn * T(vacant))));
      if (to < 0 || scores_[k] < scores_[to]) to = k;
    }
    swap(from, to);
  }

  Points<T> lattice_;
  T *scores_, *kept_scores_, *occupied_, *kept_, *swaps_;
  int64_t size_ = 0, width_ = 0;
};

}  // namespace
