"""Exported models: what runs where s2s_magic is not installed."""
