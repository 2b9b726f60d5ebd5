"""Data sets, training and evaluation of the networks, and the recipes of the weights that ship with the package."""
