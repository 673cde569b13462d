"""Build the tabs of the page, a module each."""
