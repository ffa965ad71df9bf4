"""Answers to 12.predict, right and wrong: where the hill of a student will stand."""

HILLS = {"covering mean": -3.0, "covering width": 5.408, "seeking mean": -6.0, "seeking width": 1.5}

RIGHT = [HILLS, HILLS | {"covering mean": -3, "covering width": 29.25**0.5}]

WRONG = [
    ("covers the middle", HILLS | {"covering mean": 0.0}, "not in the middle"),
    ("covers a hill", HILLS | {"covering mean": -6.0}, "not on a hill"),
    ("a variance", HILLS | {"covering width": 29.25}, "root of the variance"),
    ("the width of one hill", HILLS | {"covering width": 1.5}, "both hills"),
    ("seeks the middle", HILLS | {"seeking mean": -3.0}, "picks one"),
    ("seeks the smaller", HILLS | {"seeking mean": 6.0}, "larger"),
    ("wide seeker", HILLS | {"seeking width": 5.408}, "1.5"),
    ("words", HILLS | {"seeking width": "narrow"}, "write numbers"),
]
