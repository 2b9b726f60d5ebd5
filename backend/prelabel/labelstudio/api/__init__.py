"""Label Studio's HTTP API: one client, its tokens, and what of a project is set through it."""
