"""Text, image, graph, attribute and behaviour tokens → one match score."""
