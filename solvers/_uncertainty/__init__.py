from ._calibration import calibrate as calibrate, Calibration as Calibration
from ._diagnostics import Diagnostics as Diagnostics
from ._identifiability import Identifiability as Identifiability, identifiability as identifiability
from ._laplace import laplace as laplace, LaplacePosterior as LaplacePosterior
from ._posterior import Posterior as Posterior
from ._profile import profile as profile
from ._profiles import Profile as Profile, Profiles as Profiles
from ._sample import sample as sample
