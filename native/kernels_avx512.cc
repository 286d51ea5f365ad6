#define HOPGYM_ISA avx512
#define HOPGYM_BYTES 64
#include "kernels.inl"
