"""Timing of several implementations of energies, learned steps and quenches."""
