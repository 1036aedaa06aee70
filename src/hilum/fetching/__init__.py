"""Fetching public data sets for a user, into the layout that training reads.

Every file in ``sets/`` says where one data set lies. What its labels mean is in
``auditing/sources``.
"""

__all__ = ["catalogue", "get", "unpack"]
