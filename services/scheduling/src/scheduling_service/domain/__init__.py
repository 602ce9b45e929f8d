"""The rules of calendars: pure, over whole seconds since 1970 in UTC."""
