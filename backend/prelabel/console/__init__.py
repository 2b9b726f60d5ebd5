"""prelabel's pages in the browser, under /console/: see how projects learn, and change what the commands change.

Imported when somebody opens the first page, so that a server without readers pays nothing for it.
"""
