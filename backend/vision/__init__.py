"""The network: images in, embeddings and class probabilities out."""
