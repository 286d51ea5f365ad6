// Radial symmetry functions (hopgym/optimizers/learned/radial.py). Lanes hold atoms.

#include "kernels.h"

namespace {

using hopgym::kCutoffDegree;
using hopgym::kDegree;
using hopgym::RadialConstants;
using hopgym::RadialFunctions;

constexpr int kWidest = 64 / sizeof(float);  // rows of scratch memory are multiples of this

inline int64_t pad_row(int64_t n) { return (n + kWidest - 1) / kWidest * kWidest; }

// The neighbourhoods of the atoms of a replica.
template <class T>
class Radial {
 public:
  // The size of `scratch`, which holds positions and species.
  static int64_t count_scratch(int64_t atoms) { return 4 * pad_row(atoms); }

  Radial(const RadialConstants& constants, int64_t atoms, T* scratch)
      : c_(constants), atoms_(atoms), stride_(pad_row(atoms)), place_(scratch) {}

  // Positions of the atoms from `at` on, in units of length.
  void set_positions(int64_t at, const Space<T>& x) {
    store<T>(place_ + at, x.x);
    store<T>(place_ + stride_ + at, x.y);
    store<T>(place_ + 2 * stride_ + at, x.z);
  }

  // Species of all atoms, and the box.
  void set_species(const int32_t* species, const T* box, T length) {
    mixed_ = false;
    for (int64_t i = 0; i < stride_; ++i) {
      kind()[i] = T(i < atoms_ ? species[i] : 0);
      mixed_ = mixed_ || (i < atoms_ && species[i] != species[0]);
    }
    if (!c_.periodic) return;
    for (int a = 0; a < 3; ++a) {
      edge_[a] = box[a] * (T(1) / length);
      inverse_edge_[a] = T(1) / edge_[a];
    }
  }

  // Calls `use(k, at, values)` with function `k` of the atoms from `at` on: first all etas
  // for all neighbours, then for those of another species.
  template <class Use>
  void compute_functions(Use use) const {
    for (int kind = 0; kind < c_.kinds; ++kind)
      for (int64_t at = 0; at < atoms_; at += lanes<T>) {
        Vec<T> moment[kDegree<T> + 1] = {};
        if (kind == 0 || mixed_) sum_moments(at, kind == 1, moment);
        for (int e = 0; e < c_.etas; ++e) {
          Vec<T> sum{};
          HOPGYM_UNROLL
          for (int k = 0; k <= kDegree<T>; ++k)
            sum += T(c_.gaussians[k * c_.etas + e]) * moment[k];
          use(kind * c_.etas + e, at, sum);
        }
      }
  }

 private:
  T* kind() const { return place_ + 3 * stride_; }

  // Sums Gamma t^k over the neighbours of the atoms from `at` on.
  void sum_moments(int64_t at, bool unlike, Vec<T> (&moment)[kDegree<T> + 1]) const {
    if (c_.periodic)
      sum_moments_in<true>(at, unlike, moment);
    else
      sum_moments_in<false>(at, unlike, moment);
  }

  template <bool periodic>
  HOPGYM_INLINE void sum_moments_in(int64_t at, bool unlike,
                                    Vec<T> (&moment)[kDegree<T> + 1]) const {
    const int64_t end = at + lanes<T> < atoms_ ? at + lanes<T> : atoms_;
    add_moments<periodic, false>(at, 0, at, unlike, moment);
    add_moments<periodic, true>(at, at, end, unlike, moment);
    add_moments<periodic, false>(at, end, atoms_, unlike, moment);
  }

  // `among`: whether these atoms are among the neighbours, so that each skips itself.
  template <bool periodic, bool among>
  HOPGYM_INLINE void add_moments(int64_t at, int64_t begin, int64_t end, bool unlike,
                                 Vec<T> (&moment)[kDegree<T> + 1]) const {
    constexpr int degree = kDegree<T>, cutoff_degree = kCutoffDegree<T>;
    const T factor = T(2 / (c_.cutoff_radius * c_.cutoff_radius));
    const Vec<T> x = load<T>(place_ + at), y = load<T>(place_ + stride_ + at),
                 z = load<T>(place_ + 2 * stride_ + at), own = load<T>(kind() + at);
    const Int<T> number = get_lane_numbers<T>() + to_lane<T>(at);
    T cutoff[cutoff_degree + 1];
    for (int k = 0; k <= cutoff_degree; ++k) cutoff[k] = T(c_.cutoff[k]);
    auto distance = [&](int64_t j) {
      Vec<T> dx = x - place_[j], dy = y - place_[stride_ + j], dz = z - place_[2 * stride_ + j];
      if (periodic) {
        dx -= edge_[0] * round<T>(dx * inverse_edge_[0]);
        dy -= edge_[1] * round<T>(dy * inverse_edge_[1]);
        dz -= edge_[2] * round<T>(dz * inverse_edge_[2]);
      }
      return (dx * dx + dy * dy + dz * dz) * factor - T(1);
    };
    if (begin == end) return;
    // The next neighbour is computed ahead, to hide the latency.
    Vec<T> next = distance(begin);
    for (int64_t j = begin; j < end; ++j) {
      const Vec<T> t = next;
      next = distance(j + 1 < end ? j + 1 : j);
      Int<T> counts = t < T(1);
      if (among) counts &= number != to_lane<T>(j);
      if (unlike) counts &= own != kind()[j];
      // In an order with short dependency chains: powers of u, and the cutoff function as four
      // polynomials in u^4.
      Vec<T> u[degree + 1];
      u[1] = min<T>(t, broadcast<T>(T(1)));
      HOPGYM_UNROLL
      for (int k = 2; k <= degree; ++k) u[k] = u[k / 2] * u[k - k / 2];
      Vec<T> part[4];
      HOPGYM_UNROLL
      for (int m = 0; m < 4; ++m) {
        constexpr int last = cutoff_degree;
        const int top = last - (last - m) % 4;
        part[m] = broadcast<T>(cutoff[top]);
        HOPGYM_UNROLL
        for (int k = top - 4; k >= 0; k -= 4) part[m] = part[m] * u[4] + cutoff[k];
      }
      const Vec<T> low = part[1] * u[1] + part[0], high = part[3] * u[1] + part[2];
      const Vec<T> gamma = select<T>(counts, high * u[2] + low, Vec<T>{});
      moment[0] += gamma;
      HOPGYM_UNROLL
      for (int k = 1; k <= degree; ++k) moment[k] += gamma * u[k];
    }
  }

  const RadialConstants& c_;
  const int64_t atoms_, stride_;
  T* const place_;
  T edge_[3], inverse_edge_[3];
  bool mixed_ = false;
};

}  // namespace

namespace hopgym {
namespace HOPGYM_ISA {

template <class T>
int64_t radial_functions_scratch(const RadialFunctions<T>& call) {
  return Radial<T>::count_scratch(call.atoms);
}

template <class T>
void radial_functions(const RadialFunctions<T>& call, T* scratch, int64_t begin, int64_t end) {
  const int64_t n = call.atoms, count = call.constants->kinds * call.constants->etas;
  Radial<T> near(*call.constants, n, scratch);
  for (int64_t r = begin; r < end; ++r) {
    for (int64_t at = 0; at < n; at += lanes<T>)
      near.set_positions(at, load_coordinates(call.positions.at(r), at, n));
    near.set_species(call.species.at(r), call.box.at(r), T(1));
    T* const rows = call.functions + r * n * count;
    near.compute_functions([&](int k, int64_t at, Vec<T> x) {
      for (int64_t i = at; i < n && i < at + lanes<T>; ++i) rows[i * count + k] = x[i - at];
    });
  }
}

template int64_t radial_functions_scratch(const RadialFunctions<float>&);
template int64_t radial_functions_scratch(const RadialFunctions<double>&);
template void radial_functions(const RadialFunctions<float>&, float*, int64_t, int64_t);
template void radial_functions(const RadialFunctions<double>&, double*, int64_t, int64_t);

}  // namespace HOPGYM_ISA
}  // namespace hopgym
