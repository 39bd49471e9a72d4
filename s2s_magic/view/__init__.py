"""Reports of a ledger, as text, HTML, SVG and widgets."""
