"""Self-supervised pre-training of a ViT on unlabeled images (DINO), before the first label."""
