from ._identifiability import Identifiability as Identifiability, identifiability as identifiability
from ._profile import profile as profile
from ._profiles import Profile as Profile, Profiles as Profiles
