from ._archive import read_archive as read_archive
from ._artefact import save_fit as save_fit, versions as versions
from ._plots import Plots as Plots
from ._rows import Row as Row, rows_of as rows_of
