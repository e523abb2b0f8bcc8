"""One module per section of the weekly report; each is pure and returns the sections it makes."""
