from ._plots import Plots as Plots
