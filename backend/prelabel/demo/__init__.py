"""The demo: a real Label Studio and prelabel side by side on this machine, with images to look at."""
