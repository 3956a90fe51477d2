"""The colours of all pictures: those of Okabe and Ito, which colour-blind readers can tell apart, and neutral ones."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Without their yellow, which is too pale for a line."""

BASELINE, BLACK, GREY = "#404040", "#000000", "#8C8C8C"
