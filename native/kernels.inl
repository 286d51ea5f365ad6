// All kernels, for the instruction set that HOPGYM_ISA and HOPGYM_BYTES say.

#include "simd.inl"
#include "replica_lanes.inl"
#include "gupta.inl"
#include "lbfgs.inl"
#include "radial.inl"
#include "learned_inputs.inl"
#include "learned_network.inl"
#include "learned_step.inl"
#include "pairs.inl"
#include "stillinger_weber.inl"
