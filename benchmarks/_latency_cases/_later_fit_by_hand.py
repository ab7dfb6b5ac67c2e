"""The jitted solve by diffrax and optimistix, called again with other data."""

from _clock import medians, report, timed
from _populations import data_set
from _populations_by_hand import fitted

fitted(data_set(0))
runs = [timed(lambda k=k: fitted(data_set(k))) for k in range(2, 22)]
report({"same": medians(runs), "new": medians(runs), "values": [values.tolist() for (values, _), _ in runs]})
