"""Reporting: what was found, as pages that open offline, as Markdown, and in notebooks.

A page is a template that shows plain values, tables and charts; nothing is measured here.
"""

__all__ = [
    "audit_findings",
    "audit_page",
    "capsule_page",
    "explain_page",
    "notebook",
    "report",
    "runs",
    "search_page",
    "study",
    "watch_page",
]
