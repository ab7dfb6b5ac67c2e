"""100 data sets of one shape."""

from _clock import report
from _data import data_set
from _epidemic import fitted, parameters

rates = parameters()
report({"values": [fitted(data_set(k), rates).tolist() for k in range(100)]})
