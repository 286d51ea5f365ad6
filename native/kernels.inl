// All kernels, for the instruction set that HOPGYM_ISA and HOPGYM_BYTES say.

#include "vectors.inl"
#include "block.inl"
#include "gupta.inl"
#include "lbfgs.inl"
#include "radial.inl"
#include "learned_step.inl"
#include "pairs.inl"
#include "stillinger_weber.inl"
