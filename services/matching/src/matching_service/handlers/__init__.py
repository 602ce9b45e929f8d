"""What matching does about each event it hears."""
