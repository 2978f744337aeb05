"""What is promised of the data, what was found of it, and what needs somebody: checks, results, incidents.

Doors: ``checks`` says which checks an asset has; ``results`` keeps what they said, in a table of our own; ``view``
holds what a page or a command shows of it.
Assets, the API and the command line may enter; it stands on quality and shadow, and knows no Dagster.
"""
