"""A run folder's machinery: its lock, its manifest, content hashes, and a process for each stage."""
