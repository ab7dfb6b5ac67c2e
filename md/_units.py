"""Units: numbers in and out, converted at the boundary; kinax itself computes in whichever were chosen."""

import dataclasses
import math

import scipy.constants as si


@dataclasses.dataclass(frozen=True)
class Units:
    r"""A choice of units of length [m], mass [kg] and energy [J]; the unit of time follows, $l \sqrt{m/e}$.

    The attributes are what one of something amounts to in these units: `dt = 2.0 * units.femtosecond` on the way in,
    `pressure / units.bar` on the way out. Temperatures are energies: `kT = 300 * units.kelvin`.

    `METAL`: ångström, dalton, electronvolt, as in ASE, so that the unit of time is 10.18 fs. `REAL`: ångström, dalton,
    kcal/mol; 48.89 fs. `NANO`: nanometer, dalton, kJ/mol; 1 ps. `SI`: meter, kilogram, joule; 1 s. `REDUCED`: no
    units; Lennard-Jones units of a substance are `Units("argon", length=3.4e-10, mass=..., energy=...)`.

    Constants: CODATA, as `scipy.constants` has them. Raises ValueError for units that are not positive, and where
    `REDUCED` is asked what a kelvin is.
    """

    name: str
    length: float | None
    mass: float | None
    energy: float | None

    def __post_init__(self) -> None:
        for scale in ("length", "mass", "energy"):
            value = getattr(self, scale)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"Units.{scale} must be positive, in SI units, got {value}.")

    @property
    def time(self) -> float:
        """The unit of time [s]."""
        return self._si("length") * math.sqrt(self._si("mass") / self._si("energy"))

    @property
    def angstrom(self) -> float:
        """1 Å."""
        return si.angstrom / self._si("length")

    @property
    def nanometer(self) -> float:
        """1 nm."""
        return 10 * self.angstrom

    @property
    def dalton(self) -> float:
        """1 Da, the mass of a ¹²C atom over 12; one gram of it is one mole."""
        return si.atomic_mass / self._si("mass")

    @property
    def electronvolt(self) -> float:
        """1 eV."""
        return si.electron_volt / self._si("energy")

    @property
    def kcal_per_mol(self) -> float:
        """1 kcal/mol, for each particle."""
        return si.calorie * self.kJ_per_mol

    @property
    def kJ_per_mol(self) -> float:
        """1 kJ/mol, for each particle."""
        return si.kilo / si.Avogadro / self._si("energy")

    @property
    def kelvin(self) -> float:
        """1 K times the Boltzmann constant, an energy."""
        return si.Boltzmann / self._si("energy")

    @property
    def femtosecond(self) -> float:
        """1 fs."""
        return si.femto / self.time

    @property
    def picosecond(self) -> float:
        """1 ps."""
        return si.pico / self.time

    @property
    def bar(self) -> float:
        """1 bar."""
        return si.bar * self._pascal

    @property
    def gigapascal(self) -> float:
        """1 GPa."""
        return si.giga * self._pascal

    @property
    def coulomb(self) -> float:
        r"""$e^2 / 4 \pi \varepsilon_0$ [energy length], the `constant` of `DampedCoulomb` for elementary charges."""
        return si.e**2 / (4 * si.pi * si.epsilon_0) / (self._si("energy") * self._si("length"))

    @property
    def _pascal(self) -> float:
        return self._si("length") ** 3 / self._si("energy")

    def _si(self, scale: str) -> float:
        value = getattr(self, scale)
        if value is None:
            raise ValueError(
                f"The {self.name} units have no scale of {scale}: choose METAL, REAL, NANO or SI, or give the "
                "substance's, Units('argon', length=3.4e-10, mass=6.63e-26, energy=1.65e-21)."
            )
        return value


METAL = Units("metal", length=si.angstrom, mass=si.atomic_mass, energy=si.electron_volt)
REAL = Units("real", length=si.angstrom, mass=si.atomic_mass, energy=si.calorie * si.kilo / si.Avogadro)
NANO = Units("nano", length=si.nano, mass=si.atomic_mass, energy=si.kilo / si.Avogadro)
SI = Units("SI", length=1.0, mass=1.0, energy=1.0)
REDUCED = Units("reduced", length=None, mass=None, energy=None)
