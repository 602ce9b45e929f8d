"""The demonstration: three synthetic centers, one story, and checks of every step of it."""
