"""The wiring of a ledger as a drawing."""
