"""The widget that the Hub shows for the metric."""

import evaluate
from evaluate.utils import launch_gradio_widget

launch_gradio_widget(evaluate.load("mser_metrics.py"))
