"""What several strategies share: reading in blocks, distances, k-means, greedy loops."""
