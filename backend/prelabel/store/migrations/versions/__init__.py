"""One module per revision; what a released one does is never changed."""
