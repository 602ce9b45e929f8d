"""The events that OncoMentor's services, member centers and subscribers exchange."""
