"""Evolution strategies with antithetic pairs.

T. Salimans, J. Ho, X. Chen, S. Sidor and I. Sutskever, arXiv:1703.03864 (2017);
Learn2Hop, Eq. 3.
"""

from __future__ import annotations

from hopgym.meta.strategies.base import AbstractES, lost_is_worst


class ES(AbstractES):
    """theta <- Adam(g), g = mean over pairs of [L(theta + e) - L(theta - e)] e / 2 s^2.

    Each pair has its own start and its own e, normal with standard deviation s. A loss
    that is not finite counts as the worst of the update.
    """

    shape = staticmethod(lost_is_worst)
