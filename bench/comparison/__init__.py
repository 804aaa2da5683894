"""What bench/run does: servers.py starts them, scenarios.py is the table, sitting.py measures by turns and keeps what it
saw as JSON lines, report.py and plots.py turn these into RESULTS.md and pictures."""
