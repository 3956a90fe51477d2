"""What a study found, for people: report.html, runs.csv and the terminal."""
