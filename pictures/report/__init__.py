"""The report: a page that compares pictures before and after."""
