"""ALFA-Mix: anchors, the search for what a mix flips, and the batch from the candidates."""
