"""Which task of a project is to be labelled next: looked at, put in order, and told to Label Studio."""
