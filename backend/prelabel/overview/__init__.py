"""What is known of projects at a glance, from the store: for the command line, the API and the console alike."""
