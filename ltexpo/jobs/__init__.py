"""Files in → files out: each verb of the command line as one settings model and one function."""
