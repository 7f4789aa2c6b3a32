"""The admin's own evidence: would the strategies have saved labels on this project?

The labels that the project has are hidden and revealed again, round by round, as each strategy asks
for them. Only reads: nothing is written to Label Studio or into MODEL_DIR.
"""
