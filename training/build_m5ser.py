"""Build M5SER: the same as `mser m5ser build`, as a script.

python training/build_m5ser.py --source crema_d --output m5ser-mini --splits train --clips-per-emotion 90
"""

import sys

from hf_mser.cli import main

if __name__ == "__main__":
    sys.exit(main(["m5ser", "build", *sys.argv[1:]]))
