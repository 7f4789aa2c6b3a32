"""An active-learning ML backend for Label Studio."""
