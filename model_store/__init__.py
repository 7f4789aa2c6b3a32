"""What lasts: checkpoints, embeddings and the journal, all below MODEL_DIR."""
