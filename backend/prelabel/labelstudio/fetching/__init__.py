"""The images of tasks, fetched from addresses that are checked first, and kept on disk."""
