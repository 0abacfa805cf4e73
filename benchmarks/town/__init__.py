"""The town: simulated people with a known taste use the real app, nights run, and the taste measures what was learned.

`python -m benchmarks.town --help`. Only the people and the measurement know the taste: what they say goes through the
chat's public endpoints into a database, and the night reads that database and nothing else.
"""
