"""What is told to whom, and when to stop trying: pure rules, no I/O and no clock."""
