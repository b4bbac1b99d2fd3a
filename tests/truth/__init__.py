"""The machine that tries to prove habeas wrong: random companies, an oracle, a judge. See `python -m truth --help`.

Only `truth.drive` touches habeas; the oracle and the judge know nothing of it.
"""
