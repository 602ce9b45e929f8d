"""Who may meet whom, how well they fit, and how a match lives: pure rules and frozen types."""
