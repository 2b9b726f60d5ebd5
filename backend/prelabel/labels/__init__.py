"""What people have labelled: accepted labels, snapshots of them, and how much of each pre-label was kept."""
