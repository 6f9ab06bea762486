"""The verbs, each a list of short steps over model and doors."""
