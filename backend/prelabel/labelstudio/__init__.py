"""Everything that knows Label Studio's wire formats: its API, label configs, regions and image URLs."""
