"""A fit after the first one: new data of the same shapes, with the same `Parameter`s, then with new ones each time."""

import numpy as np
from _clock import medians, report, timed
from _populations import data_set
from _populations_kinax import fitted, parameters

rates = parameters()
fitted(data_set(0), rates)
fitted(data_set(1), rates)
same = [timed(lambda k=k: fitted(data_set(k), rates)) for k in range(2, 22)]
fitted(data_set(1), parameters())
new = [timed(lambda k=k: fitted(data_set(k), parameters())) for k in range(2, 22)]
assert all(np.array_equal(a, b) for (a, _), (b, _) in zip(same, new, strict=True))
report({"same": medians(same), "new": medians(new), "values": [values.tolist() for values, _ in same]})
