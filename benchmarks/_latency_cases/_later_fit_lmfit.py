"""lmfit, fit after fit."""

from _clock import medians, report, timed
from _data import data_set
from _lmfit import fitted

fitted(data_set(0))
runs = [timed(lambda k=k: fitted(data_set(k))) for k in range(2, 22)]
report({"same": medians(runs), "new": medians(runs), "values": [values.tolist() for values, _ in runs]})
