"""Makes Label Studio and prelabel know each other, and examines whether they do."""
