"""Mail, calendar invitations and egress: what reaches people and centers."""
