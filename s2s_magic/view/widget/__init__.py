"""The inspector, built only from core ipywidgets controls."""
