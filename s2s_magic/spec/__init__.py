"""YAML text to a validated plan, with the line and column of every fault."""
