"""The inspector, with core ipywidgets controls alone."""
