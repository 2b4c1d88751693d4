"""Named changes of a photograph at five strengths, to measure what a network withstands."""
