"""Share data sets, commands and figures between recipes."""
