"""What differentiating a problem will cost, and whether the gradient can be trusted."""

from ._explain import explain as explain
from ._explanation import Explanation as Explanation
from ._growth import Growth as Growth
from ._lyapunov import lyapunov_exponent as lyapunov_exponent, LyapunovExponent as LyapunovExponent
from ._ways import Way as Way
