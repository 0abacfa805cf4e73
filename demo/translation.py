"""Errors in the page's language."""

from demo.catalogue import Words


def translated(sentence: str, words: Words) -> str:
    """The sentence of an error in the language of the page."""
    return sentence
