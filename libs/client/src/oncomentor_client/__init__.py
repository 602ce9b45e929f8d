"""The SDK institutions use: publish profiles, follow receipts, subscribe to matches."""
