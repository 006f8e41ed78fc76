"""Publish on the Hugging Face Hub, or write the very folder that the Hub would hold.

python upload.py checkpoint|dataset|metric|space SOURCE --repo ORG/NAME
    [--private] [--revision R] [--full] [--dry-run] [--to DIR]
"""

import sys

from hf_mser.hub.cli import main

if __name__ == "__main__":
    sys.exit(main())
