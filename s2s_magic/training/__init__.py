"""From notebook data to a fitted model with evidence."""
