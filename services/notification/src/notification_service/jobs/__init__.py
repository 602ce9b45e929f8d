"""Work that facts set off: deciding who is told, and getting mails out."""
