"Run the command: `python -m sdpipe`."
import sys

from .command import main

sys.exit(main())
