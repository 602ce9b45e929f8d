"""What lies in quarantine: its subjects in order, tried again or passed over."""
