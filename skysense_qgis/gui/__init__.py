"""Widgets. A panel edits one small record and asks for jobs; it knows nothing of pipes."""
