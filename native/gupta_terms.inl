// Pair terms and embedding of clusters of one or two metals (hopgym/potentials/gupta.py).

#include "kernels.h"

namespace {

using hopgym::Gupta;

// A parameter for the species of a pair, times log2(e), since terms are powers of two.
template <class T>
struct BondParameter {
  BondParameter(const Operand<T>& table, int kinds, int64_t begin, int64_t count)
      : first(read(table, begin, count, 0)), unlike(first), second(first) {
    if (kinds == 1) return;
    unlike = read(table, begin, count, 1);
    second = read(table, begin, count, 3);
  }

  static Vec<T> read(const Operand<T>& table, int64_t begin, int64_t count, int64_t index) {
    return T(1.4426950408889634) * load_parameter(table, begin, count, index);
  }

  Vec<T> first, unlike, second;
};

// The same for one atom, for each species of its neighbour.
template <class T>
struct NeighbourParameter {
  HOPGYM_INLINE NeighbourParameter() = default;
  HOPGYM_INLINE NeighbourParameter(const BondParameter<T>& bond, Int<T> kind)
      : first(select<T>(kind, bond.unlike, bond.first)),
        second(select<T>(kind, bond.second, bond.unlike)) {}

  template <bool mixed>
  HOPGYM_INLINE Vec<T> choose(Int<T> kind) const {
    return mixed ? select<T>(kind, second, first) : first;
  }

  Vec<T> first, second;
};

// The parameters of a block.
template <class T>
struct Metals {
  Metals(const Gupta<T>& call, int64_t begin, int64_t count)
      : log_a(call.log_a, call.kinds, begin, count),
        p(call.p, call.kinds, begin, count),
        log_xi(call.log_xi, call.kinds, begin, count),
        q(call.q, call.kinds, begin, count),
        soft_core(load_parameter(call.core, begin, count)),
        limit(scale_limit<T>(call.position_limit, load_parameter(call.length, begin, count))),
        smallest(broadcast<T>(T(call.smallest_density))),
        cohesion(broadcast<T>(T(-0.25))) {
    if (call.kinds == 1) cohesion *= q.first;
  }

  BondParameter<T> log_a, p, log_xi, q;
  SoftCore<T> soft_core;
  Vec<T> limit;  // of positions
  Vec<T> smallest;
  Vec<T> cohesion;  // factor of forces, times the decay rate if all pairs share it
};

// The unit of forces: -2 ln 2.
template <class T>
constexpr T kForceUnit = T(-1.3862943611198906);

// A few atoms, with sums over the atoms paired with them.
template <class T, bool mixed, int many>
struct MetalAtoms {
  template <class KindOf>
  HOPGYM_INLINE MetalAtoms(const Metals<T>& of, KindOf kind_of) {
    HOPGYM_UNROLL
    for (int k = 0; k < many; ++k) {
      const Int<T> kind = kind_of(k);
      a[k] = {of.log_a, kind};
      p[k] = {of.p, kind};
      xi[k] = {of.log_xi, kind};
      q[k] = {of.q, kind};
    }
  }

  // Adds the pairs with another atom, stores the terms required for the gradient in `term`,
  // and returns the density of the other atom, which was `others` before.
  HOPGYM_INLINE Vec<T> add_pairs(const Distances<T, many>& r, Int<T> kind, T* term,
                                 Vec<T> others) {
    HOPGYM_UNROLL
    for (int k = 0; k < many; ++k) {
      const Vec<T> decay_a = p[k].template choose<mixed>(kind);
      const Vec<T> decay_xi = q[k].template choose<mixed>(kind);
      const Vec<T> repelled =
          exp2<T>(a[k].template choose<mixed>(kind) - decay_a * r.length[k]);
      const Vec<T> bond = exp2<T>(xi[k].template choose<mixed>(kind) - decay_xi * r.length[k]);
      repulsion[k] += repelled;
      density[k] += bond;
      others += bond;
      const Vec<T> by_xi = mixed ? bond * decay_xi : bond;
      store<T>(term + 2 * k * lanes<T>, repelled * decay_a * r.inverse[k]);
      store<T>(term + (2 * k + 1) * lanes<T>, by_xi * r.inverse[k]);
    }
    return others;
  }

  NeighbourParameter<T> a[many], p[many], xi[many], q[many];
  Vec<T> repulsion[many] = {}, density[many] = {};
};

// Embedding energy of an atom with this density. Taking the maximum rounds the product before
// it is added to those of other atoms, so that the sum does not depend on what lanes hold.
template <class T>
HOPGYM_INLINE Vec<T> embed(Vec<T> density, Vec<T> inverse_root) {
  return max<T>(density * inverse_root, Vec<T>{});
}

// A few atoms in the second pass, in which densities are replaced by factors of forces.
template <class T, int many>
struct EmbeddedAtoms {
  // Adds the pairs with another atom. Returns its gradient, which was `others` before.
  HOPGYM_INLINE Space<T> add_pairs(const Space<T>& other, Vec<T> density, const T* term,
                                   Space<T> others) {
    HOPGYM_UNROLL
    for (int k = 0; k < many; ++k) {
      const Vec<T> weight = load<T>(term + (2 * k + 1) * lanes<T>) * (own[k] + density) +
                            load<T>(term + 2 * k * lanes<T>);
      const Space<T> d = here.atom[k] - other;
      force[k] = force[k] + weight * d;
      others = others - weight * d;
    }
    return others;
  }

  Group<T, many> here;
  Vec<T> own[many];
  Space<T> force[many] = {};
};

}  // namespace
