"""What goes to the Hugging Face Hub: folders that are complete, checked, and published whole.

Each kind has a function that writes the very folder that the Hub will hold; `publish` puts such a folder there.
The top-level `upload.py` is the command.
"""
