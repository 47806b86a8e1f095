"""Pure functions over tables: what lists are worth and whom they expose."""
