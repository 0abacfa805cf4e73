"""Words that Gradio has fixed in its own source, in English for everybody: a script puts ours in their place.

Gradio's other few words follow the browser's language, which `session.js` sets to that of the page.
"""

import json

from demo.catalogue import Words

FIXED = {
    "Error": "gradio.error",  # the titles of its toasts, and the one text of its own
    "Warning": "gradio.warning",
    "Success": "gradio.success",
    "Info": "gradio.info",
    "Connection to the server was lost. Attempting reconnection...": "gradio.reconnecting",
    "Close": "gradio.close",
    "Toggle Sidebar": "gradio.sidebar",
}
"""Gradio's word -> ours. `gradio_words.js` knows where they stand."""


def gradio_words(words: Words) -> str:
    """The words as JSON that a script element may hold."""
    shown = {fixed: words(key) for fixed, key in FIXED.items()}
    return json.dumps(shown, ensure_ascii=False).replace("<", "\\u003c")
