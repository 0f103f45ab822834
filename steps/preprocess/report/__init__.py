"""The report on a run's rows: report.json, report.html, figures, drift against a baseline."""
