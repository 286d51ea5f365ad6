#define HOPGYM_ISA baseline
#define HOPGYM_BYTES 16
#include "vectors.inl"
#include "learned_step.inl"
#include "pairs.inl"
