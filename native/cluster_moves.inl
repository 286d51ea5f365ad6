// Moves of clusters for searches in symmetric subspaces (hopgym/optimizers/symmetry/).

#include "kernels.h"

namespace {

using hopgym::ClusterMove;
using hopgym::MoveKind;

constexpr int kSurfaceKicks = 8;
constexpr int kSurfaceMoved = 4;
constexpr int kSymmetrisedKicks = 2;
constexpr int kSymmetrisedMoved = 3;
constexpr double kWorthwhile = 0.2;  // gain of a surface search that is worth a quench
constexpr int kTries = 20;           // random starts until one can be completed
constexpr int kTriedSites = 6;       // of which the best takes a weakly bound atom
constexpr uint32_t kTryRounds = 1000;
constexpr double kRotation = 1.1;  // largest component of a rotation

template <class T>
class ClusterMoves {
 public:
  ClusterMoves(const ClusterMove<T>& call, T* scratch)
      : call_(call), atoms_(scratch, call.atoms), completion_(call, scratch),
        surface_(scratch, count_lattice(call)), sites_(scratch, call.atoms) {
    order_ = reinterpret_cast<int32_t*>(scratch);
  }

  static int64_t count_lattice(const ClusterMove<T>& call) {
    return call.atoms + std::max(VacantSites<T>::count_most(call.atoms), 2 * call.atoms);
  }

  static int64_t count_scratch(const ClusterMove<T>& call) {
    return Points<T>::count_scratch(call.atoms) + Completion<T>::count_scratch(call) +
           SurfaceSearch<T>::count_scratch(count_lattice(call)) +
           VacantSites<T>::count_scratch(call.atoms) + 2 * call.atoms;
  }

  void move(int64_t r) {
    const RandomNumbers random(call_.seed.at(r));
    length_ = *call_.length.at(r);
    from_ = call_.positions.at(r);
    to_ = call_.proposal + 3 * call_.atoms * r;
    const auto kind = MoveKind(*call_.kind.at(r));
    const int count = std::min(*call_.count.at(r), int32_t(call_.atoms));
    const T reach = *call_.reach.at(r);
    std::copy(from_, from_ + 3 * call_.atoms, to_);
    if (!are_usable(r, reach)) return;
    switch (kind) {
      case MoveKind::start:
        return start(r, random, reach);
      case MoveKind::drop:
      case MoveKind::exchange:
        read(random, 0);
        complete(r, random, 1, kind == MoveKind::drop ? count : 0, kind == MoveKind::exchange);
        return;
      case MoveKind::shake:
        read(random, reach);
        complete(r, random, 1, 0, false);
        return;
      case MoveKind::search_surface:
      case MoveKind::search_or_move:
        read(random, 0);
        if (search_surface(random, kind == MoveKind::search_surface ? T(kWorthwhile) : T(kGain)))
          return;
        if (kind == MoveKind::search_or_move) move_weakest(random, 500, count);
        return;
      case MoveKind::move_weakest:
        read(random, 0);
        return move_weakest(random, 500, count);
      case MoveKind::symmetrise:
        read(random, 0);
        return symmetrise(random);
      case MoveKind::shake_freely:
        read(random, reach);
        for (int64_t i = 0; i < call_.atoms; ++i) write(i, atoms_[i]);
        return;
      case MoveKind::none:
        return;
    }
  }

 private:
  // Whether no loop can be led astray by numbers that are not finite.
  bool are_usable(int64_t r, T reach) const {
    bool usable = length_ > 0 && std::isfinite(length_) && std::abs(reach) <= T(kLimit);
    const T* frame = call_.frame.at(r);
    for (int k = 0; k < 9; ++k) usable = usable && std::abs(frame[k]) <= T(kRotation);
    const T* operations = completion_.find_operations(r);
    for (int64_t k = 0; k < 9 * call_.most_operations; ++k)
      usable = usable && std::abs(operations[k]) <= T(kRotation);
    return usable;
  }

  // The atoms in units of length, displaced by up to `reach`; uses round 0. Coordinates that
  // are too large or not numbers become 0, also in the proposal.
  void read(const RandomNumbers& random, T reach) {
    const T unit = 1 / length_;
    atoms_.clear();
    for (int64_t i = 0; i < call_.atoms; ++i) {
      T p[3];
      for (int c = 0; c < 3; ++c) {
        p[c] = unit * from_[3 * i + c];
        if (reach != 0) p[c] += reach * (2 * random.draw<T>(0, uint32_t(3 * i + c)) - 1);
        if (!(std::abs(p[c]) <= T(kLimit))) p[c] = to_[3 * i + c] = 0;
      }
      atoms_.add({p[0], p[1], p[2]});
    }
  }

  void write(int64_t i, Point<T> p) {
    to_[3 * i] = length_ * p.x;
    to_[3 * i + 1] = length_ * p.y;
    to_[3 * i + 2] = length_ * p.z;
  }

  bool complete(int64_t r, const RandomNumbers& random, uint32_t round, int drop, bool exchange) {
    if (!completion_.complete(r, atoms_, random, round, drop, exchange)) return false;
    completion_.write(to_, length_);
    return true;
  }

  // Random points in a sphere of radius `reach`, completed if they can be.
  void start(int64_t r, const RandomNumbers& random, T reach) {
    for (uint32_t tries = 0; tries < uint32_t(kTries); ++tries) {
      const uint32_t round = tries * kTryRounds;
      atoms_.clear();
      for (int64_t i = 0; i < call_.atoms; ++i) {
        const auto draw = [&](int c) { return random.draw<T>(round, uint32_t(3 * i + c)); };
        atoms_.add(scale(reach * std::cbrt(draw(0)), get_direction(draw(1), draw(2))));
      }
      if (complete(r, random, round + 1, 0, false)) return;
    }
    for (int64_t i = 0; i < call_.atoms; ++i) write(i, atoms_[i]);
  }

  // Moves the atoms to the occupied places, each to its own if that is occupied.
  void write_occupied(const Points<T>& lattice, Point<T> origin, int64_t own) {
    int64_t next = 0;
    for (int64_t i = 0; i < call_.atoms; ++i) {
      if (i < own && surface_.is_occupied(i)) {
        write(i, origin + lattice[i]);
        continue;
      }
      next = std::max(next, own);
      while (!surface_.is_occupied(next)) ++next;
      write(i, origin + lattice[next++]);
    }
  }

  // Returns whether the score falls by more than `worthwhile`; otherwise nothing changes.
  bool search_surface(const RandomNumbers& random, T worthwhile) {
    sites_.find(atoms_, nullptr);
    Points<T>& lattice = surface_.lattice();
    lattice.clear();
    for (int64_t i = 0; i < atoms_.size(); ++i) lattice.add(atoms_[i]);
    for (int64_t m = 0; m < sites_.found().size(); ++m) lattice.add(sites_.found()[m]);
    const T gain =
        surface_.search(call_.atoms, call_.atoms, kSurfaceKicks, kSurfaceMoved, random, 1);
    if (!(gain < -worthwhile)) return false;
    write_occupied(lattice, {}, call_.atoms);
    return true;
  }

  // Moves the `count` most weakly bound atoms, each to the best of a few vacant sites.
  void move_weakest(const RandomNumbers& random, uint32_t round, int count) {
    for (int k = 0; k < count; ++k, round += 2) {
      int64_t weakest = 0;
      T worst = T(-1e9);
      for (int64_t i = 0; i < atoms_.size(); ++i) {
        const T score = atoms_.score(atoms_[i]) + T(kGain) * random.draw<T>(round, uint32_t(i));
        if (score > worst) worst = score, weakest = i;
      }
      const Point<T> before = atoms_[weakest];
      atoms_.put(weakest, {T(kFar), T(kFar), T(kFar)});
      sites_.find(atoms_, nullptr);
      const Points<T>& sites = sites_.found();
      Point<T> to = before;
      T best = T(1e9);
      for (int t = 0; t < kTriedSites && sites.size(); ++t) {
        const T drawn = random.draw<T>(round + 1, uint32_t(t));
        const Point<T> site = sites[std::min(sites.size() - 1, int64_t(drawn * T(sites.size())))];
        const T score = atoms_.score(site) + T(kTie) * T(t);
        if (score < best) best = score, to = site;
      }
      atoms_.put(weakest, to);
      write(weakest, to);
    }
  }

  // Changes nothing if the sector has too few or too many atoms.
  void symmetrise(const RandomNumbers& random) {
    Points<T>& lattice = surface_.lattice();
    const Axis<T> axis = repeat_sector(atoms_, lattice, random, 1, order_);
    const int64_t repeated = lattice.size();
    if (repeated < (call_.atoms + 2) / 3 || lattice.is_full()) return;
    if (repeated < call_.atoms) {
      atoms_.clear();
      for (int64_t k = 0; k < repeated; ++k) atoms_.add(lattice[k]);
      sites_.find(atoms_, nullptr);
      for (int64_t m = 0; m < sites_.found().size(); ++m) lattice.add(sites_.found()[m]);
    }
    if (lattice.size() < call_.atoms) return;
    surface_.search(repeated, call_.atoms, kSymmetrisedKicks, kSymmetrisedMoved, random, 2);
    write_occupied(lattice, axis.origin, 0);
  }

  const ClusterMove<T>& call_;
  Points<T> atoms_;
  Completion<T> completion_;
  SurfaceSearch<T> surface_;
  VacantSites<T> sites_;
  int32_t* order_;
  T length_ = 1;
  const T* from_ = nullptr;
  T* to_ = nullptr;
};

}  // namespace

namespace hopgym {
namespace HOPGYM_ISA {

template <class T>
int64_t cluster_move_scratch(const ClusterMove<T>& call) {
  return ClusterMoves<T>::count_scratch(call);
}

template <class T>
void cluster_move(const ClusterMove<T>& call, T* scratch, int64_t begin, int64_t end) {
  ClusterMoves<T> moves(call, scratch);
  for (int64_t r = begin; r < end; ++r) moves.move(r);
}

template int64_t cluster_move_scratch(const ClusterMove<float>&);
template int64_t cluster_move_scratch(const ClusterMove<double>&);
template void cluster_move(const ClusterMove<float>&, float*, int64_t, int64_t);
template void cluster_move(const ClusterMove<double>&, double*, int64_t, int64_t);

}  // namespace HOPGYM_ISA
}  // namespace hopgym
