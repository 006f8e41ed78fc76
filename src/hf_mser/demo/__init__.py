"""A page for the browser: record or upload, see the emotions and, for long audio, how they move over time.

`mser demo` opens it on one's own machine, `space/app.py` on the Hugging Face Hub. Only `page` needs gradio.
"""
