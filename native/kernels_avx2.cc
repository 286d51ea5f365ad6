#define HOPGYM_ISA avx2
#define HOPGYM_BYTES 32
#include "kernels.inl"
