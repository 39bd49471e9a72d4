"""Running code under capture: from a cell to a ledger."""
