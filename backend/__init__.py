"""An active-learning ML backend for Label Studio."""

__version__ = "0.2.0"
