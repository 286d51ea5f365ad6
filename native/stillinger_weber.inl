// Energy and gradient of silicon in a periodic box (hopgym/potentials/stillinger_weber.py).
// Replicas are in lanes; of few replicas, atoms. Pairs that are beyond the cutoff in all
// lanes are left out; terms of the others are kept between the pass that sums the moments
// of atoms and the one that needs them. Where an edge of the box is shorter than twice the
// cutoff, an atom meets several images of others, and of itself.

#include "kernels.h"

namespace {

using hopgym::StillingerWeber;

// Sums over the bonds of an atom, of f, f n and f n n^T.
template <class T>
struct Moments {
  static constexpr int kCount = 10;

  HOPGYM_INLINE void add(Vec<T> f, const Space<T>& n) {
    const Space<T> first_ = f * n;
    zeroth += f;
    first = first + first_;
    xx += first_.x * n.x;
    xy += first_.x * n.y;
    xz += first_.x * n.z;
    yy += first_.y * n.y;
    yz += first_.y * n.z;
    zz += first_.z * n.z;
  }

  // From where each sum is `s` numbers after the one before, or one number in all lanes.
  static HOPGYM_INLINE Moments load_from(const T* m, int64_t s) {
    return read([=](int k) { return load<T>(m + k * s); });
  }
  static HOPGYM_INLINE Moments each(const T* m, int64_t s) {
    return read([=](int k) { return all<T>(m[k * s]); });
  }

  template <class Get>
  static HOPGYM_INLINE Moments read(Get get) {
    return {get(0), {get(1), get(2), get(3)}, get(4), get(5), get(6), get(7), get(8), get(9)};
  }

  HOPGYM_INLINE void store_to(T* m, int64_t s) const {
    const Vec<T> values[] = {zeroth, first.x, first.y, first.z, xx, xy, xz, yy, yz, zz};
    for (int k = 0; k < kCount; ++k) store<T>(m + k * s, values[k]);
  }

  // |M_2|^2 + 2/3 |M_1|^2 + M_0^2 / 9
  HOPGYM_INLINE Vec<T> energy() const {
    return xx * xx + yy * yy + zz * zz + T(2) * (xy * xy + xz * xz + yz * yz) +
           T(2.0 / 3) * dot(first, first) + T(1.0 / 9) * zeroth * zeroth;
  }

  Vec<T> zeroth{};
  Space<T> first{};
  Vec<T> xx{}, xy{}, xz{}, yy{}, yz{}, zz{};
};

// How many images of an atom another one meets, the nearest in their middle.
template <class T>
int64_t images_of(const StillingerWeber<T>& call) {
  const int64_t span = 2 * call.images + 1;
  return span * span * span;
}

// The parameters of a block, and its box.
template <class T>
struct Silicon {
  // `room` is for 3 vectors for every image that is met.
  Silicon(const StillingerWeber<T>& call, int64_t begin, int64_t count, T* room)
      : shifts(room),
        a(parameter(call.a, begin, count)),
        big_a(parameter(call.big_a, begin, count)),
        big_b(parameter(call.big_b, begin, count)),
        epsilon(parameter(call.epsilon, begin, count)),
        sigma(parameter(call.sigma, begin, count)),
        strength(parameter(call.strength, begin, count)),
        gamma(parameter(call.gamma, begin, count)),
        core(parameter(call.core, begin, count)),
        cut(T(call.cut) * a),
        cut2(cut * cut),
        core2(core * core),
        half(T(0.5) / core),
        longest(T(1) / core) {
    for (int k = 0; k < 3; ++k) {
      edge[k] = parameter(call.box, begin, count, k) / sigma;
      inverse_edge[k] = T(1) / edge[k];
    }
    const int64_t most = call.images;
    for (int64_t x = -most; x <= most; ++x)
      for (int64_t y = -most; y <= most; ++y)
        for (int64_t z = -most; z <= most; ++z, room += 3 * lanes<T>)
          store_space(room, Space<T>{T(x) * edge[0], T(y) * edge[1], T(z) * edge[2]});
  }

  // Where an image is, counted through along each axis, from the nearest one.
  HOPGYM_INLINE Space<T> shift(int64_t image) const {
    return load_space(shifts + image * 3 * lanes<T>);
  }

  HOPGYM_INLINE Space<T> nearest_image(Space<T> d) const {
    d.x -= edge[0] * rounded<T>(d.x * inverse_edge[0]);
    d.y -= edge[1] * rounded<T>(d.y * inverse_edge[1]);
    d.z -= edge[2] * rounded<T>(d.z * inverse_edge[2]);
    return d;
  }

  const T* shifts;
  Vec<T> a, big_a, big_b, epsilon, sigma, strength, gamma, core, cut, cut2, core2, half, longest;
  Vec<T> edge[3], inverse_edge[3];
};

// A pair within the cutoff: unit vector, decay of the angular term, derivatives of this and
// of the pair's energy, and the inverse of the distance.
template <class T>
struct Bond {
  static constexpr int kCount = 7;

  // Nothing in lanes that are not `near`. Its energy is added to `energy`.
  HOPGYM_INLINE Bond(const Silicon<T>& of, const Space<T>& d, Vec<T> squared, Int<T> near,
                     Vec<T>& energy) {
    const Vec<T> reached = smaller<T>(squared, of.cut2);
    const Vec<T> inside = larger<T>(of.core2 - reached, Vec<T>{}) * of.half;
    const Vec<T> softened = reached + inside * inside, inverse = inverse_root(softened);
    const Vec<T> u = -reciprocal(of.a - softened * inverse);
    f = choose<T>(near, exponential<T>(of.gamma * u), Vec<T>{});
    const Vec<T> tail = choose<T>(near, of.big_a * exponential<T>(u), Vec<T>{});
    const Vec<T> r2 = inverse * inverse, r4 = of.big_b * r2 * r2, u2 = u * u;
    const Vec<T> bond = (r4 - T(1)) * tail;
    outside = smaller<T>(inverse, of.longest);
    unit = outside * d;
    const Vec<T> same = f * (dot(unit, unit) + T(1.0 / 3));
    energy += bond - of.strength * same * same;
    slope = -of.gamma * u2 * f;
    pair_slope = T(-4) * r4 * inverse * tail - u2 * bond;
  }

  HOPGYM_INLINE explicit Bond(const T* from)
      : unit(load_space(from)),
        f(load<T>(from + 3 * lanes<T>)),
        slope(load<T>(from + 4 * lanes<T>)),
        pair_slope(load<T>(from + 5 * lanes<T>)),
        outside(load<T>(from + 6 * lanes<T>)) {}

  HOPGYM_INLINE void store_to(T* to) const {
    const Vec<T> values[] = {unit.x, unit.y, unit.z, f, slope, pair_slope, outside};
    for (int k = 0; k < kCount; ++k) store<T>(to + k * lanes<T>, values[k]);
  }

  // A bond of an atom with itself pulls at neither of its ends.
  HOPGYM_INLINE void loosen(Int<T> lanes_of_itself) {
    for (Vec<T>* x : {&f, &slope, &pair_slope}) *x = choose<T>(lanes_of_itself, Vec<T>{}, *x);
  }

  // The force between atoms with these moments.
  HOPGYM_INLINE Space<T> pull(const Silicon<T>& of, const Moments<T>& mine,
                              const Moments<T>& other) const {
    // Even moments of both ends add up, odd ones subtract.
    const Vec<T> xy = mine.xy + other.xy, xz = mine.xz + other.xz, yz = mine.yz + other.yz;
    const Space<T> turned = {
        (mine.xx + other.xx) * unit.x + xy * unit.y + xz * unit.z,
        xy * unit.x + (mine.yy + other.yy) * unit.y + yz * unit.z,
        xz * unit.x + yz * unit.y + (mine.zz + other.zz) * unit.z,
    };
    const Space<T> shared = mine.first - other.first;
    const Vec<T> quadratic = dot(turned, unit), linear = T(2.0 / 3) * dot(shared, unit),
                 norm = dot(unit, unit), third = norm + T(1.0 / 3), same = f * third;
    const Vec<T> by_f = quadratic + linear + T(1.0 / 9) * (mine.zeroth + other.zeroth) -
                        T(2) * same * third;
    // Outside the core a unit vector turns, but keeps its length.
    const Vec<T> projection = choose<T>(
        outside < of.longest, T(2) * quadratic + linear - T(4) * same * norm, Vec<T>{});
    const Vec<T> across = of.strength * f * outside;
    const Vec<T> along = of.strength * by_f * slope + pair_slope -
                         across * (projection + T(4) * same);
    return along * unit + (T(2) * across) * turned + (T(2.0 / 3) * across) * shared;
  }

  Space<T> unit;
  Vec<T> f, slope, pair_slope, outside;
};

// Lists of neighbours: their number, and their numbers.
class Lists {
 public:
  explicit Lists(int32_t* room) : next_(room) {}
  void begin() { length_ = next_++, *length_ = 0; }
  void add(int64_t j) { *next_++ = int32_t(j), ++*length_; }

  template <class Visit>
  HOPGYM_INLINE void visit(Visit visit) {
    for (int32_t left = *next_++; left > 0; --left) visit(int64_t(*next_++));
  }

 private:
  int32_t *next_, *length_ = nullptr;
};

template <class T>
void stillinger_weber_of_block(const StillingerWeber<T>& call, T* scratch, int64_t begin,
                               int64_t count) {
  constexpr int64_t L = lanes<T>, wide = 3 * L, of_atom = Moments<T>::kCount * L,
                    of_pair = Bond<T>::kCount * L;
  const int64_t n = call.atoms, images = images_of(call), pairs = n * (n - 1) / 2 * images;
  T *x = scratch + images * wide, *g = x + n * wide, *moments = g + n * wide,
    *bonds = moments + n * of_atom;
  int32_t* const neighbours = reinterpret_cast<int32_t*>(bonds + pairs * of_pair);
  const Silicon<T> of(call, begin, count, scratch);
  gather(call.positions, begin, count, 3 * n, T(call.position_limit), T(1) / of.sigma, x);

  Vec<T> energy{};
  T* bond = bonds;
  Lists found(neighbours);
  for (int64_t i = 0; i < n; ++i) {
    const Space<T> here = load_space(x + i * wide);
    Vec<T> row{};
    Moments<T> sums;
    found.begin();
    for (int64_t j = 0; j < i; ++j) {
      const Space<T> nearest = of.nearest_image(here - load_space(x + j * wide));
      for (int64_t image = 0; image < images; ++image) {
        const Space<T> d = images == 1 ? nearest : nearest + of.shift(image);
        const Vec<T> squared = dot(d, d);
        const Int<T> near = squared < of.cut2;
        if (!any<T>(near)) continue;
        const Bond<T> fresh(of, d, squared, near, row);
        sums.add(fresh.f, fresh.unit);
        T* other = moments + j * of_atom;
        Moments<T> of_other = Moments<T>::load_from(other, L);
        of_other.add(fresh.f, all<T>(T(-1)) * fresh.unit);
        of_other.store_to(other, L);
        fresh.store_to(bond);
        bond += of_pair;
        found.add(j);
      }
    }
    for (int64_t image = images / 2 + 1; image < images; ++image) {
      const Space<T> d = of.shift(image);
      const Vec<T> squared = dot(d, d);
      const Int<T> near = squared < of.cut2;
      if (!any<T>(near)) continue;
      const Bond<T> fresh(of, d, squared, near, row);
      sums.add(fresh.f, fresh.unit);
      sums.add(fresh.f, all<T>(T(-1)) * fresh.unit);
    }
    energy += row;
    sums.store_to(moments + i * of_atom, L);
  }

  bond = bonds;
  Lists known(neighbours);
  Vec<T> angular{};
  for (int64_t i = 0; i < n; ++i) {
    const Moments<T> mine = Moments<T>::load_from(moments + i * of_atom, L);
    angular += mine.energy();
    Space<T> force{};
    known.visit([&](int64_t j) {
      const Moments<T> other = Moments<T>::load_from(moments + j * of_atom, L);
      const Space<T> pull = Bond<T>(bond).pull(of, mine, other);
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

// The same sums in the same order, of one replica with its atoms in lanes.
template <class T>
struct SiliconOfOne {
  static constexpr int64_t of_pair = Bond<T>::kCount * lanes<T>;

  SiliconOfOne(const StillingerWeber<T>& call, T* scratch, int64_t replica)
      : n(call.atoms),
        stride(whole_vectors<T>(n)),
        of(call, replica, 1, scratch),
        images(images_of(call)),
        place(scratch + images * 3 * lanes<T>),
        moments(place + 3 * stride),
        bonds(moments + Moments<T>::kCount * stride),
        neighbours(reinterpret_cast<int32_t*>(bonds + n * stride / lanes<T> * images * of_pair)),
        atoms(call.positions.at(replica), n, T(call.position_limit), T(1) / of.sigma, place) {}

  // Moments, and what the gradient needs. Calls `visit(at, end, whole, before, angular)`
  // with the energy of each atom's bonds, of those with atoms before it and its own images,
  // and its moments'.
  template <class Visit>
  HOPGYM_INLINE void sum(Visit visit) const {
    T* bond = bonds;
    Lists found(neighbours);
    atoms.by_vectors([&](int64_t at, int64_t end) {
      const Space<T> here = atoms.from(at);
      const Int<T> number = lane_numbers<T>() + lane<T>(at);
      Vec<T> whole{}, before{};
      Moments<T> sums;
      found.begin();
      for (int64_t j = 0; j < n; ++j) {
        const Space<T> nearest = of.nearest_image(here - atoms.each(j));
        const Int<T> itself = number == lane<T>(j);
        // From the other end of a bond images are seen the other way round.
        const Vec<T> way = choose<T>(number < lane<T>(j), all<T>(T(-1)), all<T>(T(1)));
        for (int64_t image = 0; image < images; ++image) {
          const Space<T> d =
              images == 1 ? nearest : nearest + way * of.shift(image);
          const Vec<T> squared = dot(d, d);
          Int<T> near = squared < of.cut2;
          // Both bonds of an atom with its images on two sides are added at once.
          if (image <= images / 2) near &= ~itself;
          if (!any<T>(near)) continue;
          Vec<T> energy{};
          Bond<T> fresh(of, d, squared, near, energy);
          whole += energy;
          sums.add(fresh.f, fresh.unit);
          if (images > 1 && at <= j && j < end) {
            whole += choose<T>(itself, energy, Vec<T>{});
            sums.add(choose<T>(itself, fresh.f, Vec<T>{}), all<T>(T(-1)) * fresh.unit);
            fresh.loosen(itself);
          }
          before += choose<T>(number < lane<T>(j), Vec<T>{}, energy);
          fresh.store_to(bond);
          bond += of_pair;
          found.add(j);
        }
      }
      sums.store_to(moments + at, stride);
      visit(at, end, whole, before, sums.energy());
    });
  }

  void energy_and_gradient(const StillingerWeber<T>& call, int64_t replica) const {
    Vec<T> energy{}, angular{};
    sum([&](int64_t at, int64_t end, Vec<T>, Vec<T> before, Vec<T> own) {
      for (int64_t k = at; k < end; ++k) energy += before[k - at], angular += own[k - at];
    });
    const T* bond = bonds;
    Lists known(neighbours);
    const Vec<T> unit = of.epsilon / of.sigma;
    atoms.by_vectors([&](int64_t at, int64_t) {
      const Moments<T> mine = Moments<T>::load_from(moments + at, stride);
      Space<T> force{};
      known.visit([&](int64_t j) {
        force = force + Bond<T>(bond).pull(of, mine, Moments<T>::each(moments + j, stride));
        bond += of_pair;
      });
      atoms.put(unit * force, at, call.gradient, replica);
    });
    energy = of.epsilon * (energy + T(0.5) * of.strength * angular);
    call.energy[replica] = energy[0];
  }

  void atom_energies(const StillingerWeber<T>& call, int64_t replica) const {
    sum([&](int64_t at, int64_t, Vec<T> whole, Vec<T>, Vec<T> own) {
      keep(call.atom_energies + replica * n, at, n,
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

// Of a block or of one replica.
template <class T>
int64_t stillinger_weber_scratch(const StillingerWeber<T>& call) {
  constexpr int64_t of_atom = 6 + Moments<T>::kCount, L = lanes<T>;
  const int64_t n = call.atoms, vectors = whole_vectors<T>(n) / L;
  const int64_t bonds = std::max(n * (n - 1) / 2, n * vectors) * images_of(call);
  return (3 * images_of(call) + of_atom * n + Bond<T>::kCount * bonds) * L + bonds + n;
}

template <class T>
void stillinger_weber(const StillingerWeber<T>& call, T* scratch, int64_t begin, int64_t end) {
  using One = SiliconOfOne<T>;
  if (call.atom_energies) {
    for (; begin < end; ++begin) One(call, scratch, begin).atom_energies(call, begin);
    return;
  }
  by_blocks<T>(
      begin, end, call.atoms,
      [&](int64_t r, int64_t count) { stillinger_weber_of_block<T>(call, scratch, r, count); },
      [&](int64_t r) { One(call, scratch, r).energy_and_gradient(call, r); });
}

template int64_t stillinger_weber_scratch(const StillingerWeber<float>&);
template int64_t stillinger_weber_scratch(const StillingerWeber<double>&);
template void stillinger_weber(const StillingerWeber<float>&, float*, int64_t, int64_t);
template void stillinger_weber(const StillingerWeber<double>&, double*, int64_t, int64_t);

}  // namespace HOPGYM_ISA
}  // namespace hopgym
