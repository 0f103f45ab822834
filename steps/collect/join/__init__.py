"""Captures joined with feedback: what a line tells by itself, what the order of lines decides, and who reads them."""
