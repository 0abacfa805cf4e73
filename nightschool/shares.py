"""How surely a share is known: Wilson's interval."""

import math
from statistics import NormalDist


def wilson(successes: float, trials: float, confidence: float) -> tuple[float, float]:
    """Wilson's interval for a share; each bound holds one-sided with this confidence."""
    if trials == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(confidence)
    share = successes / trials
    centre = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return (centre - spread) / (1 + z * z / trials), (centre + spread) / (1 + z * z / trials)
