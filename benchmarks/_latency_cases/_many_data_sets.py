"""100 data sets of one shape, by `fit_each`."""

from _clock import report
from _data import data_set
from _epidemic import Epidemic, parameters, residuals
from kinax.solvers import fit_each

guess, data = Epidemic(contact=1.0, recovery=0.3), {str(k): data_set(k) for k in range(100)}
fits = fit_each(guess, residuals, data, parameters=parameters(), progress=False)
report({"values": fits.values.tolist()})
