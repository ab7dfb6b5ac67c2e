"""100 data sets by diffrax and optimistix: the jitted solve in a loop."""

from _by_hand import fitted
from _clock import report
from _data import data_set

report({"values": [fitted(data_set(k))[0].tolist() for k in range(100)]})
