"""All talk with Label Studio."""
