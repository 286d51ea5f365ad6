// Energy and gradient of silicon in a periodic box (hopgym/potentials/stillinger_weber.py).
// Lanes hold replicas, or the atoms of one replica if there are few replicas. Pairs beyond
// the cutoff in all lanes are skipped; terms of the others are stored between the pass that
// sums the moments of atoms and the one that uses them. If an edge of the box is shorter than
// twice the cutoff, an atom interacts with several images of the others and of itself.

#include "kernels.h"

namespace {

// Neighbour lists, one after the other: the length of each, then its entries.
class NeighbourLists {
 public:
  explicit NeighbourLists(int32_t* scratch) : next_(scratch) {}
  void begin_list() { length_ = next_++, *length_ = 0; }
  void add(int64_t j) { *next_++ = int32_t(j), ++*length_; }

  template <class Visit>
  HOPGYM_INLINE void visit(Visit visit) {
    for (int32_t left = *next_++; left > 0; --left) visit(int64_t(*next_++));
  }

 private:
  int32_t *next_, *length_ = nullptr;
};

template <class T>
void compute_silicon_of_block(const StillingerWeber<T>& call, T* scratch, int64_t begin,
                              int64_t count) {
  constexpr int64_t L = lanes<T>, wide = 3 * L, of_atom = Moments<T>::kCount * L,
                    of_pair = Bond<T>::kCount * L;
  const int64_t n = call.atoms, images = count_images(call), pairs = n * (n - 1) / 2 * images;
  T *x = scratch + images * wide, *g = x + n * wide, *moments = g + n * wide,
    *bonds = moments + n * of_atom;
  int32_t* const neighbours = reinterpret_cast<int32_t*>(bonds + pairs * of_pair);
  const Silicon<T> of(call, begin, count, scratch);
  gather(call.positions, begin, count, 3 * n, scale_limit<T>(call.position_limit, of.sigma),
         T(1) / of.sigma, x);

  Vec<T> energy{};
  T* bond = bonds;
  NeighbourLists found(neighbours);
  for (int64_t i = 0; i < n; ++i) {
    const Space<T> here = load_space(x + i * wide);
    Vec<T> row{};
    Moments<T> sums;
    found.begin_list();
    for (int64_t j = 0; j < i; ++j) {
      const Space<T> nearest = of.wrap(here - load_space(x + j * wide));
      for (int64_t image = 0; image < images; ++image) {
        const Space<T> d = images == 1 ? nearest : nearest + of.load_shift(image);
        const Vec<T> squared = dot(d, d);
        const Int<T> near = squared < of.cut2;
        if (!any<T>(near)) continue;
        const Bond<T> fresh(of, d, squared, near, row);
        sums.add(fresh.f, fresh.unit);
        T* other = moments + j * of_atom;
        Moments<T> of_other = Moments<T>::load_from(other, L);
        of_other.add(fresh.f, broadcast<T>(T(-1)) * fresh.unit);
        of_other.store_to(other, L);
        fresh.store_to(bond);
        bond += of_pair;
        found.add(j);
      }
    }
    for (int64_t image = images / 2 + 1; image < images; ++image) {
      const Space<T> d = of.load_shift(image);
      const Vec<T> squared = dot(d, d);
      const Int<T> near = squared < of.cut2;
      if (!any<T>(near)) continue;
      const Bond<T> fresh(of, d, squared, near, row);
      sums.add(fresh.f, fresh.unit);
      sums.add(fresh.f, broadcast<T>(T(-1)) * fresh.unit);
    }
    energy += row;
    sums.store_to(moments + i * of_atom, L);
  }

  bond = bonds;
  NeighbourLists known(neighbours);
  Vec<T> angular{};
  for (int64_t i = 0; i < n; ++i) {
    const Moments<T> mine = Moments<T>::load_from(moments + i * of_atom, L);
    angular += mine.energy();
    Space<T> force{};
    known.visit([&](int64_t j) {
      const Moments<T> other = Moments<T>::load_from(moments + j * of_atom, L);
      const Space<T> pull = Bond<T>(bond).compute_force(of, mine, other);
      bond += of_pair;
      force = force + pull;
      store_space(g + j * wide, load_space(g + j * wide) - pull);
    });
    store_space(g + i * wide, force);
  }
  energy = of.epsilon * (energy + T(0.5) * of.strength * angular);
  for (int l = 0; l < count; ++l) call.energy[begin + l] = energy[l];
  scatter(g, begin, count, 3 * n, of.epsilon / of.sigma, call.gradient);
}

// The same sums in the same order, for one replica with its atoms in lanes.
template <class T>
struct SiliconOfOne {
  static constexpr int64_t of_pair = Bond<T>::kCount * lanes<T>;

  SiliconOfOne(const StillingerWeber<T>& call, T* scratch, int64_t replica)
      : n(call.atoms),
        stride(round_up_to_vectors<T>(n)),
        of(call, replica, 1, scratch),
        images(count_images(call)),
        place(scratch + images * 3 * lanes<T>),
        moments(place + 3 * stride),
        bonds(moments + Moments<T>::kCount * stride),
        neighbours(
            reinterpret_cast<int32_t*>(bonds + n * stride / lanes<T> * images * of_pair)),
        atoms(call.positions.at(replica), n, scale_limit<T>(call.position_limit, of.sigma),
              T(1) / of.sigma, place) {}

  // Sums moments and stores the bonds required for the gradient. Calls
  // `visit(at, end, whole, before, angular)` with the energy of all bonds of each atom, of
  // those with atoms before it and its own images, and of its moments.
  template <class Visit>
  HOPGYM_INLINE void sum_moments(Visit visit) const {
    T* bond = bonds;
    NeighbourLists found(neighbours);
    atoms.for_each_vector([&](int64_t at, int64_t end) {
      const Space<T> here = atoms.load_vector(at);
      const Int<T> number = get_lane_numbers<T>() + to_lane<T>(at);
      Vec<T> whole{}, before{};
      Moments<T> sums;
      found.begin_list();
      for (int64_t j = 0; j < n; ++j) {
        const Space<T> nearest = of.wrap(here - atoms.repeat_atom(j));
        const Int<T> itself = number == to_lane<T>(j);
        // From the other end of a bond, images are in the opposite direction.
        const Vec<T> way =
            select<T>(number < to_lane<T>(j), broadcast<T>(T(-1)), broadcast<T>(T(1)));
        for (int64_t image = 0; image < images; ++image) {
          const Space<T> d = images == 1 ? nearest : nearest + way * of.load_shift(image);
          const Vec<T> squared = dot(d, d);
          Int<T> near = squared < of.cut2;
          // The bonds of an atom with its images on opposite sides are added together.
          if (image <= images / 2) near &= ~itself;
          if (!any<T>(near)) continue;
          Vec<T> energy{};
          Bond<T> fresh(of, d, squared, near, energy);
          whole += energy;
          sums.add(fresh.f, fresh.unit);
          if (images > 1 && at <= j && j < end) {
            whole += select<T>(itself, energy, Vec<T>{});
            sums.add(select<T>(itself, fresh.f, Vec<T>{}), broadcast<T>(T(-1)) * fresh.unit);
            fresh.clear(itself);
          }
          before += select<T>(number < to_lane<T>(j), Vec<T>{}, energy);
          fresh.store_to(bond);
          bond += of_pair;
          found.add(j);
        }
      }
      sums.store_to(moments + at, stride);
      visit(at, end, whole, before, sums.energy());
    });
  }

  void compute_energy_and_gradient(const StillingerWeber<T>& call, int64_t replica) const {
    Vec<T> energy{}, angular{};
    sum_moments([&](int64_t at, int64_t end, Vec<T>, Vec<T> before, Vec<T> own) {
      for (int64_t k = at; k < end; ++k) energy += before[k - at], angular += own[k - at];
    });
    const T* bond = bonds;
    NeighbourLists known(neighbours);
    const Vec<T> unit = of.epsilon / of.sigma;
    atoms.for_each_vector([&](int64_t at, int64_t) {
      const Moments<T> mine = Moments<T>::load_from(moments + at, stride);
      Space<T> force{};
      known.visit([&](int64_t j) {
        force = force +
                Bond<T>(bond).compute_force(of, mine, Moments<T>::repeat(moments + j, stride));
        bond += of_pair;
      });
      atoms.store_gradient(unit * force, at, call.gradient, replica);
    });
    energy = of.epsilon * (energy + T(0.5) * of.strength * angular);
    call.energy[replica] = energy[0];
  }

  void compute_atom_energies(const StillingerWeber<T>& call, int64_t replica) const {
    sum_moments([&](int64_t at, int64_t, Vec<T> whole, Vec<T>, Vec<T> own) {
      store_part(call.atom_energies + replica * n, at, n,
                 T(0.5) * of.epsilon * (whole + of.strength * own));
    });
  }

  const int64_t n, stride;
  const Silicon<T> of;
  const int64_t images;
  T *const place, *const moments, *const bonds;
  int32_t* const neighbours;
  const Atoms<T> atoms;
};

}  // namespace

namespace hopgym {
namespace HOPGYM_ISA {

// Sufficient for a block and for one replica.
template <class T>
int64_t stillinger_weber_scratch(const StillingerWeber<T>& call) {
  constexpr int64_t of_atom = 6 + Moments<T>::kCount, L = lanes<T>;
  const int64_t n = call.atoms, vectors = round_up_to_vectors<T>(n) / L;
  const int64_t bonds = std::max(n * (n - 1) / 2, n * vectors) * count_images(call);
  return (3 * count_images(call) + of_atom * n + Bond<T>::kCount * bonds) * L + bonds + n;
}

template <class T>
void stillinger_weber(const StillingerWeber<T>& call, T* scratch, int64_t begin, int64_t end) {
  using One = SiliconOfOne<T>;
  if (call.atom_energies) {
    for (; begin < end; ++begin) One(call, scratch, begin).compute_atom_energies(call, begin);
    return;
  }
  for_each_block<T>(
      begin, end, call.atoms,
      [&](int64_t r, int64_t count) { compute_silicon_of_block<T>(call, scratch, r, count); },
      [&](int64_t r) { One(call, scratch, r).compute_energy_and_gradient(call, r); });
}

template int64_t stillinger_weber_scratch(const StillingerWeber<float>&);
template int64_t stillinger_weber_scratch(const StillingerWeber<double>&);
template void stillinger_weber(const StillingerWeber<float>&, float*, int64_t, int64_t);
template void stillinger_weber(const StillingerWeber<double>&, double*, int64_t, int64_t);

}  // namespace HOPGYM_ISA
}  // namespace hopgym
