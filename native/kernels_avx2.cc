#define HOPGYM_ISA avx2
#define HOPGYM_BYTES 32
#include "vectors.inl"
#include "learned_step.inl"
#include "pairs.inl"
