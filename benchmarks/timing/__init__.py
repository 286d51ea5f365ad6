"""Timing of energies, learned steps and quenches by several implementations."""
