"""The page and the server behind it: a module for each tab, `page` that puts them together, `server` that serves it.

Nothing here decides anything about sound: the tabs ask `voiceconv`'s own functions, as the command line does.
"""
