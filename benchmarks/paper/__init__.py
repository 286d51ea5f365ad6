"""Figures and tables of Learn2Hop, each reproduced by `benchmarks/reproduce.py`.

A. Merchant, L. Metz, S. Schoenholz and E. D. Cubuk, "Learn2Hop: Learned Optimization
on Rough Landscapes", ICML 2021, PMLR 139.
"""
