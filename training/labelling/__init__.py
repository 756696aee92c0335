"""Labelling by hand: which face comes next, what was answered, and how well two labellers agree. Needs no page."""
