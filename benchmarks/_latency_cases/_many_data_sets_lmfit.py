"""100 data sets by lmfit, in a loop."""

from _clock import report
from _data import data_set
from _lmfit import fitted

report({"values": [fitted(data_set(k)).tolist() for k in range(100)]})
