"""The chat app: `python -m demo`.

Gradio reads its telemetry switch when it is imported, so the switch is set here, before any module of this package
can import it. An owner who wants Gradio's analytics sets the variable to True.
"""

import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
