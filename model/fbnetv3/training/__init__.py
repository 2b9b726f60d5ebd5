"""Training any of the networks: the loop over steps, and the random changes to what a step sees."""
