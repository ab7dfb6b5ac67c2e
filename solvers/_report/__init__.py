from ._archive import read_archive as read_archive, write_archive as write_archive
from ._artefact import save_fit as save_fit, versions as versions
from ._html import write_report as write_report
from ._plots import Plots as Plots
from ._quantile import band as band, quantile as quantile
from ._recordings import labels as labels, recordings as recordings
from ._rows import Row as Row, rows_of as rows_of
