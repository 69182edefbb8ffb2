"""What is true without a server: events, patterns, transforms, retries, signatures, names, limits.

Pure: the same input gives the same output. Imports nothing of ours, and never the clock, chance,
the network or the disk; whoever needs those hands them in (`clock`).
"""
