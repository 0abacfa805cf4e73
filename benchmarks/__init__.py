"""Speed and memory of the real programs, one command each (`make bench`)."""
