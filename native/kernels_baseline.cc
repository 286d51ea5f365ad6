#define HOPGYM_ISA baseline
#define HOPGYM_BYTES 16
#include "kernels.inl"
