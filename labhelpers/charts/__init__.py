"""One file a picture: what it finds in the data, and how it is drawn."""
