"""The stops of `minids tour`: one file a chapter, each with a function `visit`."""
