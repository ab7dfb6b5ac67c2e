"""The jitted solve by diffrax and optimistix, called again with other data."""

from _by_hand import fitted
from _clock import medians, report, timed
from _data import data_set

fitted(data_set(0))
runs = [timed(lambda k=k: fitted(data_set(k))) for k in range(2, 22)]
report({"same": medians(runs), "new": medians(runs), "values": [values.tolist() for (values, _), _ in runs]})
