"""What a run says of its rows: report.json, its page, figures, drift against a baseline."""
