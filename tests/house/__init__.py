"""The repository tests itself: style, layers, documents, records, and `./dev`."""
