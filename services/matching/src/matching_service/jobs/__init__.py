"""What matching does by itself: because something changed, or because time passed."""
