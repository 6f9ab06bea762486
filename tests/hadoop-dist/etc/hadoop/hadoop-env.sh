# Read by the launchers: what is set here holds for them. Nothing is.
