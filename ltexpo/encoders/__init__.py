"""Titles and pictures → vectors."""
