"""What prelabel does for one project: predictions, connecting, pushing predictions, checking the chain."""
