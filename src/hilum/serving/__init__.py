"""The server: a classifier behind an HTTP API and a page for the browser.

Radiographs are held in memory while they are answered, and neither stored nor logged.
"""

__all__ = ["access", "app", "limits", "run", "uploads"]
