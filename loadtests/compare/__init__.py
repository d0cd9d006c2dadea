"""Two load tests side by side: better, same, worse, or too few samples to say."""
