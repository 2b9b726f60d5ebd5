"""How the weights that ship with the package are made."""
