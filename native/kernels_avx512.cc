#define HOPGYM_ISA avx512
#define HOPGYM_BYTES 64
#include "vectors.inl"
#include "learned_step.inl"
#include "pairs.inl"
