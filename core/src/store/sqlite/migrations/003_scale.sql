-- Those who vanished (NIP-62) and of whom there was too much to remove at once: tidying goes on where it was.
CREATE TABLE vanishing (
    author INTEGER PRIMARY KEY
) STRICT;
