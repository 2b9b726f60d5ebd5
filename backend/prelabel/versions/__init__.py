"""The model versions of projects: their rows, their files, and the predictors that are loaded from them."""
