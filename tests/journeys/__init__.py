"""The ways in, as new users go them: the commands are those that Hilum prints."""
