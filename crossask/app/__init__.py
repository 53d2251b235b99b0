"""The page on which exported models listen, made with gradio. Nothing leaves the machine that serves it."""

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = (
    "False"  # read when gradio is imported and when a page starts
)
