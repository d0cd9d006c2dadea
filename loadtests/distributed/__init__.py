"""One load from several machines: a master that puts together, workers that generate."""
