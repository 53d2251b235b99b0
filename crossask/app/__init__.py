"""The page on which exported models listen: `crossask.prediction` and the report's colours, drawn with gradio. Nothing leaves the machine."""

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported and when a page starts
