"""A page that shows predictions of exported models, built with gradio.

Everything runs on the machine that serves the page; no data is sent anywhere else.
"""

import os

# Gradio reads this when it is imported, and again when a page starts.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
