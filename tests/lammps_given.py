"""What is given to LAMMPS, and to tests with its numbers."""

from kinax.md import Tersoff

BAR = 1.6021765e6  # bar in an eV per cubic ångström, as LAMMPS rounds it
TERSOFF_1988 = Tersoff(
    A=3264.7,
    B=95.373,
    lambda1=3.2394,
    lambda2=1.3258,
    lambda3=1.3258,
    beta=0.33675,
    n=22.956,
    c=4.8381,
    d=2.0417,
    h=0.0,
    inner=2.8,
    outer=3.2,
)
CARBON_SILICON = Tersoff(
    A=[1393.6, 1830.8],
    B=[346.74, 471.18],
    lambda1=[3.4879, 2.4799],
    lambda2=[2.2119, 1.7322],
    beta=[1.5724e-7, 1.1e-6],
    n=[0.72751, 0.78734],
    c=[3.8049e4, 1.0039e5],
    d=[4.3484, 16.217],
    h=[-0.57058, -0.59825],
    inner=[1.8, 2.7],
    outer=[2.1, 3.0],
    chi=[[1.0, 0.9776], [0.9776, 1.0]],
)
