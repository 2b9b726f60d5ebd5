"""Which numbers can be ids of projects and runs."""

LARGEST_ID = 2**31 - 1
"""What Label Studio's database, and the store's, can count to."""
