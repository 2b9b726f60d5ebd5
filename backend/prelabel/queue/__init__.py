"""The order of labelling: unlabelled images are compared, tasks are put in order, and Label Studio follows it."""
